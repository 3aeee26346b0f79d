//! What the networks are judged by.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::settings;
use crate::ssim::Ssim;

/// Mean squared distance of verdicts from 1 or 0 (Mao et al. 2017).
pub fn adversarial<B: Backend>(verdicts: Tensor<B, 4>, target: f64) -> Tensor<B, 1> {
    let distance = verdicts - target;
    (distance.clone() * distance).mean()
}

/// Mean absolute difference.
pub fn l1<B: Backend>(x: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 1> {
    (x - y).abs().mean()
}

/// What is lost on the way there and back: (L1 + L2 + 1 - SSIM) / 3, or the mean of those terms that are on.
/// 0 for none.
pub fn cycle<B: Backend>(
    x: Tensor<B, 4>,
    back: Tensor<B, 4>,
    ssim: &Ssim<B>,
    losses: &settings::Losses,
) -> Tensor<B, 1> {
    let difference = x.clone() - back.clone();
    let terms = [
        losses.cycle_l1.then(|| difference.clone().abs().mean()),
        losses.cycle_l2.then(|| (difference.clone() * difference.clone()).mean()),
        losses.cycle_ssim.then(|| -ssim.index(x, back) + 1.0),
    ];
    let sum = terms.into_iter().flatten().reduce(|sum, term| sum + term);
    sum.map_or_else(|| Tensor::zeros([1], &difference.device()), |sum| sum / losses.cycle_terms() as f64)
}

/// Losses of one direction, without their weights; means over a step or an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Direction {
    /// How far the discriminator is from calling what is generated real.
    pub adversarial: f32,
    /// What the generator changes of faces of its target class.
    pub identity: f32,
    /// What is lost from here there and back.
    pub cycle: f32,
    /// Structural similarity of the faces that went there and back with what they were.
    pub similarity: f32,
    /// Of the discriminator that judges this direction's results: half its distance from real and half from
    /// generated faces.
    pub discriminator: f32,
}

impl Direction {
    /// All of them.
    pub const fn values(&self) -> [f32; 5] {
        [self.adversarial, self.identity, self.cycle, self.similarity, self.discriminator]
    }

    /// The opposite of [`Self::values`]; what is missing is 0.
    pub fn from_values(values: &[f32]) -> Self {
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        Self { adversarial: at(0), identity: at(1), cycle: at(2), similarity: at(3), discriminator: at(4) }
    }

    /// Adds a part of another.
    pub fn add(&mut self, other: &Self, part: f32) {
        self.adversarial += part * other.adversarial;
        self.identity += part * other.identity;
        self.cycle += part * other.cycle;
        self.similarity += part * other.similarity;
        self.discriminator += part * other.discriminator;
    }
}
