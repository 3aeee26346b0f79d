//! The file that others use: backbone and head in one.

use std::path::Path;

use anyhow::Context as _;
use ferroflow_learn::head::Head;
use ferroflow_vision::{
    align::Alignment,
    embedding::FaceEmbedder,
    inference::{Device, SessionOptions},
    model::{
        card::{self, Card, Input, Task},
        resolve_model,
    },
};

use super::Seen;
use crate::{
    batch::data::{Faces, faces::decode_all},
    nodes::{
        features::{self, backbone::Backbone},
        shared::learning::{COMPARED, greatest_difference},
    },
};

/// The backbone with the head behind it, and a card.
///
/// The input is made as the backbone's card says, but a face is cut out as those that the head has learnt from, which
/// were shown whole: as it stands, turned level.
pub fn onnx(backbone: &Backbone, head: &Head, classes: &[String]) -> anyhow::Result<Vec<u8>> {
    let card = Card {
        task: Task::Expression,
        labels: classes.to_vec(),
        // The graph does it.
        softmax: false,
        input: Input { crop_padding: 0.0, align: Alignment::Level, ..backbone.card.input.clone() },
    };
    let metadata = [(card::METADATA, toml::to_string(&card)?)];
    head.behind(&backbone.bytes, backbone.layer.as_deref(), &metadata)
        .with_context(|| format!("the backbone {}", backbone.path().display()))
}

/// The greatest difference between what ONNX Runtime makes of faces with the file and what the head says of their
/// features; an error if it is too great.
pub fn difference(
    path: &Path,
    head: &Head,
    seen: &Seen,
    faces: &Faces,
    device: Device,
) -> anyhow::Result<f32> {
    let rows = &seen.chosen.rows[..seen.chosen.rows.len().min(COMPARED)];
    let mut pictures = Vec::with_capacity(rows.len());
    for piece in faces.images()? {
        let (first, images) = piece?;
        let here = decode_all(first, &images)?.into_iter();
        pictures.extend(here.filter(|(row, _)| rows.binary_search(row).is_ok()));
        if pictures.len() == rows.len() {
            break;
        }
    }
    let expected = head.probabilities(seen.first(rows.len()))?;
    let options = SessionOptions { device, ..SessionOptions::default() };
    let model = resolve_model(&path.to_string_lossy())?;
    let mut network = FaceEmbedder::backbone(&model, &options, features::BATCH)?;
    let found = features::features(&mut network, &pictures)?;
    let reason = "if `features` ran on another `device` give that one, else this is a mistake in ferroflow";
    greatest_difference(&found, &expected, reason)
}
