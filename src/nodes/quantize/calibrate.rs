//! What the values inside a network are between, for faces.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};
use ferroflow_onnx::{
    precision::{Precision, Ranges},
    with_outputs,
};
use ferroflow_vision::{activations::Activations, frame::Frame, inference::SessionOptions, model::ModelFile};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::histogram::Histogram;
use crate::{
    atomic,
    batch::{
        Context,
        data::{Faces, faces::decode_all, picture::Gray},
    },
};

/// Faces in one run: all inner values of a run are in memory at once.
const BATCH: usize = 4;

/// So many faces of these rows, drawn at random, in the order in which they are there.
pub fn draw(faces: &Faces, mut rows: Vec<usize>, count: usize, seed: u64) -> anyhow::Result<Vec<Gray>> {
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    rows.truncate(count);
    rows.sort_unstable();
    let mut pictures = Vec::with_capacity(rows.len());
    for piece in faces.images()? {
        if pictures.len() == rows.len() {
            break;
        }
        let (first, images) = piece?;
        let here = decode_all(first, &images)?.into_iter();
        pictures.extend(here.filter(|(row, _)| rows.binary_search(row).is_ok()).map(|(_, picture)| picture));
    }
    Ok(pictures)
}

/// The ranges of the tensors that a conversion asks for.
pub fn ranges(
    model: &ModelFile,
    file: &[u8],
    precision: Precision,
    percentile: f64,
    pictures: &[Gray],
    context: &Context,
) -> anyhow::Result<Ranges> {
    let tensors = precision.tensors(file)?;
    let mut histograms: BTreeMap<&str, Histogram> =
        tensors.iter().map(|name| (name.as_str(), Histogram::default())).collect();
    let watched = context.checkpoints.join("watched.onnx");
    fs::create_dir_all(&context.checkpoints)?;
    atomic::write(&watched, &watch(file, &tensors)?)?;
    let mut network = open(model, &watched, context)?;
    context.progress.begin(pictures.len(), "faces");
    for pictures in pictures.chunks(BATCH) {
        context.check()?;
        let frames: Result<Vec<_>, _> = pictures
            .iter()
            .map(|picture| Frame::gray(&picture.pixels, picture.width, picture.height))
            .collect();
        let mut bad = None;
        network.observe(&frames?, |name, values| {
            let is_counted = histograms.get_mut(name).is_none_or(|histogram| histogram.add(values));
            if !is_counted {
                bad.get_or_insert_with(|| name.to_owned());
            }
        })?;
        if let Some(name) = bad {
            bail!("the value `{name}` inside it is not a finite number for a face that it is calibrated on");
        }
        context.progress.advance(pictures.len());
    }
    let ranges = histograms.into_iter();
    Ok(ranges.filter_map(|(name, histogram)| Some((name.to_owned(), histogram.range(percentile)?))).collect())
}

/// The file with these tensors as outputs; those that no node makes are inputs, which are seen anyway.
fn watch(file: &[u8], tensors: &[String]) -> anyhow::Result<Vec<u8>> {
    let made = ferroflow_onnx::made(file)?;
    let outputs: Vec<&str> = tensors.iter().map(String::as_str).filter(|name| made.contains(*name)).collect();
    Ok(with_outputs(file, &outputs)?)
}

fn open(model: &ModelFile, watched: &Path, context: &Context) -> anyhow::Result<Activations> {
    let model = ModelFile { path: watched.to_owned(), ..model.clone() };
    let options = SessionOptions {
        device: ferroflow_vision::inference::Device::Cpu,
        threads: context.workers,
        ..SessionOptions::default()
    };
    Activations::open(&model, &options, BATCH).context("with its inner values as outputs")
}
