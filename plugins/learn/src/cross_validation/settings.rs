//! The recipe of a cross-validation.

use serde::{Deserialize, Serialize};

use crate::error::LearnError;
use crate::network::Layer;

/// How networks are trained. `Default` is the recipe that was measured on FER2013.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Into how many parts the rows are divided; each part is judged by a network that learnt from the others. From 2.
    pub folds: usize,
    /// How often a network sees each of its faces.
    pub epochs: usize,
    /// Faces in a step.
    pub batch_size: usize,
    /// The greatest learning rate; it rises to this over `warm_up` and falls to zero along half a cosine.
    pub learning_rate: f64,
    /// The part of all steps over which the learning rate rises, in 0..1.
    pub warm_up: f64,
    /// Nesterov momentum of stochastic gradient descent, in 0..1.
    pub momentum: f64,
    /// Decay of the weights in a step, times the learning rate.
    pub weight_decay: f64,
    /// The part of a target that is spread over all classes, in 0..1. It keeps networks from being sure of wrong labels.
    pub label_smoothing: f32,
    /// The part of the features that is left out at random before the last layer, in 0..1.
    pub dropout: f32,
    /// The blocks of the network, in order.
    pub layers: Vec<Layer>,
    /// How faces vary while a network learns.
    pub augmentation: Augmentation,
    /// All randomness comes from this.
    pub seed: u64,
}

/// How faces vary while a network learns: each draws its own variation in each epoch. Faces are mirrored half the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// The greatest shift in each direction, in pixels.
    pub shift: f32,
    /// The greatest rotation in each direction, in degrees.
    pub rotation: f32,
    /// The greatest change in size, as a part of the size.
    pub zoom: f32,
    /// The probability that a square is blanked, in 0..=1.
    pub erase: f32,
    /// The side of the greatest such square, as a part of the face's side, in 0..=1.
    pub erase_side: f32,
}

impl Default for Settings {
    fn default() -> Self {
        let layer = |channels, pool| Layer { channels, pool };
        Self {
            folds: 4,
            epochs: 14,
            batch_size: 64,
            learning_rate: 0.12,
            warm_up: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            label_smoothing: 0.1,
            dropout: 0.1,
            layers: vec![
                layer(32, true),
                layer(64, false),
                layer(64, true),
                layer(128, false),
                layer(128, false),
            ],
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
        let part = |value: f64| (0.0..1.0).contains(&value);
        let rules: [(bool, &'static str, String, &'static str); 12] = [
            (self.folds >= 2, "folds", self.folds.to_string(), "2 or more are needed"),
            (self.epochs >= 1, "epochs", self.epochs.to_string(), "1 or more are needed"),
            (self.batch_size >= 2, "batch_size", self.batch_size.to_string(), "2 or more are needed"),
            (
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                "learning_rate",
                self.learning_rate.to_string(),
                "a number above 0 is needed",
            ),
            (part(self.warm_up), "warm_up", self.warm_up.to_string(), "0 or more and less than 1 is needed"),
            (
                part(self.momentum),
                "momentum",
                self.momentum.to_string(),
                "0 or more and less than 1 is needed",
            ),
            (
                part(self.weight_decay),
                "weight_decay",
                self.weight_decay.to_string(),
                "0 or more and less than 1 is needed",
            ),
            (
                part(f64::from(self.label_smoothing)),
                "label_smoothing",
                self.label_smoothing.to_string(),
                "0 or more and less than 1 is needed",
            ),
            (
                part(f64::from(self.dropout)),
                "dropout",
                self.dropout.to_string(),
                "0 or more and less than 1 is needed",
            ),
            (
                !self.layers.is_empty() && self.layers.iter().all(|layer| layer.channels > 0),
                "layers",
                format!("{:?}", self.layers),
                "one or more layers with one or more channels each are needed",
            ),
            (
                self.augmentation.zoom >= 0.0 && self.augmentation.zoom < 1.0,
                "augmentation.zoom",
                self.augmentation.zoom.to_string(),
                "0 or more and less than 1 is needed",
            ),
            (
                [
                    self.augmentation.shift,
                    self.augmentation.rotation,
                    self.augmentation.erase,
                    self.augmentation.erase_side,
                ]
                .iter()
                .all(|value| *value >= 0.0 && value.is_finite()),
                "augmentation",
                format!("{:?}", self.augmentation),
                "numbers from 0 are needed",
            ),
        ];
        match rules.into_iter().find(|rule| !rule.0) {
            Some((_, name, value, needed)) => Err(LearnError::Setting { name, value, needed }),
            None => Ok(()),
        }
    }
}
