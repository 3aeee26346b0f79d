//! Early signs that a training goes wrong.

use std::fmt;

use super::losses::Direction;

/// Epochs that are given to a training before it is judged.
const PATIENCE: usize = 5;
/// The least variety of generated faces, as a part of that of real ones.
const LEAST_VARIETY: f32 = 0.2;
/// A cycle loss of so many times the best one is no way to it.
const TOO_LARGE: f32 = 2.0;

/// A sign that a training goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warning {
    /// A generator makes nearly the same face of every face.
    Collapse {
        /// The variety of generated faces, as a part of that of real ones of their class.
        variety: f32,
    },
    /// A discriminator is never wrong: its generator has nothing to learn from it.
    Overpowered {
        /// Its loss, at worst 0.25 where it only guesses.
        loss: f32,
    },
    /// Faces come back from their way there and back ever less like they were.
    Divergence {
        /// The cycle loss, as a multiple of the best one so far.
        times: f32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collapse { variety } => write!(
                f,
                "the generated faces vary {variety:.2} times as much as real ones, which looks like a mode collapse: raise the weight of the cycle or identity loss"
            ),
            Self::Overpowered { loss } => write!(
                f,
                "the discriminator is never wrong (loss {loss:.3}): make it narrower, or the generator wider"
            ),
            Self::Divergence { times } => write!(
                f,
                "the cycle loss is {times:.1} times its best so far, which looks like a divergence: lower the learning rate"
            ),
        }
    }
}

/// What the epochs so far say of one direction, given how much faces of a few vary.
pub fn warnings(history: &[Direction], real: &[f32], generated: &[f32], size: usize) -> Vec<Warning> {
    let Some(last) = history.last().filter(|_| history.len() > PATIENCE) else { return Vec::new() };
    let mut found = Vec::new();
    let variety = variety(generated, size) / variety(real, size).max(f32::EPSILON);
    if variety < LEAST_VARIETY {
        found.push(Warning::Collapse { variety });
    }
    let recent = &history[history.len() - PATIENCE..];
    if recent.iter().all(|epoch| epoch.discriminator < 0.005 && epoch.adversarial > 0.8) {
        found.push(Warning::Overpowered { loss: last.discriminator });
    }
    let best = history.iter().map(|epoch| epoch.cycle).fold(f32::INFINITY, f32::min);
    if last.cycle > TOO_LARGE * best {
        found.push(Warning::Divergence { times: last.cycle / best });
    }
    found
}

/// How much faces differ from their mean: the root of the mean squared distance of a pixel.
fn variety(faces: &[f32], size: usize) -> f32 {
    let count = (faces.len() / size.max(1)).max(1) as f32;
    let mut mean = vec![0.0f32; size];
    for face in faces.chunks_exact(size) {
        mean.iter_mut().zip(face).for_each(|(mean, value)| *mean += value / count);
    }
    let squares =
        faces.chunks_exact(size).flat_map(|face| face.iter().zip(&mean)).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f32>() / faces.len().max(1) as f32).sqrt()
}
