//! What nodes that train have in common: how wrong settings and early ends are told, what is told of a
//! training while it goes on and afterwards, and that the file that comes out answers as the network did.

use std::path::Path;

use anyhow::{anyhow, bail};
use ferroflow_learn::{Device, LearnError, Run, classifier::EpochResult};
use serde_json::json;

use crate::batch::{Context, Facts, Interrupted, sparkline::sparkline};

/// The most by which a probability out of a file may differ from the trained network's.
const TOLERANCE: f32 = 1e-4;
/// Faces by which they are compared.
pub const COMPARED: usize = 64;

/// How a training runs as a stage.
pub fn run<'a>(device: Device, checkpoints: &'a Path, context: &'a Context<'_>) -> Run<'a> {
    Run { device, checkpoints, workers: context.workers, cancelled: context.interrupted }
}

/// A wrong setting in the words of parameters: `called` gives what a setting's name is here.
pub fn setting(error: LearnError, called: impl Fn(&str) -> String) -> String {
    match error {
        LearnError::Setting { name, value, needed } => format!("`{}` is {value}: {needed}", called(name)),
        other => other.to_string(),
    }
}

/// The name of a parameter that is called like its setting.
pub fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// Why a training on `device` came to no end; `advice` says which parameters save memory.
pub fn stopped(error: LearnError, device: Device, advice: &str) -> anyhow::Error {
    match error {
        LearnError::Cancelled => Interrupted.into(),
        LearnError::DeviceMemory => {
            anyhow!("the memory of {device} does not suffice: {advice}; the checkpoints are kept")
        }
        other => other.into(),
    }
}

/// The greatest difference between what ONNX Runtime makes of a file and what the network said; an error if
/// it is too great, which ends in `reason`.
pub fn greatest_difference(found: &[f32], expected: &[f32], reason: &str) -> anyhow::Result<f32> {
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    // Not `f32::max`, which passes over what is no number.
    let most = differences.max_by(f32::total_cmp).unwrap_or(f32::NAN);
    let is_alike = found.len() == expected.len() && most <= TOLERANCE;
    if !is_alike {
        bail!(
            "the exported network differs by {most} from the trained one, where {TOLERANCE} is allowed: {reason}"
        );
    }
    Ok(most)
}

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

/// The facts of a finished training on so many faces, judged by so many others, of which the epoch `kept`
/// (from 0) is the result.
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
