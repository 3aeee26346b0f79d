//! A classifier of gray faces: a small convolutional network, trained from scratch or from an earlier one.
//!
//! The result depends on the faces, the settings and the seed alone: not on the number of threads, nor on how
//! often training was killed and went on.

mod augment;
mod cuda;
mod examples;
mod export;
mod learner;
mod loader;
mod network;
mod prediction;
mod settings;
mod step;
#[cfg(test)]
mod tests;
mod trained;
mod training;

use serde::{Deserialize, Serialize};

pub use examples::Examples;
pub use network::Layer;
pub use prediction::TestTimeAugmentation;
pub use settings::{Augmentation, Settings};
pub use trained::Classifier;
pub(crate) use training::Training;

use crate::error::LearnError;
use crate::faces::Faces;
use crate::run::{Run, Split};
use ferroflow_cuda::Device;
use training::{Outcome, best_epoch};

/// Raised whenever the same settings and faces would give another network than before.
const VERSION: u32 = 2;

/// Threads that keep a device busy: it waits for the faces, where on the CPU steps take longer than those.
pub const LOADER_THREADS: usize = 8;

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, from 0.
    pub epoch: usize,
    /// How many there are.
    pub epochs: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far.
    pub loss: f32,
    /// The part of the epoch's faces so far (as varied for training) for which the network agreed with the label.
    pub accuracy: f32,
}

/// What an epoch has come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// Mean loss over the faces that it learnt from, as varied for training.
    pub loss: f32,
    /// The part of these faces for which the network agreed with the label, while it learnt.
    pub accuracy: f32,
    /// The part of the validation faces for which it agrees after the epoch; none without such faces.
    pub validation: Option<f32>,
    /// Mean loss over the validation faces after the epoch, where it is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f32>,
    /// The learning rate of the last step.
    pub learning_rate: f64,
}

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// The best network on the validation rows; without any, the last.
    pub classifier: Classifier,
    /// Each epoch's.
    pub history: Vec<EpochResult>,
    /// The epoch (from 0) that the network is of.
    pub epoch: usize,
}

/// Trains on some rows of `examples`.
///
/// After each epoch the network is judged on the validation rows; the best is kept. With `begin`, training
/// goes on from an earlier network of the same layers. A killed training goes on from its last epoch. On the
/// CPU up to [`Run::workers`] threads work on a step, one for each shard. `progress` is called after every
/// step, `epoch` after every epoch, with those so far.
///
/// A CUDA device begins with the same weights and sees the same faces, varied and mixed alike, and the same
/// dropout as the CPU, but rounds otherwise; the fewer shards, the less it has to be told. So that a result
/// says where it comes from, checkpoints of a CUDA device and of the CPU are not taken for each other's. The
/// kernels (`cuda`) have been seen to do what the CPU's do on the host; no device has run them yet.
///
/// # Errors
/// If the examples do not fit each other, there are fewer than two faces for each shard, the faces are too small,
/// `begin` is another network, the loss is no number any more (the last checkpoint is kept), `checkpoints` holds those
/// of other settings or faces, or a file cannot be read or written; and if the device cannot be used, fails, or has too
/// little memory.
pub fn train(
    examples: Examples<'_>,
    split: Split<'_>,
    settings: &Settings,
    begin: Option<&Classifier>,
    run: &Run<'_>,
    progress: &dyn Fn(Progress),
    epoch: &dyn Fn(&[EpochResult]),
) -> Result<Trained, LearnError> {
    settings.check()?;
    examples.check()?;
    check_size(examples.faces, settings)?;
    let Faces { width, height, .. } = examples.faces;
    if !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
        return Err(LearnError::FaceSize { width, height, unit: 2, least: 2 });
    }
    split.check("faces", examples.faces.count())?;
    if split.learn.len() < 2 * settings.shards {
        return Err(LearnError::TooFewToLearn { found: split.learn.len(), needed: 2 * settings.shards });
    }
    examples.wanted().check_weights(split.learn)?;
    if let Some(begin) = begin.filter(|begin| !begin.is_like(settings, examples)) {
        return Err(LearnError::OtherNetwork {
            found: begin.describe(),
            expected: describe(settings, examples),
        });
    }
    let device = run.device.resolve()?;
    let training = Training {
        examples,
        split,
        ask: &[],
        settings,
        begin,
        stream: 0,
        fingerprint: &fingerprint(device, examples, split, settings, begin)?,
        state: &run.checkpoints.join("classifier"),
        threads: run.workers,
        loader_threads: loader_threads(device, run.workers),
        progress,
        epoch_done: epoch,
        cancelled: run.cancelled,
    };
    let Outcome { classifier, history, .. } = teach(&training, device)?;
    let epoch = best_epoch(&history).unwrap_or(history.len() - 1);
    Ok(Trained { classifier, history, epoch })
}

/// Trains on a device that is there.
pub(crate) fn teach(training: &Training<'_>, device: Device) -> Result<Outcome, LearnError> {
    match device {
        Device::Cuda(index) => cuda::train(training, index),
        Device::Cpu | Device::Auto => training.run(),
    }
}

/// Threads, of so many, that make ready what is learnt from.
pub(crate) fn loader_threads(device: Device, workers: usize) -> usize {
    if device == Device::Cpu { 1 } else { workers.min(LOADER_THREADS) }
}

/// Refuses faces that the network halves to nothing.
pub(crate) fn check_size(faces: Faces<'_>, settings: &Settings) -> Result<(), LearnError> {
    let pools = settings.layers.iter().filter(|layer| layer.pool).count();
    let (height, width) = augment::begin(faces);
    if (height.min(width) >> pools) == 0 {
        let Faces { width, height, .. } = faces;
        return Err(LearnError::TooSmall { width, height, pools: pools + 1 });
    }
    Ok(())
}

/// A network in words.
fn describe(settings: &Settings, examples: Examples<'_>) -> String {
    trained::describe(&settings.layers, examples.classes, (examples.faces.width, examples.faces.height))
}

/// Whose checkpoints they are.
fn fingerprint(
    device: Device,
    examples: Examples<'_>,
    Split { learn, validate }: Split<'_>,
    settings: &Settings,
    begin: Option<&Classifier>,
) -> Result<String, LearnError> {
    let Examples { faces, targets, weights, classes } = examples;
    let shape = (VERSION, settings, classes, faces.width, faces.height, learn, validate);
    let shape = serde_json::to_vec(&shape).map_err(|error| LearnError::Record(error.to_string()))?;
    let mut hash = blake3::Hasher::new();
    hash.update(&shape).update(faces.pixels);
    for value in targets.iter().chain(weights.unwrap_or_default()) {
        hash.update(&value.to_le_bytes());
    }
    if let Some(begin) = begin {
        hash.update(&begin.to_bytes()?);
    }
    if let Device::Cuda(_) = device {
        hash.update(b"cuda, layers");
    }
    Ok(hash.finalize().to_hex().to_string())
}
