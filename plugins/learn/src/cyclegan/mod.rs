//! A CycleGAN: two generators that translate faces of one class to another and back, learnt from faces that
//! are no pairs.
//!
//! Zhu, Park, Isola & Efros 2017, with the cycle loss of Mazen, Nashat & Abdel Azeem Abul Seoud, which also keeps the
//! structure. Direction 0 goes from the first class to the second, direction 1 back. Inside, gray values are
//! -1..1 and lie as (faces, 1, height, width).

mod buffer;
mod canvas;
mod cuda;
mod discriminator;
mod export;
mod generator;
mod layers;
mod losses;
mod pair;
mod settings;
mod step;
#[cfg(test)]
mod tests;
mod train;
mod translator;
mod warnings;

pub use losses::Direction;
pub use settings::{Discriminator, Generator, Losses, Normalisation, Settings};
pub use translator::Translator;
pub use warnings::Warning;

use crate::error::LearnError;
use crate::faces::Faces;
use crate::run::Run;
use ferroflow_cuda::Device;
use train::Training;

/// Raised whenever the same settings and faces would give other networks than before.
const VERSION: u32 = 1;

/// How far a training is.
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
    /// Mean losses of both directions in this epoch so far.
    pub losses: [Direction; 2],
}

/// What an epoch has come to.
#[derive(Debug)]
pub struct Epoch<'a> {
    /// The epoch that is done, from 0.
    pub epoch: usize,
    /// How many there are.
    pub epochs: usize,
    /// Mean losses of both directions in each epoch so far.
    pub history: &'a [[Direction; 2]],
    /// The same few faces of both classes, as they are translated now.
    pub samples: [Samples; 2],
    /// Signs that a direction goes wrong.
    pub warnings: [Vec<Warning>; 2],
}

/// A few faces (gray, faces x height x width).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// As they are.
    pub real: Vec<u8>,
    /// Translated to the other class.
    pub translated: Vec<u8>,
    /// And back.
    pub returned: Vec<u8>,
}

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// From the first class to the second, and back.
    pub translators: [Translator; 2],
    /// Mean losses of both directions in each epoch.
    pub history: Vec<[Direction; 2]>,
}

/// Trains on the faces of two classes; on the CPU on two threads if there are two [`Run::workers`].
///
/// `progress` is called after every step, `epoch` after every epoch. When it is stopped, a checkpoint of the
/// last step is written.
///
/// A CUDA device begins with the same weights and sees the same faces and the same dropout as the CPU, but rounds
/// otherwise: its networks are others in their last digits at first, and in more as training goes on. The
/// same training gives the same bytes each time on one model of device. So that a result says where it comes
/// from, checkpoints of a CUDA device and of the CPU are not taken for each other's; those of one CUDA device
/// do for another. Its kernels (`cuda`) have been seen to do what the CPU's do on the host; no device has
/// run them yet (`make gpu-check` does).
///
/// # Errors
/// If a class has fewer than two faces, the sizes do not fit, a loss is no number any more (the last checkpoint is
/// kept), the checkpoints are those of other settings or faces, or a file cannot be read or written; and if the device
/// cannot be used, fails, or has too little memory (the last checkpoint is kept).
pub fn train(
    classes: [Faces<'_>; 2],
    settings: &Settings,
    run: &Run<'_>,
    progress: &dyn Fn(Progress),
    epoch: &dyn Fn(&Epoch<'_>),
) -> Result<Trained, LearnError> {
    settings.check()?;
    let [first, second] = classes;
    settings.check_size(first.width, first.height)?;
    if (second.width, second.height) != (first.width, first.height) {
        return Err(LearnError::OtherSize {
            found: (second.width, second.height),
            expected: (first.width, first.height),
        });
    }
    for (class, faces) in classes.iter().enumerate() {
        if faces.count() < settings.batch_size.max(2) {
            let needed = settings.batch_size.max(2);
            return Err(LearnError::TooFewFaces { class, found: faces.count(), needed });
        }
    }
    let device = run.device.resolve()?;
    let training = Training {
        settings,
        classes,
        fingerprint: &fingerprint(device, classes, settings)?,
        checkpoint: run.checkpoints.join("cyclegan"),
        // A device computes one thing after the other anyway.
        parallel: run.workers > 1 && device == Device::Cpu,
        progress,
        epoch_done: epoch,
        cancelled: run.cancelled,
    };
    let (translators, history) = match device {
        Device::Cuda(index) => cuda::train(&training, index),
        Device::Cpu | Device::Auto => training.run(),
    }?;
    Ok(Trained { translators, history })
}

/// Whose checkpoints they are.
fn fingerprint(device: Device, classes: [Faces<'_>; 2], settings: &Settings) -> Result<String, LearnError> {
    let mut hash = blake3::Hasher::new();
    let settings = serde_json::to_vec(&(VERSION, settings, classes[0].width, classes[0].count()))
        .map_err(|error| LearnError::Record(error.to_string()))?;
    hash.update(&settings);
    classes.iter().for_each(|class| {
        hash.update(class.pixels);
    });
    if let Device::Cuda(_) = device {
        hash.update(b"cuda, layers");
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// Gray values as networks see them: -1 is black, 1 is white.
fn to_values(pixels: &[u8], width: usize, mirrored: bool) -> Vec<f32> {
    let value = |pixel: &u8| f32::from(*pixel) / 127.5 - 1.0;
    if mirrored {
        return pixels.chunks_exact(width).flat_map(|line| line.iter().rev().map(value)).collect();
    }
    pixels.iter().map(value).collect()
}

/// The opposite.
fn to_gray(values: &[f32]) -> Vec<u8> {
    values.iter().map(|value| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect()
}
