//! What is trained: both directions with all that descends them, wherever they are.

use std::path::Path;

use burn::backend::Flex;
use burn::module::{AutodiffModule, Module};
use burn::optim::Optimizer;

use super::buffer::Buffer;
use super::generator::Generator;
use super::layers::values;
use super::losses::Direction;
use super::step::{Side, Steps};
use crate::checkpoint::{damaged, from_bytes, to_bytes};
use crate::error::LearnError;
use crate::kernels::Train;
use crate::random::Random;

/// Both directions as they learn.
pub(super) trait Pair: Sized {
    /// One step on a batch of both classes (faces x height x width, in -1..1). `random` is a source for each
    /// direction. Also gives the losses of both directions.
    fn step(
        self,
        batch: [Vec<f32>; 2],
        rate: f64,
        random: [Random; 2],
    ) -> Result<(Self, [Direction; 2]), LearnError>;

    /// Whether all weights are numbers.
    fn is_finite(&mut self) -> Result<bool, LearnError>;

    /// From the first class to the second, and back.
    fn generators(&mut self) -> Result<[Generator<Flex>; 2], LearnError>;

    fn save(&mut self) -> Result<Vec<Vec<u8>>, LearnError>;

    /// What was saved after so many steps, in the file at `path`.
    fn restore(self, parts: &[Vec<u8>], steps: usize, path: &Path) -> Result<Self, LearnError>;
}

/// Networks on the CPU, in Burn's hands.
pub(super) struct CpuPair<'a> {
    sides: [Side; 2],
    steps: Steps<'a>,
}

impl<'a> CpuPair<'a> {
    /// One that knows nothing yet.
    pub fn new(steps: Steps<'a>) -> Self {
        let seed = steps.settings.seed;
        let side = |at| Side::new(steps.settings, &mut Random::new(&[seed, at, u64::MAX]));
        Self { sides: [side(0), side(1)], steps }
    }
}

impl Pair for CpuPair<'_> {
    fn step(
        mut self,
        batch: [Vec<f32>; 2],
        rate: f64,
        random: [Random; 2],
    ) -> Result<(Self, [Direction; 2]), LearnError> {
        let losses;
        (self.sides, losses) = self.steps.step(self.sides, batch, rate, random)?;
        Ok((self, losses))
    }

    fn is_finite(&mut self) -> Result<bool, LearnError> {
        let numbers = self
            .sides
            .iter()
            .flat_map(|side| [values(&side.generator.valid()), values(&side.discriminator.valid())].concat());
        Ok(numbers.into_iter().all(f32::is_finite))
    }

    fn generators(&mut self) -> Result<[Generator<Flex>; 2], LearnError> {
        let [there, back] = &self.sides;
        Ok([there.generator.valid(), back.generator.valid()])
    }

    fn save(&mut self) -> Result<Vec<Vec<u8>>, LearnError> {
        let mut parts = Vec::new();
        for side in &self.sides {
            parts.push(to_bytes::<Train, _>(side.generator.clone().into_record())?);
            parts.push(to_bytes::<Train, _>(side.generator_descent.to_record())?);
            parts.push(to_bytes::<Train, _>(side.discriminator.clone().into_record())?);
            parts.push(to_bytes::<Train, _>(side.discriminator_descent.to_record())?);
            parts.push(side.buffer.to_bytes());
        }
        Ok(parts)
    }

    fn restore(mut self, parts: &[Vec<u8>], _: usize, path: &Path) -> Result<Self, LearnError> {
        let (device, (height, width)) = (&Default::default(), self.steps.side);
        let capacity = self.steps.settings.buffer;
        let side = |side: Side, parts: &[Vec<u8>]| {
            let [generator, generator_descent, discriminator, discriminator_descent, buffer] = parts else {
                return Err(damaged(path, "it has another number of parts"));
            };
            let generator_descent = from_bytes::<Train, _>(generator_descent, device, path)?;
            let discriminator_descent = from_bytes::<Train, _>(discriminator_descent, device, path)?;
            Ok(Side {
                generator: side.generator.load_record(from_bytes::<Train, _>(generator, device, path)?),
                generator_descent: side.generator_descent.load_record(generator_descent),
                discriminator: side.discriminator.load_record(from_bytes::<Train, _>(
                    discriminator,
                    device,
                    path,
                )?),
                discriminator_descent: side.discriminator_descent.load_record(discriminator_descent),
                buffer: Buffer::from_bytes(capacity, buffer, height * width),
            })
        };
        let (first, second) = parts.split_at(parts.len() / 2);
        let [there, back] = self.sides;
        self.sides = [side(there, first)?, side(back, second)?];
        Ok(self)
    }
}
