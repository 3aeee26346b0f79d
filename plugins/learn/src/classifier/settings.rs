//! The recipe of a classifier.

use serde::{Deserialize, Serialize};

use super::network::Layer;
use crate::error::LearnError;
use crate::rules::{self, above_zero, at_least, from_zero, part, whole};

/// Below, random shares take longer and longer to draw.
const LEAST_MIXUP: f32 = 1e-3;

/// How a classifier is built and trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The blocks of the network, in order.
    pub layers: Vec<Layer>,
    /// How often the network sees each of its faces.
    pub epochs: usize,
    /// Faces in a step.
    pub batch_size: usize,
    /// Parts of a step's faces that are computed side by side, each normalised with moments of its own (the ghost
    /// batches of Hoffer et al. 2017). The result depends on this number, not on how many threads there are.
    pub shards: usize,
    /// The greatest learning rate; it rises to this over `warm_up` and falls to zero along half a cosine
    /// (Loshchilov & Hutter 2017).
    pub learning_rate: f64,
    /// The part of all steps over which the learning rate rises, in 0..1.
    pub warm_up: f64,
    /// Nesterov momentum of stochastic gradient descent, in 0..1. In Burn's form, which damps what comes in
    /// by a tenth: at 0.9 a learning rate moves weights as 0.91 of it does in PyTorch.
    pub momentum: f64,
    /// Decay of all weights, gains and biases among them, in a step, times the learning rate.
    pub weight_decay: f64,
    /// The part of a target that is spread over all classes, in 0..1 (Szegedy et al. 2016).
    pub label_smoothing: f32,
    /// The part of the features that is left out at random before the last layer, in 0..1.
    pub dropout: f32,
    /// Parameter of the Beta distribution from which shares are drawn when faces and targets are mixed in
    /// pairs (Zhang et al. 2018), in 0..=1; 0 mixes none.
    pub mixup: f32,
    /// How slowly the kept weights follow those that learn, in 0..1: their exponential mean (Tarvainen &
    /// Valpola 2017). 0 keeps the learning ones.
    pub averaging: f32,
    /// Epochs without a better accuracy on the validation faces after which training ends; 0 never ends it early.
    pub patience: usize,
    /// How faces vary while the network learns.
    pub augmentation: Augmentation,
    /// All randomness comes from this.
    pub seed: u64,
}

/// How faces vary while a network learns: each draws its own variation in each epoch. Faces are mirrored half
/// the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// The greatest shift in each direction, in pixels.
    pub shift: f32,
    /// The greatest rotation in each direction, in degrees.
    pub rotation: f32,
    /// The greatest change in size, as a part of the size, in 0..1.
    pub zoom: f32,
    /// The probability that a square is blanked (Zhong et al. 2020), in 0..=1.
    pub erase: f32,
    /// The side of the greatest such square, as a part of the face's side, in 0..=1.
    pub erase_side: f32,
}

impl Default for Settings {
    fn default() -> Self {
        let layer = |channels, pool| Layer { channels, pool };
        Self {
            layers: vec![
                layer(32, true),
                layer(64, false),
                layer(64, true),
                layer(128, false),
                layer(128, false),
            ],
            epochs: 14,
            batch_size: 64,
            shards: 1,
            learning_rate: 0.12,
            warm_up: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.1,
            dropout: 0.1,
            mixup: 0.0,
            averaging: 0.0,
            patience: 0,
            augmentation: Augmentation::default(),
            seed: 0,
        }
    }
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { shift: 2.0, rotation: 8.0, zoom: 0.08, erase: 0.2, erase_side: 0.3 }
    }
}

impl Settings {
    /// Refuses what cannot be trained with.
    ///
    /// # Errors
    /// If a setting is out of its range; it is named.
    pub fn check(&self) -> Result<(), LearnError> {
        let Augmentation { shift, rotation, zoom, erase, erase_side } = self.augmentation;
        let has_layers = !self.layers.is_empty() && self.layers.iter().all(|layer| layer.channels > 0);
        let rules = [
            at_least("epochs", self.epochs, 1),
            at_least("batch_size", self.batch_size, 2),
            at_least("shards", self.shards, 1),
            (
                "batch_size",
                self.batch_size.to_string(),
                self.batch_size >= 2 * self.shards,
                "two faces for each of `shards` are needed",
            ),
            above_zero("learning_rate", self.learning_rate),
            part("warm_up", self.warm_up),
            part("momentum", self.momentum),
            part("weight_decay", self.weight_decay),
            part("label_smoothing", self.label_smoothing.into()),
            part("dropout", self.dropout.into()),
            whole("mixup", self.mixup),
            (
                "mixup",
                self.mixup.to_string(),
                self.mixup == 0.0 || self.mixup >= LEAST_MIXUP,
                "0, or 0.001 and more: below, shares are as good as 0 or 1",
            ),
            part("averaging", self.averaging.into()),
            (
                "layers",
                format!("{:?}", self.layers),
                has_layers,
                "one or more layers with one or more channels each are needed",
            ),
            part("augmentation.zoom", zoom.into()),
            from_zero("augmentation.shift", shift.into()),
            from_zero("augmentation.rotation", rotation.into()),
            whole("augmentation.erase", erase),
            whole("augmentation.erase_side", erase_side),
        ];
        rules::check(rules)
    }
}
