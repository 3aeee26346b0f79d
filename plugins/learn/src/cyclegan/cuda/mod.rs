//! Both directions of a CycleGAN on a CUDA device: networks of a kind learn side by side, so that each kernel
//! serves both directions.
//!
//! A step is the CPU's (`step.rs`) in another order: the generators translate the faces that set out and, as
//! a second batch of their own, those that they are to leave as they are; then what has come out of the
//! other. The device is waited for twice.

mod descent;
mod learners;
mod losses;
mod sketch;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::backend::Flex;
use ferroflow_cuda::{CudaError, Gpu};

use self::learners::Learners;
use self::losses::Losses;
use super::buffer::Buffer;
use super::discriminator::Discriminator;
use super::generator::Generator;
use super::layers::{from_values, values};
use super::losses::Direction;
use super::pair::Pair;
use super::settings::Settings;
use super::train::Training;
use crate::checkpoint::damaged;
use crate::cuda::{Batch, Pass, Wanted, failed};
use crate::error::LearnError;
use crate::random::Random;

/// All kernels of a step.
const SOURCE: &str = concat!(include_str!("../../cuda/layers.cu"), include_str!("kernels.cu"));
/// Those that are a CycleGAN's own.
const KERNELS: [&str; 6] = ["pick", "compare", "cycle_back", "generated_back", "verdicts_back", "adam"];

fn kernels() -> Vec<&'static str> {
    crate::cuda::KERNELS.into_iter().chain(KERNELS).collect()
}

/// Trains on device `index`.
pub(super) fn train(training: &Training<'_>, index: u32) -> Result<super::train::Outcome, LearnError> {
    let device = ferroflow_cuda::CudaDevice::open(index, SOURCE, &kernels()).map_err(failed)?;
    training.teach(DevicePair::new(device, training).map_err(failed)?)
}

/// Both directions on a device.
pub(super) struct DevicePair<'a, G: Gpu> {
    gpu: G,
    settings: &'a Settings,
    /// Lines of a face, and pixels in a line.
    side: (usize, usize),
    generators: Learners<G>,
    discriminators: Learners<G>,
    /// Generators on what is given to a step, and on what the other has made of it.
    there: Pass<G>,
    back: Pass<G>,
    /// Discriminators on what is generated, and as they learn: on real faces and on generated ones.
    judging: Pass<G>,
    judged: Pass<G>,
    losses: Losses<G>,
    buffers: [Buffer; 2],
    /// A generator of the same build, to put numbers into.
    build: Generator<Flex>,
}

impl<'a, G: Gpu> DevicePair<'a, G> {
    /// One that knows what a pair on the CPU knows at first.
    pub fn new(mut gpu: G, training: &Training<'a>) -> Result<Self, CudaError> {
        let (settings, side, gpu_ref) = (training.settings, training.side(), &mut gpu);
        let [(generator, discriminator), (other_generator, other_discriminator)] = [0, 1].map(|at| {
            let (device, mut random) = (Default::default(), Random::new(&[settings.seed, at, u64::MAX]));
            let generator = Generator::<Flex>::new(&settings.generator, &mut random, &device);
            (generator, Discriminator::<Flex>::new(&settings.discriminator, &mut random, &device))
        });
        let plan = sketch::plan(side, |sketch, faces| generator.draw(faces, sketch));
        let generators = Learners::new(gpu_ref, plan, [values(&generator), values(&other_generator)])?;
        let plan = sketch::plan(side, |sketch, faces| discriminator.draw(faces, sketch));
        let discriminators =
            Learners::new(gpu_ref, plan, [values(&discriminator), values(&other_discriminator)])?;
        let groups = if settings.losses.identity > 0.0 { 2 } else { 1 };
        let mut pass = |learners: &Learners<G>, groups: usize, dropout: f32| {
            let batch = Batch { sides: 2, groups, maps: settings.batch_size };
            Pass::new(gpu_ref, &learners.network, batch, settings.normalisation.into(), dropout)
        };
        let dropout = settings.generator.dropout;
        let there = pass(&generators, groups, dropout)?;
        let back = pass(&generators, 1, dropout)?;
        let judging = pass(&discriminators, 1, 0.0)?;
        let judged = pass(&discriminators, 2, 0.0)?;
        let patches = discriminators.network.outputs();
        let losses = Losses::new(&mut gpu, settings, side, groups, patches)?;
        let buffers = [Buffer::new(settings.buffer), Buffer::new(settings.buffer)];
        Ok(Self {
            gpu,
            settings,
            side,
            generators,
            discriminators,
            there,
            back,
            judging,
            judged,
            losses,
            buffers,
            build: generator,
        })
    }

    /// Takes the generators down the gradients of both ways there and back.
    fn translate(
        &mut self,
        batch: &[Vec<f32>; 2],
        rate: f64,
        random: &mut [Random; 2],
    ) -> Result<(), CudaError> {
        let Self { gpu, generators, discriminators, there, back, judging, losses, .. } = self;
        let is_kept = losses.groups() > 1;
        let seeds = random.each_mut().map(|random| {
            let mut draw = || Random::new(&[random.next()]).state();
            // In the order in which the CPU draws; a discriminator takes one and leaves nothing out.
            let (there, back, _) = (draw(), draw(), draw());
            (there, back, is_kept.then(draw))
        });
        let [of_first, of_second] = &seeds;
        let given =
            |[own, other]: [&Vec<f32>; 2]| if is_kept { [&own[..], other].concat() } else { own.clone() };
        let [first, second] = batch;
        there.give(gpu, &[given([first, second]), given([second, first])].concat())?;
        let drawn = |(there, _, kept): &(u64, u64, Option<u64>)| [*there].into_iter().chain(*kept);
        there.seed(gpu, &seeds.iter().flat_map(drawn).collect::<Vec<_>>())?;
        // What a side brings back set out on the other.
        back.seed(gpu, &[of_second.1, of_first.1])?;
        there.forward(gpu, &generators.network)?;
        losses.pick(gpu, there.output()[0], back.input()[0], true)?;
        back.forward(gpu, &generators.network)?;
        losses.pick(gpu, there.output()[0], judging.input()[0], false)?;
        judging.forward(gpu, &discriminators.network)?;
        losses.verdicts_back(gpu, judging, false)?;
        judging.backward(gpu, &discriminators.network, Wanted { numbers: None, input: true })?;
        losses.cycle_back(gpu, there, back)?;
        back.backward(gpu, &generators.network, Wanted { numbers: Some(false), input: true })?;
        losses.generated_back(gpu, there, back, judging)?;
        there.backward(gpu, &generators.network, Wanted { numbers: Some(true), input: false })?;
        generators.descend(gpu, rate)
    }

    /// Teaches the discriminators to tell the faces of a batch from generated ones.
    fn judge(
        &mut self,
        batch: &[Vec<f32>; 2],
        generated: &[Vec<f32>; 2],
        rate: f64,
    ) -> Result<(), CudaError> {
        let Self { gpu, discriminators, judged, losses, .. } = self;
        let ([first, second], [of_first, of_second]) = (batch, generated);
        judged.give(gpu, &[&second[..], of_first, first, of_second].concat())?;
        judged.forward(gpu, &discriminators.network)?;
        losses.verdicts_back(gpu, judged, true)?;
        judged.backward(gpu, &discriminators.network, Wanted { numbers: Some(false), input: false })?;
        discriminators.descend(gpu, rate)
    }
}

impl<G: Gpu> Pair for DevicePair<'_, G> {
    fn step(
        mut self,
        batch: [Vec<f32>; 2],
        rate: f64,
        mut random: [Random; 2],
    ) -> Result<(Self, [Direction; 2]), LearnError> {
        self.translate(&batch, rate, &mut random).map_err(failed)?;
        let (mut directions, mut generated) = self
            .losses
            .found(&mut self.gpu, &self.there, &self.back, &self.judging, &batch)
            .map_err(failed)?;
        let size = self.side.0 * self.side.1;
        for ((buffer, faces), random) in self.buffers.iter_mut().zip(&mut generated).zip(&mut random) {
            buffer.exchange(faces, size, random);
        }
        self.judge(&batch, &generated, rate).map_err(failed)?;
        let of_judged = self.losses.judged(&mut self.gpu, &self.judged).map_err(failed)?;
        for (direction, loss) in directions.iter_mut().zip(of_judged) {
            direction.discriminator = loss;
        }
        Ok((self, directions))
    }

    fn is_finite(&mut self) -> Result<bool, LearnError> {
        let mut numbers = self.generators.network.arranged(&mut self.gpu).map_err(failed)?;
        numbers.extend(self.discriminators.network.arranged(&mut self.gpu).map_err(failed)?);
        Ok(numbers.into_iter().all(f32::is_finite))
    }

    fn generators(&mut self) -> Result<[Generator<Flex>; 2], LearnError> {
        let numbers = self.generators.network.values(&mut self.gpu).map_err(failed)?;
        let generator =
            |at: usize| from_values(self.build.clone(), numbers.get(at).map_or(&[], Vec::as_slice));
        Ok([generator(0), generator(1)])
    }

    fn save(&mut self) -> Result<Vec<Vec<u8>>, LearnError> {
        let mut parts = self.generators.save(&mut self.gpu).map_err(failed)?.to_vec();
        parts.extend(self.discriminators.save(&mut self.gpu).map_err(failed)?);
        parts.extend(self.buffers.iter().map(Buffer::to_bytes));
        Ok(parts)
    }

    fn restore(mut self, parts: &[Vec<u8>], steps: usize, path: &Path) -> Result<Self, LearnError> {
        let [of_generators @ .., first, second] = parts else {
            return Err(damaged(path, "it has another number of parts"));
        };
        let (of_generators, of_discriminators) = of_generators.split_at(of_generators.len() / 2);
        self.generators.restore(&mut self.gpu, of_generators, steps, path)?;
        self.discriminators.restore(&mut self.gpu, of_discriminators, steps, path)?;
        let size = self.side.0 * self.side.1;
        self.buffers = [first, second].map(|bytes| Buffer::from_bytes(self.settings.buffer, bytes, size));
        Ok(self)
    }
}
