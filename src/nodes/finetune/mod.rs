//! Trains the last layers of a classifier behind a network that stays as it is, or whose last blocks learn as well.

mod examples;
mod export;
mod unfrozen;

use std::path::{Path, PathBuf};

use ferroflow_learn::{
    classifier::{EpochResult, Progress},
    head::{self, Settings, Trained, Watch},
};
use ferroflow_vision::{inference::Device, model::onnxruntime_library};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{examples::Seen, unfrozen::Blocks};
use super::shared::{
    device,
    learning::{self, tell},
};
use super::{features::backbone, train::ONNX};
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces,
            faces::{train, validation},
        },
    },
    graph::dag::{Port, PortType},
    report::training,
};

/// Trains a classifier over the features of a network that stays as it is, or whose last blocks learn as
/// well: transfer learning.
///
/// `features` has asked the network, the backbone, about each face; here two dense layers learn to tell classes from
/// its answers: features, dense and ReLU, dropout, dense and softmax, by Adam. After each epoch they are
/// judged on the validation rows. Rows without a label, and those that were dropped, take no part. A column
/// `weight`, as `balance` makes it, says how much each row counts; where there is a column
/// `features_mirrored`, each face is taken mirrored half of the time. The result holds `classifier.onnx`, the
/// backbone and the layers in one file, with its labels and how its input is made, `training.svg` and
/// `loss.svg`. A training that is stopped goes on from its last epoch.
///
/// With `unfreeze` the features are those of a layer inside the backbone, and what follows there, blocks of
/// convolutions as VGG16 has them, learns as well.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Finetune {
    /// The network that `features` asked, by name or file.
    backbone: String,
    /// What the classifier is called, in tables.
    #[serde(default = "name")]
    name: String,
    /// The split that it learns from.
    #[serde(default = "train")]
    split: String,
    /// The split that it is judged on while it learns; one without rows judges nothing.
    #[serde(default = "validation")]
    validation: String,
    /// Numbers that the hidden layer gives.
    #[serde(default = "hidden")]
    hidden: usize,
    /// The part of these that is left out at random in training.
    #[serde(default = "dropout")]
    dropout: f32,
    /// How often each face is learnt from, at most.
    #[serde(default = "epochs")]
    epochs: usize,
    /// Faces in a step.
    #[serde(default = "batch_size")]
    batch_size: usize,
    /// The learning rate that training begins with.
    #[serde(default = "learning_rate")]
    learning_rate: f64,
    /// Adam's decay of the mean of gradients.
    #[serde(default = "beta1")]
    beta1: f64,
    /// Adam's decay of the mean of their squares.
    #[serde(default = "beta2")]
    beta2: f64,
    /// The part of a target that is spread over all classes.
    #[serde(default = "label_smoothing")]
    label_smoothing: f32,
    /// How much of a target comes from the column `probabilities` instead of the label: out-of-fold ones of
    /// `cross-validate`, or those of teachers from `predict`. 0 to 1.
    #[serde(default)]
    soft_labels: f32,
    /// What on the validation rows says how good an epoch is.
    #[serde(default)]
    watch: Measure,
    /// Whether the best epoch's layers are kept, rather than the last's.
    #[serde(default = "keep_best")]
    keep_best: bool,
    /// Epochs no better than the best before after which training ends; 0 never ends it early.
    #[serde(default = "patience")]
    patience: usize,
    /// Epochs without a gain of 0.0001 after which the learning rate falls; 0 never lowers it.
    #[serde(default = "plateau_patience")]
    plateau_patience: usize,
    /// What it is then multiplied with.
    #[serde(default = "plateau_factor")]
    plateau_factor: f32,
    /// What it never falls below.
    #[serde(default = "least_learning_rate")]
    least_learning_rate: f64,
    /// Whether each feature is shifted and divided so that its mean over the faces learnt from is 0 and its
    /// deviation 1. In the file this is part of the first layer. With `unfreeze` it is done behind the
    /// convolutions, by what these give before they learn.
    #[serde(default = "standardise")]
    standardise: bool,
    /// The first block of the backbone that learns as well, such as "block5" for the convolutions
    /// `block5_...` and all behind them; unless given, none. The features must be of what it takes: `layer =
    /// "block4_pool"` in `features`. From there on the backbone must be made of convolutions of 3x3 with bias
    /// and ReLU, and maxima over 2x2, in one line.
    #[serde(default)]
    unfreeze: Option<String>,
    /// What the learning rate is multiplied with for these convolutions.
    #[serde(default = "unfreeze_rate")]
    unfreeze_rate: f64,
    /// Where the finished file is compared with the trained layers: cpu, cuda, cuda:N or auto. Best where `features`
    /// ran, since devices round differently.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
    /// Another seed trains other layers.
    #[serde(default)]
    seed: u64,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// What on the validation rows says how good an epoch is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    /// Their mean loss.
    #[default]
    Loss,
    /// The part that is told right.
    Accuracy,
}

fn name() -> String {
    "finetuned".to_owned()
}

/// Defaults that are those of the library.
macro_rules! defaults {
    ($($field:ident: $type:ty;)+) => {
        $(fn $field() -> $type { Settings::default().$field })+
    };
}

defaults! {
    hidden: usize;
    dropout: f32;
    epochs: usize;
    batch_size: usize;
    learning_rate: f64;
    beta1: f64;
    beta2: f64;
    label_smoothing: f32;
    keep_best: bool;
    patience: usize;
    plateau_patience: usize;
    plateau_factor: f32;
    least_learning_rate: f64;
    standardise: bool;
    unfreeze_rate: f64;
}

impl Stage for Finetune {
    const NAME: &'static str = "finetune";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port::faces("Faces with labels and the features of `features`.")];
    const OUTPUT: PortType = PortType::Model;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.soft_labels) {
            return Err(format!("`soft-labels` is {}, and must be from 0 to 1", self.soft_labels));
        }
        self.settings().check().map_err(|error| learning::setting(error, learning::dashed))
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        backbone::files(&self.backbone)
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        // Weights, their gradients and Adam's two means, and the maps of a step's faces. The device sees but
        // a few faces at the end: it is nobody's for that.
        let memory_per_core = if self.unfreeze.is_some() { 2 << 30 } else { 1 << 30 };
        Needs { memory_per_core, ..Needs::default() }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        // The export is checked with it; better to know before the training.
        onnxruntime_library()?;
        let faces = Faces::of(context.input("input")?.table()?)?;
        let seen = Seen::of(&faces, [&self.split, &self.validation], self.soft_labels)?;
        let backbone = seen.backbone(&self.backbone)?;
        let blocks = self.unfreeze.as_deref().map(|block| Blocks::of(&backbone, block, seen.dimensions()));
        let blocks = blocks.transpose()?;
        let trained = self.train(&seen, blocks.as_ref(), context)?;
        let file = export::onnx(&backbone, &trained.head, &faces.classes)?;
        let path = context.out.join(ONNX);
        atomic::write(&path, &file)?;
        let difference = export::difference(&path, &trained.head, &seen, &faces, self.device)?;
        for (name, plot) in [
            ("training.svg", training::accuracy_over_epochs(&trained.history)?),
            ("loss.svg", training::loss_over_epochs(&trained.history)?),
        ] {
            atomic::write(&context.out.join(name), plot.as_bytes())?;
        }
        let mut facts = learning::facts(
            &self.name,
            &faces.classes,
            seen.chosen.counts(),
            &trained.history,
            trained.epoch,
        )
        .with("dimensions", seen.dimensions());
        if let Some(blocks) = &blocks {
            facts = facts.with("unfrozen", blocks.kernels());
        }
        Ok(backbone.facts(facts).with("export_difference", f64::from(difference)))
    }
}

impl Finetune {
    fn settings(&self) -> Settings {
        Settings {
            hidden: self.hidden,
            dropout: self.dropout,
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            label_smoothing: self.label_smoothing,
            watch: match self.watch {
                Measure::Loss => Watch::Loss,
                Measure::Accuracy => Watch::Accuracy,
            },
            keep_best: self.keep_best,
            patience: self.patience,
            plateau_patience: self.plateau_patience,
            plateau_factor: self.plateau_factor,
            least_learning_rate: self.least_learning_rate,
            standardise: self.standardise,
            unfreeze_rate: self.unfreeze_rate,
            seed: self.seed,
            ..Settings::default()
        }
    }

    fn train(&self, seen: &Seen, blocks: Option<&Blocks>, context: &Context) -> anyhow::Result<Trained> {
        let settings = self.settings();
        let progress = |at: Progress| {
            context.progress.set_of(at.epoch * at.steps + at.step, at.epochs * at.steps, "steps");
        };
        let epoch = |history: &[EpochResult]| tell(history, settings.epochs, context);
        let unfrozen = blocks.map(Blocks::unfrozen);
        let run = learning::run(Device::Cpu, &context.checkpoints, context);
        let (examples, split) = (seen.examples(), seen.chosen.split());
        let outcome = head::train(examples, unfrozen, split, &settings, &run, &progress, &epoch);
        outcome.map_err(|error| learning::stopped(error, Device::Cpu, "lower `batch-size`"))
    }
}
