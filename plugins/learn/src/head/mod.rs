//! The last layers of a classifier, over features that another network gives and that stay as they are:
//! transfer learning.
//!
//! Features -> convolutions of that network, where these learn as well -> dense, ReLU, dropout -> dense,
//! softmax. Adam (Kingma & Ba 2015), the best epoch kept, an early end, and a learning rate that falls where
//! the validation rows get no better. On one thread, in a fixed order of sums: the result depends on the
//! features, the settings and the seed alone, not on how often training was killed and went on.

mod adam;
mod blocks;
mod examples;
mod layer;
mod schedule;
mod settings;
mod trained;
mod training;
mod weights;

pub use blocks::Unfrozen;
pub use examples::Examples;
pub use settings::{Settings, Watch};
pub use trained::Head;

use crate::classifier::{EpochResult, Progress};
use crate::error::LearnError;
use crate::run::{Run, Split};
use training::Training;

/// Raised whenever the same settings and features would give another head than before.
const VERSION: u32 = 2;

/// What training gives.
#[derive(Debug)]
pub struct Trained {
    /// The best head on the validation rows; without any, or where the best is not asked for, the last.
    pub head: Head,
    /// Each epoch's.
    pub history: Vec<EpochResult>,
    /// The epoch (from 0) that the head is of.
    pub epoch: usize,
}

/// Trains on some rows of `examples`, and judges on the validation rows after each epoch; on one thread of
/// the CPU, whatever else `run` would have.
///
/// With `unfrozen` convolutions, which the features then go through, these learn as well, by `unfreeze_rate`
/// times the learning rate. A killed training goes on from its last epoch. `progress` is called after every
/// step, `epoch` after every epoch, with those so far.
///
/// # Errors
/// If the examples do not fit each other or the convolutions, or hold what is no number, there is nothing to learn
/// from, a setting is out of its range, the loss is no number any more (the last checkpoint is kept), `checkpoints`
/// holds those of other settings or features, or a file cannot be read or written.
pub fn train(
    examples: Examples<'_>,
    unfrozen: Option<Unfrozen<'_>>,
    split: Split<'_>,
    settings: &Settings,
    run: &Run<'_>,
    progress: &dyn Fn(Progress),
    epoch: &dyn Fn(&[EpochResult]),
) -> Result<Trained, LearnError> {
    settings.check()?;
    examples.check()?;
    split.check("features", examples.rows())?;
    if split.learn.is_empty() {
        return Err(LearnError::Empty);
    }
    examples.targets().check_weights(split.learn)?;
    let training = Training {
        examples,
        unfrozen,
        split,
        settings,
        fingerprint: &fingerprint(examples, unfrozen, split, settings)?,
        state: &run.checkpoints.join("head"),
        progress,
        epoch_done: epoch,
        cancelled: run.cancelled,
    };
    training.run()
}

/// Whose checkpoints they are.
fn fingerprint(
    examples: Examples<'_>,
    unfrozen: Option<Unfrozen<'_>>,
    Split { learn, validate }: Split<'_>,
    settings: &Settings,
) -> Result<String, LearnError> {
    let Examples { features, mirrored, dimensions, targets, weights, classes } = examples;
    let convolutions = unfrozen.map_or(&[][..], |unfrozen| unfrozen.convolutions);
    let steps: Vec<_> = convolutions.iter().map(|step| (step.inputs, step.outputs, step.pool)).collect();
    let maps = unfrozen.map(|Unfrozen { height, width, .. }| (height, width, steps));
    let shape = (
        VERSION,
        settings,
        dimensions,
        classes,
        mirrored.is_some(),
        weights.is_some(),
        learn,
        validate,
        maps,
    );
    let shape = serde_json::to_vec(&shape).map_err(|error| LearnError::Record(error.to_string()))?;
    let mut hash = blake3::Hasher::new();
    hash.update(&shape);
    let mut bytes = Vec::new();
    let numbers = [features, mirrored.unwrap_or_default(), targets, weights.unwrap_or_default()];
    let kernels = convolutions.iter().flat_map(|step| [step.kernel.as_slice(), step.bias.as_slice()]);
    for values in numbers.into_iter().chain(kernels) {
        for some in values.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(some.iter().flat_map(|value| value.to_le_bytes()));
            hash.update(&bytes);
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}
