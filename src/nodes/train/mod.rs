//! Trains a classifier.

mod examples;
mod export;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ferroflow_learn::{
    Device,
    classifier::{
        self, Augmentation, Classifier, EpochResult, LOADER_THREADS, Layer, Progress, Settings, Trained,
    },
};
use ferroflow_vision::model::onnxruntime_library;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::examples::Chosen;
use self::examples::Drawn;
use super::shared::{
    device,
    learning::{self, dashed, stopped, tell},
};
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::{train, validation},
        },
    },
    graph::dag::{Arity, Port, PortType},
    report::training,
};

/// The network that training can go on from, in the result.
const NETWORK: &str = "network.bin";
/// The network that others use, in the result.
pub const ONNX: &str = "classifier.onnx";

/// Trains a classifier of gray faces from scratch, or on from an earlier one.
///
/// The network: 2x2 pixels become one, then blocks of 3x3 convolution, batch normalisation and ReLU, the mean
/// over what is left, one linear layer. Pictures must all be of one size. Rows without a label, and those
/// that were dropped, take no part. A column `weight`, as `balance` makes it, says how much each row counts.
/// After each epoch the network is judged on the validation rows, and the best is kept; without such rows,
/// the last. The result holds `classifier.onnx` (with its labels and how its input is made), `network.bin`
/// (to train further), and `training.svg`. A training that is stopped goes on from its last epoch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Train {
    /// What the classifier is called, in its file and in tables.
    #[serde(default = "name")]
    name: String,
    /// The split that it learns from.
    #[serde(default = "train")]
    split: String,
    /// The split that it is judged on while it learns; one without rows judges nothing.
    #[serde(default = "validation")]
    validation: String,
    /// Channels of each block; `p` where a maximum over 2x2 pixels follows.
    #[serde(default = "layers")]
    layers: String,
    /// How often the network sees each of its faces.
    #[serde(default = "epochs")]
    epochs: usize,
    /// Faces in a step.
    #[serde(default = "batch_size")]
    batch_size: usize,
    /// Parts of a step that are computed side by side, each normalised for itself. The result depends on this number,
    /// not on the cores.
    #[serde(default = "shards")]
    shards: usize,
    /// The greatest learning rate; it rises to this and falls to zero along half a cosine.
    #[serde(default = "learning_rate")]
    learning_rate: f64,
    /// The part of all steps over which the learning rate rises.
    #[serde(default = "warm_up")]
    warm_up: f64,
    /// Nesterov momentum of stochastic gradient descent, in Burn's form, in which what comes in is damped by
    /// a tenth: a learning rate acts as 0.91 of it does in PyTorch.
    #[serde(default = "momentum")]
    momentum: f64,
    /// Decay of all weights, gains and biases among them, in a step, times the learning rate.
    #[serde(default = "weight_decay")]
    weight_decay: f64,
    /// The part of a target that is spread over all classes.
    #[serde(default = "label_smoothing")]
    label_smoothing: f32,
    /// How much of a target comes from the column `probabilities` instead of the label: out-of-fold ones of
    /// `cross-validate`, or those of teachers from `predict`. 0 to 1.
    #[serde(default)]
    soft_labels: f32,
    /// The part of the features that is left out at random before the last layer.
    #[serde(default = "dropout")]
    dropout: f32,
    /// Parameter of the Beta distribution by which faces are mixed in pairs (mixup), 0 to 1; 0 mixes none.
    #[serde(default = "mixup")]
    mixup: f32,
    /// How slowly the kept weights follow those that learn; 0 keeps the learning ones.
    #[serde(default = "averaging")]
    averaging: f32,
    /// Epochs without a better accuracy on the validation rows after which training ends; 0 never ends it early.
    #[serde(default)]
    patience: usize,
    /// The greatest shift of a face in each direction, in pixels.
    #[serde(default = "shift")]
    shift: f32,
    /// The greatest rotation in each direction, in degrees.
    #[serde(default = "rotation")]
    rotation: f32,
    /// The greatest change in size, as a part of the size.
    #[serde(default = "zoom")]
    zoom: f32,
    /// The probability that a square is blanked.
    #[serde(default = "erase")]
    erase: f32,
    /// The side of the greatest such square, as a part of the face's side.
    #[serde(default = "erase_side")]
    erase_side: f32,
    /// Another seed trains another network.
    #[serde(default)]
    seed: u64,
    /// Where it is trained: cpu, cuda, cuda:N, or auto, which takes a CUDA device where there is one. Networks
    /// differ from those of the CPU in their last digits at first, so another device begins anew.
    #[serde(default = "device::cpu", skip_serializing_if = "device::is_cpu")]
    #[schemars(with = "String", extend("default" = "cpu"))]
    device: Device,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

fn name() -> String {
    "classifier".to_owned()
}

fn layers() -> String {
    "32p 64 64p 128 128".to_owned()
}

fn epochs() -> usize {
    30
}

fn shards() -> usize {
    2
}

fn mixup() -> f32 {
    0.2
}

fn averaging() -> f32 {
    0.999
}

/// Defaults that are those of the library.
macro_rules! defaults {
    ($($name:ident: $type:ty = $($field:ident).+;)+) => {
        $(fn $name() -> $type { Settings::default().$($field).+ })+
    };
}

defaults! {
    batch_size: usize = batch_size;
    learning_rate: f64 = learning_rate;
    warm_up: f64 = warm_up;
    momentum: f64 = momentum;
    weight_decay: f64 = weight_decay;
    label_smoothing: f32 = label_smoothing;
    dropout: f32 = dropout;
    shift: f32 = augmentation.shift;
    rotation: f32 = augmentation.rotation;
    zoom: f32 = augmentation.zoom;
    erase: f32 = augmentation.erase;
    erase_side: f32 = augmentation.erase_side;
}

impl Stage for Train {
    const NAME: &'static str = "train";
    const VERSION: u32 = 4;
    const INPUTS: &'static [Port] = &[
        Port::faces("Faces with labels."),
        Port {
            name: "begin",
            accepts: PortType::Model,
            arity: Arity::Optional,
            doc: "A network of `train` with the same layers, classes and size, to train further.",
        },
    ];
    const OUTPUT: PortType = PortType::Model;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.soft_labels) {
            return Err(format!("`soft-labels` is {}, and must be from 0 to 1", self.soft_labels));
        }
        let called = |name: &str| dashed(name.trim_start_matches("augmentation."));
        self.settings()?.check().map_err(|error| learning::setting(error, called))
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        let device = device::needed(self.device);
        let cores = if device.is_some() { LOADER_THREADS } else { self.shards };
        Needs { cores, memory_per_core: 512 << 20, device }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        // The export is checked with it; better to know before the training.
        onnxruntime_library()?;
        let faces = Faces::of(context.input("input")?.table()?)?;
        let drawn = Drawn::of(&faces, [&self.split, &self.validation], self.soft_labels, context.workers)?;
        let begin = match context.optional("begin") {
            None => None,
            Some(input) => {
                let path = input.folder.join(NETWORK);
                let bytes = std::fs::read(&path).with_context(|| {
                    format!("`begin` is no result of `train`: {} is not there", path.display())
                })?;
                let known = input.facts()?.0.get("classes").cloned();
                if known.is_some_and(|known| known != serde_json::json!(faces.classes)) {
                    bail!(
                        "`begin` knows other classes than the rows have ({}), or the same in another order",
                        faces.classes.join(", ")
                    );
                }
                Some(Classifier::from_bytes(&bytes, &path)?)
            }
        };
        let trained = self.train(&drawn, begin.as_ref(), context)?;
        let file = export::onnx(&trained.classifier, &self.name, &faces.classes)?;
        let path = context.out.join(ONNX);
        atomic::write(&path, &file)?;
        let difference = export::difference(&path, &trained.classifier, &drawn, context)?;
        atomic::write(&context.out.join(NETWORK), &trained.classifier.to_bytes()?)?;
        let plot = training::accuracy_over_epochs(&trained.history)?;
        atomic::write(&context.out.join("training.svg"), plot.as_bytes())?;
        let told = learning::facts(
            &self.name,
            &faces.classes,
            drawn.chosen.counts(),
            &trained.history,
            trained.epoch,
        );
        Ok(told.with("export_difference", f64::from(difference)))
    }
}

impl Train {
    fn settings(&self) -> Result<Settings, String> {
        Ok(Settings {
            layers: parse_layers(&self.layers)?,
            epochs: self.epochs,
            batch_size: self.batch_size,
            shards: self.shards,
            learning_rate: self.learning_rate,
            warm_up: self.warm_up,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            label_smoothing: self.label_smoothing,
            dropout: self.dropout,
            mixup: self.mixup,
            averaging: self.averaging,
            patience: self.patience,
            augmentation: Augmentation {
                shift: self.shift,
                rotation: self.rotation,
                zoom: self.zoom,
                erase: self.erase,
                erase_side: self.erase_side,
            },
            seed: self.seed,
        })
    }

    fn train(&self, drawn: &Drawn, begin: Option<&Classifier>, context: &Context) -> anyhow::Result<Trained> {
        let settings = self.settings().map_err(anyhow::Error::msg)?;
        let progress = |at: Progress| {
            context.progress.set_of(at.epoch * at.steps + at.step, at.epochs * at.steps, "steps");
        };
        let epoch = |history: &[EpochResult]| tell(history, settings.epochs, context);
        let device = device::for_training(self.device, context)?;
        let checkpoints = device::checkpoints(&context.checkpoints, device);
        let run = learning::run(device, &checkpoints, context);
        let (examples, split) = (drawn.examples(), drawn.chosen.split());
        let outcome = classifier::train(examples, split, &settings, begin, &run, &progress, &epoch);
        outcome.map_err(|error| stopped(error, device, "lower `batch-size`, or raise `shards`"))
    }
}

/// Blocks from "32p 64 64p".
fn parse_layers(text: &str) -> Result<Vec<Layer>, String> {
    let one = |word: &str| {
        let (channels, pool) = word.strip_suffix('p').map_or((word, false), |channels| (channels, true));
        let channels = channels.parse::<usize>().ok().filter(|channels| *channels > 0);
        let channels = channels.ok_or_else(|| {
            format!("`layers` has `{word}`: numbers of channels are needed, with a `p` where a maximum follows, such as \"32p 64 64p\"")
        })?;
        Ok(Layer { channels, pool })
    };
    text.split_whitespace().map(one).collect()
}
