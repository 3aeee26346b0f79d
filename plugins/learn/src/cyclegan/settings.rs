//! The recipe of a CycleGAN.

use serde::{Deserialize, Serialize};

use crate::error::LearnError;
use crate::kernels::planes::norm::Over;
use crate::rules::{self, above_zero, at_least, from_zero, part};

/// How a CycleGAN is built and trained. `Default` is the setting of Mazen, Nashat & Abdel Azeem Abul Seoud,
/// and where they are silent that of Zhu, Park, Isola & Efros 2017.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The two networks that translate.
    pub generator: Generator,
    /// The two networks that tell real from generated.
    pub discriminator: Discriminator,
    /// What is normalised together, in all four.
    pub normalisation: Normalisation,
    /// The parts of the loss.
    pub losses: Losses,
    /// Faces of each class in a step.
    pub batch_size: usize,
    /// Epochs at the full learning rate.
    pub epochs: usize,
    /// Epochs over which it then falls to zero.
    pub decay_epochs: usize,
    /// Faces of each class in an epoch; 0: as many as the larger class has. The smaller one is gone through
    /// again and again.
    pub epoch_faces: usize,
    /// The learning rate of Adam (beta1 0.5, beta2 0.999).
    pub learning_rate: f64,
    /// Generated faces from which the discriminators draw, half the time, instead of the newest (Shrivastava
    /// et al. 2017).
    pub buffer: usize,
    /// Whether discriminators call generated faces 1 and real ones 0, rather than the other way.
    pub flipped_labels: bool,
    /// Whether each face is mirrored half the time.
    pub mirrored: bool,
    /// All randomness comes from this.
    pub seed: u64,
}

/// Zhu's generator: 7x7 of `width`, halvings that double the channels, residual blocks, doublings back, 7x7
/// to gray and tanh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    /// Channels at full size.
    pub width: usize,
    /// How often the size is halved.
    pub halvings: usize,
    /// Residual blocks at the smallest size. (Zhu: 6 for pictures of up to 128 pixels.)
    pub blocks: usize,
    /// The part of a block's values that is left out at random, in 0..1.
    pub dropout: f32,
}

/// A patch discriminator: 4x4 of `width` and stride 2, more of those, one of stride 1, then a verdict on each patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discriminator {
    /// Channels of the first layer; each further one doubles them, up to eight times this.
    pub width: usize,
    /// Layers of stride 2. Two judge patches of 34x34, which is to 48x48 what Zhu's three (70x70) are to 128x128.
    pub halvings: usize,
}

/// What is normalised together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// A channel over the whole batch.
    #[default]
    Batch,
    /// A channel of each face for itself.
    Instance,
}

impl From<Normalisation> for Over {
    fn from(normalisation: Normalisation) -> Self {
        match normalisation {
            Normalisation::Batch => Self::Batch,
            Normalisation::Instance => Self::Instance,
        }
    }
}

/// Weights of the loss of the generators, and the terms of its cycle part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Losses {
    /// Weight of the adversarial part: the squared distance of a discriminator's verdict from "real" (Mao et
    /// al. 2017).
    pub adversarial: f64,
    /// Weight of the identity part: what a generator changes (L1) of a face that is of its target class already.
    pub identity: f64,
    /// Weight of the cycle part: what is lost on the way there and back, the mean of the terms that are on.
    pub cycle: f64,
    /// Mean absolute difference. Alone, this is the cycle loss of Zhu et al.
    pub cycle_l1: bool,
    /// Mean squared difference.
    pub cycle_l2: bool,
    /// One less the structural similarity.
    pub cycle_ssim: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            generator: Generator::default(),
            discriminator: Discriminator::default(),
            normalisation: Normalisation::default(),
            losses: Losses::default(),
            batch_size: 1,
            epochs: 100,
            decay_epochs: 100,
            epoch_faces: 0,
            learning_rate: 2e-4,
            buffer: 50,
            flipped_labels: true,
            mirrored: true,
            seed: 0,
        }
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self { width: 64, halvings: 2, blocks: 6, dropout: 0.5 }
    }
}

impl Default for Discriminator {
    fn default() -> Self {
        Self { width: 64, halvings: 2 }
    }
}

impl Default for Losses {
    fn default() -> Self {
        Self { adversarial: 1.0, identity: 2.0, cycle: 5.0, cycle_l1: true, cycle_l2: true, cycle_ssim: true }
    }
}

impl Losses {
    /// How many terms the cycle part has.
    pub fn cycle_terms(&self) -> usize {
        [self.cycle_l1, self.cycle_l2, self.cycle_ssim].into_iter().filter(|on| *on).count()
    }
}

impl Settings {
    /// All epochs.
    pub const fn all_epochs(&self) -> usize {
        self.epochs + self.decay_epochs
    }

    /// The learning rate in an epoch (from 0).
    pub fn rate(&self, epoch: usize) -> f64 {
        let into_decay = (epoch + 1).saturating_sub(self.epochs) as f64;
        self.learning_rate * (1.0 - into_decay / (self.decay_epochs + 1) as f64)
    }

    /// What discriminators are to say of faces.
    pub(super) const fn target(&self, real: bool) -> f64 {
        if real == self.flipped_labels { 0.0 } else { 1.0 }
    }

    /// Refuses what cannot be trained with.
    ///
    /// # Errors
    /// If a setting is out of its range; it is named.
    pub fn check(&self) -> Result<(), LearnError> {
        let (generator, discriminator, losses) = (&self.generator, &self.discriminator, &self.losses);
        rules::check([
            at_least("generator.width", generator.width, 1),
            at_least("discriminator.width", discriminator.width, 1),
            at_least("discriminator.halvings", discriminator.halvings, 1),
            at_least("batch_size", self.batch_size, 1),
            at_least("epochs + decay_epochs", self.all_epochs(), 1),
            from_zero("losses.adversarial", losses.adversarial),
            from_zero("losses.identity", losses.identity),
            from_zero("losses.cycle", losses.cycle),
            (
                "losses.cycle",
                losses.cycle.to_string(),
                losses.cycle == 0.0 || losses.cycle_terms() > 0,
                "at least one of its terms must be on, or its weight be 0",
            ),
            above_zero("learning_rate", self.learning_rate),
            part("generator.dropout", generator.dropout.into()),
        ])
    }

    /// Refuses faces whose size does not go through the networks.
    ///
    /// # Errors
    /// If a side cannot be halved as often as it would be, or is too small.
    pub fn check_size(&self, width: usize, height: usize) -> Result<(), LearnError> {
        let unit = 1usize << self.generator.halvings.min(16);
        // Reflections of two pixels at the smallest size, the similarity's window, and the discriminator's
        // last two layers.
        let least = (3 * unit).max(crate::ssim::WINDOW).max(3 << self.discriminator.halvings.min(16));
        if width.is_multiple_of(unit) && height.is_multiple_of(unit) && width.min(height) >= least {
            return Ok(());
        }
        Err(LearnError::FaceSize { width, height, unit, least })
    }
}
