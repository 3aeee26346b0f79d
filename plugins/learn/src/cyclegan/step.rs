//! One step of training: both generators, then both discriminators.
//!
//! Each direction's way there and back is a computation of its own, and so is each discriminator's; the two run side by side on a
//! thread each, and their gradients are added in a fixed order, so that the result does not depend on how many threads there are.
//! A device is told what to compute and waited for twice a step: for what both ways have found, and for the
//! discriminators' losses.

use std::thread;

use burn::module::Module;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::buffer::Buffer;
use super::discriminator::Discriminator;
use super::generator::Generator;
use super::layers::Pass;
use super::losses::{self, Direction};
use super::settings::Settings;
use crate::device::read;
use crate::error::LearnError;
use crate::kernels::planes::PlaneKernels;
use crate::random::Random;
use crate::ssim::Ssim;

/// Adam's betas, those of Zhu et al.
pub const BETAS: (f32, f32) = (0.5, 0.999);
/// Adam's epsilon; Burn's is a thousand times everyone else's.
pub const EPSILON: f32 = 1e-8;

/// A backend that can learn: one with gradients and the operations of the layers.
pub trait Learner: AutodiffBackend + PlaneKernels {}

impl<B: AutodiffBackend + PlaneKernels> Learner for B {}

type Faces<B> = Tensor<B, 4>;
type Descent<M, B> = OptimizerAdaptor<Adam, M, B>;

/// One direction: the network that translates, the one that judges what comes out, and how both descend.
#[derive(Clone)]
pub struct Side<B: Learner> {
    /// Translates.
    pub generator: Generator<B>,
    /// Descends its loss.
    pub generator_descent: Descent<Generator<B>, B>,
    /// Judges.
    pub discriminator: Discriminator<B>,
    /// Descends its loss.
    pub discriminator_descent: Descent<Discriminator<B>, B>,
    /// What it has generated before.
    pub buffer: Buffer,
}

impl<B: Learner> Side<B> {
    /// One that knows nothing yet.
    pub fn new(settings: &Settings, random: &mut Random, device: &B::Device) -> Self {
        let adam = AdamConfig::new().with_beta_1(BETAS.0).with_beta_2(BETAS.1).with_epsilon(EPSILON);
        Self {
            generator: Generator::new(&settings.generator, random, device),
            generator_descent: adam.init(),
            discriminator: Discriminator::new(&settings.discriminator, random, device),
            discriminator_descent: adam.init(),
            buffer: Buffer::new(settings.buffer),
        }
    }
}

/// What all steps share.
pub struct Steps<'a, B: Learner> {
    /// The recipe.
    pub settings: &'a Settings,
    /// The similarity of faces of this size.
    pub ssim: Ssim<B>,
    /// Where the networks are.
    pub device: &'a B::Device,
    /// Whether the two directions run side by side.
    pub parallel: bool,
    /// Lines and pixels in a line.
    pub side: (usize, usize),
}

/// What one direction's way gives.
struct Way<B: Learner> {
    /// Gradients of the generator of this direction, and of the other.
    gradients: [GradientsParams; 2],
    /// The losses, then the generated faces: one tensor, so that they are waited for once.
    found: Tensor<B::InnerBackend, 1>,
}

/// Losses that a way finds.
const LOSSES: usize = 4;

impl<B: Learner> Steps<'_, B> {
    /// Takes `sides` one step further on a batch of both classes (faces x height x width, in -1..1). `random` is a source for
    /// each direction. Also gives the losses of both directions.
    pub fn step(
        &self,
        sides: [Side<B>; 2],
        batch: [Vec<f32>; 2],
        rate: f64,
        random: [Random; 2],
    ) -> Result<([Side<B>; 2], [Direction; 2]), LearnError> {
        let batch = batch.map(|faces| self.tensor(faces));
        let [mut random_there, mut random_back] = random;
        let inputs = |of: usize| {
            // Leaves of their own, so that the two computations share no graph.
            let generators = [of, 1 - of].map(|at| sides[at].generator.clone().fork(self.device));
            let discriminator = sides[of].discriminator.clone().fork(self.device).no_grad();
            (generators, discriminator, [batch[of].clone(), batch[1 - of].clone()])
        };
        let (there, back) = (inputs(0), inputs(1));
        let (there, back) = self.both(
            || self.way(there.0, there.1, there.2, &mut random_there),
            || self.way(back.0, back.1, back.2, &mut random_back),
        )?;
        let [of_there, of_back] = there.gradients;
        let [more_of_back, more_of_there] = back.gradients;
        let [mut first, mut second] = sides;
        let ((mut losses_there, mut generated_b), (mut losses_back, mut generated_a)) =
            (found(there.found)?, found(back.found)?);
        first.buffer.exchange(&mut generated_b, self.side.0 * self.side.1, &mut random_there);
        second.buffer.exchange(&mut generated_a, self.side.0 * self.side.1, &mut random_back);
        let [class_a, class_b] = batch;
        let (generated_b, generated_a) = (self.tensor(generated_b), self.tensor(generated_a));
        let ((first, of_first), (second, of_second)) = self.both(
            || self.descend(first, [of_there, more_of_there], [class_b, generated_b], rate),
            || self.descend(second, [of_back, more_of_back], [class_a, generated_a], rate),
        )?;
        losses_there.discriminator = scalar(of_first)?;
        losses_back.discriminator = scalar(of_second)?;
        Ok(([first, second], [losses_there, losses_back]))
    }

    /// The losses of one direction's generator on the way there and of the other's on the way back. `faces`: those that
    /// set out, and those of the class that they go to.
    fn way(
        &self,
        generators: [Generator<B>; 2],
        discriminator: Discriminator<B>,
        faces: [Faces<B>; 2],
        random: &mut Random,
    ) -> Way<B> {
        let (settings, weights) = (self.settings, &self.settings.losses);
        let dropout = settings.generator.dropout;
        let mut pass =
            || Pass::learning(settings.normalisation.into(), dropout, Random::new(&[random.next()]));
        let ([there, back], [real, of_target]) = (&generators, faces);
        let generated = there.forward(real.clone(), &mut pass());
        let returned = back.forward(generated.clone(), &mut pass());
        let verdicts = discriminator.forward(generated.clone(), &mut pass());
        let adversarial = losses::adversarial(verdicts, self.settings.target(true));
        let cycle = losses::cycle(real.clone(), returned.clone(), &self.ssim, weights);
        let mut loss = adversarial.clone() * weights.adversarial + cycle.clone() * weights.cycle;
        let mut identity = Tensor::zeros([1], self.device);
        if weights.identity > 0.0 {
            let kept = losses::l1(there.forward(of_target.clone(), &mut pass()), of_target);
            identity = kept.clone();
            loss = loss + kept * weights.identity;
        }
        let similarity = self.ssim.index(real.detach(), returned.detach());
        // In the order of `Direction::values`.
        let losses: [Tensor<B, 1>; LOSSES] = [adversarial, identity, cycle, similarity];
        let mut found: Vec<_> = losses.into_iter().map(Tensor::inner).collect();
        found.push(generated.inner().reshape([-1]));
        let mut gradients = loss.backward();
        let gradients =
            [there, back].map(|generator| GradientsParams::from_module::<B, _>(&mut gradients, generator));
        Way { gradients, found: Tensor::cat(found, 0) }
    }

    /// Takes a generator down the sum of `gradients`, and teaches its discriminator to tell real faces from generated ones.
    /// Gives the discriminator's loss.
    fn descend(
        &self,
        side: Side<B>,
        gradients: [GradientsParams; 2],
        faces: [Faces<B>; 2],
        rate: f64,
    ) -> (Side<B>, Tensor<B::InnerBackend, 1>) {
        let Side { generator, mut generator_descent, discriminator, mut discriminator_descent, buffer } =
            side;
        let mut sum = GradientsAccumulator::new();
        gradients.into_iter().for_each(|gradients| sum.accumulate(&generator, gradients));
        let generator = generator_descent.step(rate, generator, sum.grads());

        let [real, generated] = faces;
        let judge = |faces: Faces<B>, real: bool| {
            let mut pass = Pass::plain(self.settings.normalisation.into(), None);
            losses::adversarial(discriminator.forward(faces, &mut pass), self.settings.target(real))
        };
        let loss = (judge(real, true) + judge(generated, false)) * 0.5;
        let value = loss.clone().inner();
        let gradients = GradientsParams::from_grads(loss.backward(), &discriminator);
        let discriminator = discriminator_descent.step(rate, discriminator, gradients);
        (Side { generator, generator_descent, discriminator, discriminator_descent, buffer }, value)
    }

    fn tensor(&self, faces: Vec<f32>) -> Faces<B> {
        let (height, width) = self.side;
        let count = faces.len() / (height * width);
        Tensor::from_data(TensorData::new(faces, [count, 1, height, width]), self.device)
    }

    /// Both, side by side if there are threads for it.
    fn both<T: Send>(
        &self,
        first: impl FnOnce() -> T,
        second: impl FnOnce() -> T + Send,
    ) -> Result<(T, T), LearnError> {
        if !self.parallel {
            return Ok((first(), second()));
        }
        thread::scope(|scope| {
            let second = scope.spawn(second);
            let first = first();
            second.join().map(|second| (first, second)).map_err(|_| LearnError::Panicked)
        })
    }
}

/// What a way has found: its losses, and the faces that it generated.
fn found<B: Backend>(found: Tensor<B, 1>) -> Result<(Direction, Vec<f32>), LearnError> {
    let mut losses: Vec<f32> = read(found)?.iter::<f32>().collect();
    let generated = losses.split_off(LOSSES.min(losses.len()));
    Ok((Direction::from_values(&losses), generated))
}

fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> Result<f32, LearnError> {
    Ok(read(tensor)?.iter::<f32>().next().unwrap_or(f32::NAN))
}
