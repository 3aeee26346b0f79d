//! The file that others use.

use std::path::Path;

use anyhow::bail;
use ferroflow_learn::classifier::{Classifier, Looks};
use ferroflow_vision::{
    inference::{Device, SessionOptions, SharedSession},
    model::card::{self, Card, Input, Task},
};

use super::Drawn;
use crate::batch::Context;

/// The most by which a probability out of the file may differ from the trained network's.
const TOLERANCE: f32 = 1e-4;
/// Faces that are compared.
const COMPARED: usize = 64;

/// The network with its card.
pub fn onnx(classifier: &Classifier, name: &str, classes: &[String]) -> anyhow::Result<Vec<u8>> {
    let (width, height) = classifier.size();
    let card = Card {
        task: Task::Expression,
        labels: classes.to_vec(),
        softmax: false,
        // The graph does the rest.
        input: Input::gray(width, height),
    };
    Ok(classifier.to_onnx(name, &[(card::METADATA, toml::to_string(&card)?)])?)
}

/// The greatest difference between what ONNX Runtime makes of the file and what the network said; an error if it is too great.
pub fn difference(
    path: &Path,
    classifier: &Classifier,
    drawn: &Drawn,
    context: &Context,
) -> anyhow::Result<f32> {
    let (faces, (width, height)) = (drawn.examples().faces, classifier.size());
    let rows: Vec<usize> = (0..faces.count().min(COMPARED)).collect();
    let expected = classifier.probabilities(faces, &rows, Looks::One, context.interrupted)?;
    // Wherever it was trained: on a device ONNX Runtime may compute with fewer bits.
    let options = SessionOptions {
        device: Device::Cpu,
        threads: 1,
        batch_size: rows.len(),
        ..SessionOptions::default()
    };
    let session = SharedSession::open(path, &options)?;
    let pixels = &faces.pixels[..rows.len() * width * height];
    let mut input: Vec<f32> = pixels.iter().map(|pixel| f32::from(*pixel)).collect();
    let found = session.run([rows.len(), 1, height, width], &mut input, |outputs| {
        outputs.first().map_or_else(Vec::new, |output| output.values.to_vec())
    })?;
    let differences = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
    // Not `f32::max`, which passes over what is no number.
    let most = differences.max_by(f32::total_cmp).unwrap_or(f32::NAN);
    let is_alike = found.len() == expected.len() && most <= TOLERANCE;
    if !is_alike {
        bail!(
            "the exported network differs by {most} from the trained one, where {TOLERANCE} is allowed: this is a mistake in ferroflow"
        );
    }
    Ok(most)
}
