//! What `train` and `finetune` tell of a training, while it goes on and afterwards.

use ferroflow_learn::classifier::EpochResult;
use serde_json::json;

use crate::batch::{Context, Facts, sparkline::sparkline};

/// Says how far a training has come: in its bar, with a curve, and in the metrics.
pub fn tell(history: &[EpochResult], epochs: usize, context: &Context) {
    let Some(last) = history.last() else { return };
    let epoch = history.len();
    let curve = sparkline(history.iter().map(|epoch| epoch.validation.unwrap_or(epoch.accuracy)));
    let validation = last.validation.map_or_else(String::new, |share| format!(", validation {share:.4}"));
    let (loss, accuracy) = (last.loss, last.accuracy);
    let message =
        format!("epoch {epoch}/{epochs}: loss {loss:.3}, accuracy {accuracy:.4}{validation} {curve}");
    context.progress.message(message);
    let measures = [("epoch", Some(epoch as f32)), ("loss", Some(loss)), ("accuracy", Some(accuracy))];
    for (what, value) in measures.into_iter().chain([("validation_accuracy", last.validation)]) {
        if let Some(value) = value {
            context.progress.measure(what, value.into());
        }
    }
}

/// The facts of a finished training on so many faces, judged by so many others, of which the epoch `kept` (from 0) is the result.
pub fn facts(
    name: &str,
    classes: &[String],
    (faces, judges): (usize, usize),
    history: &[EpochResult],
    kept: usize,
) -> Facts {
    let best = history.get(kept);
    let facts = Facts::default()
        .with("name", name)
        .with("classes", classes)
        .with("faces", faces)
        .with("validation_faces", judges)
        .with("epochs", history.len())
        .with("kept_epoch", kept + 1)
        .with("accuracy", best.map_or(0.0, |epoch| f64::from(epoch.accuracy)));
    let facts = match best.and_then(|epoch| epoch.validation) {
        Some(share) => facts.with("validation_accuracy", f64::from(share)),
        None => facts,
    };
    facts.with("history", json!(history))
}
