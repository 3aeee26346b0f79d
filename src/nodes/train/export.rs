//! The file that others use.

use std::path::Path;

use ferroflow_learn::classifier::{Classifier, TestTimeAugmentation};
use ferroflow_vision::{
    inference::{Device, SessionOptions, SharedSession},
    model::card::{self, Card, Input, Task},
};

use super::{
    super::shared::learning::{COMPARED, greatest_difference},
    Drawn,
};
use crate::batch::Context;

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

/// The greatest difference between what ONNX Runtime makes of the file and what the network said; an error if
/// it is too great.
pub fn difference(
    path: &Path,
    classifier: &Classifier,
    drawn: &Drawn,
    context: &Context,
) -> anyhow::Result<f32> {
    let (faces, (width, height)) = (drawn.examples().faces, classifier.size());
    let rows: Vec<usize> = (0..faces.count().min(COMPARED)).collect();
    let expected = classifier.probabilities(faces, &rows, TestTimeAugmentation::Off, context.interrupted)?;
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
    greatest_difference(&found, &expected, "this is a mistake in ferroflow")
}
