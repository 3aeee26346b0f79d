//! How long a face takes.

use std::{path::Path, time::Instant};

use ferroflow_vision::{
    expression::ExpressionClassifier,
    frame::Frame,
    inference::{Device, SessionOptions},
    model::ModelFile,
};
use serde_json::{Value, json};

use crate::{
    atomic,
    batch::{Context, TIMES, data::picture::Gray},
};

/// Faces that are asked about in each round, and rounds.
const FACES: usize = 50;
const ROUNDS: usize = 7;

/// Milliseconds that each classifier takes for a face on the CPU with one thread, faces one by one as a camera gives
/// them: the median over rounds, in which both take turns, of the mean over faces.
pub fn milliseconds(
    before: &ModelFile,
    after: &ModelFile,
    pictures: &[Gray],
    context: &Context,
) -> anyhow::Result<[f64; 2]> {
    let frames: Result<Vec<_>, _> = pictures
        .iter()
        .take(FACES)
        .map(|picture| Frame::gray(&picture.pixels, picture.width, picture.height))
        .collect();
    let frames = frames?;
    let open = |model: &ModelFile| {
        let instance_id = "speed".to_owned();
        let options =
            SessionOptions { device: Device::Cpu, threads: 1, instance_id, ..SessionOptions::default() };
        ExpressionClassifier::open(model, &options, 1)
    };
    let mut classifiers = [open(before)?, open(after)?];
    let mut rounds = [Vec::new(), Vec::new()];
    let mut emotions = Vec::new();
    // The first is to warm up.
    for round in 0..=ROUNDS {
        for (classifier, times) in classifiers.iter_mut().zip(&mut rounds) {
            context.check()?;
            let begun = Instant::now();
            classifier.classify_pictures(&frames, &mut emotions)?;
            emotions.clear();
            if round > 0 {
                times.push(begun.elapsed().as_secs_f64() * 1000.0 / frames.len().max(1) as f64);
            }
        }
    }
    Ok(rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    }))
}

/// Writes them beside the result.
pub fn write(folder: &Path, [before, after]: [f64; 2]) -> anyhow::Result<()> {
    let times: Value =
        json!({ "milliseconds_a_face_before": before, "milliseconds_a_face_after": after, "threads": 1 });
    atomic::write(&folder.join(TIMES), &serde_json::to_vec_pretty(&times)?)
}
