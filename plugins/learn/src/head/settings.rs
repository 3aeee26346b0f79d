//! The recipe of a head.

use serde::{Deserialize, Serialize};

use crate::error::LearnError;
use crate::rules::{self, above_zero, at_least, from_zero, part, whole};

/// Which measure of the validation rows says how good an epoch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watch {
    /// Their mean loss, as Keras' callbacks do unless told otherwise.
    #[default]
    Loss,
    /// The part that is told right.
    Accuracy,
}

/// How a head is built and trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Numbers that the hidden layer gives.
    pub hidden: usize,
    /// The part of these that is left out at random in training.
    pub dropout: f32,
    /// How often the head sees each of its faces, at most.
    pub epochs: usize,
    /// Faces in a step; the last of an epoch takes what is left over.
    pub batch_size: usize,
    /// The learning rate that training begins with.
    pub learning_rate: f64,
    /// Adam's decay of the mean of gradients.
    pub beta1: f64,
    /// Adam's decay of the mean of their squares.
    pub beta2: f64,
    /// What Adam adds to the root of that mean.
    pub epsilon: f64,
    /// The part of a target that is spread over all classes.
    pub label_smoothing: f32,
    /// What the following three go by.
    pub watch: Watch,
    /// Whether the best epoch's head is kept, rather than the last's.
    pub keep_best: bool,
    /// Epochs that are no better than the best before after which training ends; 0 never ends it early.
    pub patience: usize,
    /// Epochs without a gain after which the learning rate falls; 0 never lowers it.
    pub plateau_patience: usize,
    /// What it is then multiplied with.
    pub plateau_factor: f32,
    /// What it never falls below.
    pub least_learning_rate: f64,
    /// Whether each number that the first layer takes is shifted and divided so that its mean over the faces learnt
    /// from is 0 and its deviation 1; behind convolutions that learn, as these give them at first.
    pub standardise: bool,
    /// What the learning rate is multiplied with for convolutions of the backbone that learn as well.
    pub unfreeze_rate: f64,
    /// Another seed trains another head.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hidden: 128,
            dropout: 0.3,
            epochs: 20,
            batch_size: 128,
            learning_rate: 0.001,
            beta1: 0.5,
            beta2: 0.999,
            epsilon: 1e-7,
            label_smoothing: 0.0,
            watch: Watch::Loss,
            keep_best: true,
            patience: 6,
            plateau_patience: 3,
            plateau_factor: 0.1,
            least_learning_rate: 0.0,
            standardise: false,
            unfreeze_rate: 0.1,
            seed: 0,
        }
    }
}

impl Settings {
    /// Refuses what cannot be trained with.
    ///
    /// # Errors
    /// If a setting is out of its range; it is named.
    pub fn check(&self) -> Result<(), LearnError> {
        rules::check([
            at_least("hidden", self.hidden, 1),
            part("dropout", self.dropout.into()),
            at_least("epochs", self.epochs, 1),
            at_least("batch_size", self.batch_size, 1),
            above_zero("learning_rate", self.learning_rate),
            part("beta1", self.beta1),
            part("beta2", self.beta2),
            above_zero("epsilon", self.epsilon),
            part("label_smoothing", self.label_smoothing.into()),
            whole("plateau_factor", self.plateau_factor),
            from_zero("least_learning_rate", self.least_learning_rate),
            above_zero("unfreeze_rate", self.unfreeze_rate),
        ])
    }
}
