//! One fold: a network trained on the other rows, asked about its own.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Progress, Settings};
use crate::checkpoint;
use crate::classifier::{Examples, Training, teach};
use crate::error::LearnError;
use crate::run::Split;
use ferroflow_cuda::Device;

/// One fold's work.
pub(super) struct Fold<'a> {
    pub index: usize,
    pub examples: Examples<'a>,
    /// Rows to learn from.
    pub learn: Vec<usize>,
    /// Rows to be asked about.
    pub ask: Vec<usize>,
    pub settings: &'a Settings,
    pub fingerprint: &'a str,
    pub device: Device,
    /// Threads that make ready what it learns from.
    pub loader_threads: usize,
    /// The fold's folder.
    pub folder: &'a Path,
    pub progress: &'a (dyn Fn(Progress) + Sync),
    pub cancelled: &'a AtomicBool,
}

impl Fold<'_> {
    /// Probabilities (asked rows x classes), from the fold's result if there is one, else by training to the end.
    pub(super) fn run(&self) -> Result<Vec<f32>, LearnError> {
        let result = self.folder.join("probabilities");
        let state = self.folder.join("state");
        if let Some(done) = checkpoint::read(&result, self.fingerprint)? {
            let [bytes] = done.parts.as_slice() else {
                return Err(checkpoint::damaged(&result, "it has another number of parts"));
            };
            let values: Vec<f32> = bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect();
            if values.len() != self.ask.len() * self.examples.classes {
                return Err(checkpoint::damaged(&result, "it has another number of rows"));
            }
            return Ok(values);
        }
        let training = Training {
            examples: self.examples,
            split: Split { learn: &self.learn, validate: &[] },
            ask: &self.ask,
            settings: &self.settings.network,
            begin: None,
            stream: self.index as u64,
            fingerprint: self.fingerprint,
            state: &state,
            threads: 1,
            loader_threads: self.loader_threads,
            progress: &|training| {
                (self.progress)(Progress { fold: self.index, folds: self.settings.folds, training });
            },
            epoch_done: &|_| {},
            cancelled: self.cancelled,
        };
        let outcome = teach(&training, self.device).map_err(|error| match error {
            LearnError::NotFinite { epoch, step, loss } => {
                LearnError::Diverged { fold: self.index, epoch, step, loss }
            }
            other => other,
        })?;
        let probabilities = outcome.answers;
        let bytes: Vec<u8> = probabilities.iter().flat_map(|value| value.to_le_bytes()).collect();
        checkpoint::write(&result, self.fingerprint, self.settings.network.epochs, &[&bytes])?;
        checkpoint::remove(&state)?;
        Ok(probabilities)
    }
}
