//! What can go wrong, where, and what to do about it.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// There are no rows.
    #[error("there are no rows: give at least one face with a label")]
    Empty,
    /// Two inputs that belong together have different lengths.
    #[error("{what} has {found} entries where {expected} are needed: give one for each row (and class)")]
    Length {
        /// The input.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A label names no class.
    #[error("row {row} has label {label}, but there are {classes} classes (labels 0 to {})", classes.saturating_sub(1))]
    Label {
        /// The row, from 0.
        row: usize,
        /// Its label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A probability that is none.
    #[error("row {row} has the probability {value} for class {class}: probabilities are numbers from 0 to 1")]
    Probability {
        /// The row, from 0.
        row: usize,
        /// The class, from 0.
        class: usize,
        /// The number found.
        value: f32,
    },
    /// A row whose probabilities are no distribution.
    #[error("the probabilities of row {row} sum to {sum}, not to 1: divide each row by its sum")]
    Sum {
        /// The row, from 0.
        row: usize,
        /// Its sum.
        sum: f64,
    },
    /// Faces that all weigh nothing teach nothing.
    #[error(
        "all rows to learn from have the weight 0: nothing can be learnt; give those that count a weight above"
    )]
    NoWeight,
    /// A weight that is none.
    #[error("row {row} has the weight {value}: weights are numbers from 0")]
    Weight {
        /// The row, from 0.
        row: usize,
        /// The number found.
        value: f32,
    },
    /// A feature that is no number.
    #[error("row {row} has {value} as its feature {feature} (each from 0): features must be finite numbers")]
    Feature {
        /// The row, from 0.
        row: usize,
        /// The feature, from 0.
        feature: usize,
        /// The number found.
        value: f32,
    },
    /// A setting out of its range.
    #[error("setting `{name}` is {value}: {needed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would do.
        needed: &'static str,
    },
    /// Pictures too small for the network.
    #[error(
        "faces of {width}x{height} pixels are too small: {pools} halvings leave nothing of them; take larger faces, or fewer layers with a `p` (for a maximum that halves) in `layers`"
    )]
    TooSmall {
        /// Pixels in a line.
        width: usize,
        /// Lines.
        height: usize,
        /// Halvings, that of the input included.
        pools: usize,
    },
    /// There is nothing to learn from.
    #[error("there are {found} faces to learn from, but {needed} are needed: two for each shard")]
    TooFewToLearn {
        /// How many there are.
        found: usize,
        /// How many would do.
        needed: usize,
    },
    /// Training cannot go on from another network.
    #[error(
        "a network for {found} cannot be trained further as one for {expected}: give the settings that it was trained with, or begin from scratch"
    )]
    OtherNetwork {
        /// What it is.
        found: String,
        /// What was to be trained.
        expected: String,
    },
    /// A fold's network has nothing to learn from.
    #[error(
        "fold {fold} holds every row to learn from: there are fewer groups of duplicates than folds; take fewer folds or more data"
    )]
    NothingToLearn {
        /// The fold, from 0.
        fold: usize,
    },
    /// The loss is no number any more.
    #[error(
        "the loss became {loss} in fold {fold}, epoch {epoch}, step {step} (each from 0): lower the learning rate; the last good checkpoint is kept"
    )]
    Diverged {
        /// The fold.
        fold: usize,
        /// The epoch.
        epoch: usize,
        /// The step within the epoch.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// A loss is no number any more.
    #[error(
        "a loss became {loss} in epoch {epoch}, step {step} (each from 0): lower the learning rate; the last good checkpoint is kept"
    )]
    NotFinite {
        /// The epoch.
        epoch: usize,
        /// The step within the epoch.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// A class has too few faces to learn from.
    #[error(
        "{} class has {found} faces, but {needed} are needed: two at least, and as many as `batch_size`",
        if *.class == 0 { "the first" } else { "the second" }
    )]
    TooFewFaces {
        /// The class: 0 or 1.
        class: usize,
        /// How many there are.
        found: usize,
        /// How many would do.
        needed: usize,
    },
    /// Faces of a size that the networks cannot halve.
    #[error(
        "faces of {width}x{height} pixels do not fit: both sides must be multiples of {unit} and {least} at least; resize them, for example with `size` where they are read"
    )]
    FaceSize {
        /// Pixels in a line.
        width: usize,
        /// Lines.
        height: usize,
        /// What both must be a multiple of.
        unit: usize,
        /// What both must be at least.
        least: usize,
    },
    /// Faces of another size than those before.
    #[error(
        "faces of {}x{} pixels, where {}x{} are needed: resize them", .found.0, .found.1, .expected.0, .expected.1
    )]
    OtherSize {
        /// Their width and height.
        found: (usize, usize),
        /// What would fit.
        expected: (usize, usize),
    },
    /// Convolutions that are to learn do not fit each other or the features.
    #[error("the backbone's convolutions that are to learn do not fit: {0}")]
    Unfrozen(String),
    /// The checkpoints are those of another run.
    #[error("{} belongs to other settings or other data (or was begun on another kind of device): give another folder for checkpoints, or delete this one", .path.display())]
    OtherConfiguration {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint cannot be read.
    #[error("{} is damaged ({reason}): delete it, and what it holds is trained anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A network cannot be written down.
    #[error("the network cannot be written into a checkpoint: {0}")]
    Record(String),
    /// A network cannot be exported.
    #[error("the network cannot be written as ONNX: {0}")]
    Export(String),
    /// A device that was asked for cannot be used.
    #[error(transparent)]
    NotReady(#[from] ferroflow_cuda::NotReady),
    /// The networks and a step's faces are too large for the device.
    #[error(
        "the memory of the device does not suffice: lower `batch_size`, then of a CycleGAN `generator.width` and `discriminator.width`; the checkpoints are kept"
    )]
    DeviceMemory,
    /// A device failed.
    #[error("the device failed: {0}; the same call goes on from the last checkpoint")]
    DeviceFailed(String),
    /// A thread panicked.
    #[error("the training panicked: this is a mistake in ferroflow; the checkpoints are kept")]
    Panicked,
    /// The caller asked to stop.
    #[error("stopped as asked; the same call goes on from the last checkpoint")]
    Cancelled,
}
