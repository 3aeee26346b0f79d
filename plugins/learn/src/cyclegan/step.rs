//! One step of training: both generators, then both discriminators.
//!
//! Each direction's way there and back is a computation of its own, and so is each discriminator's; the two
//! run side by side on a thread each, and their gradients are added in a fixed order, so that the result does
//! not depend on how many threads there are.

use std::thread;

use burn::module::Module;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};

use super::buffer::Buffer;
use super::discriminator::Discriminator;
use super::generator::Generator;
use super::layers::Pass;
use super::losses::{self, Direction};
use super::settings::Settings;
use crate::error::LearnError;
use crate::kernels::Train;
use crate::random::Random;
use crate::ssim::Ssim;

/// Adam's betas, those of Zhu et al.
pub const BETAS: (f32, f32) = (0.5, 0.999);
/// Adam's epsilon; Burn's is a thousand times everyone else's.
pub const EPSILON: f32 = 1e-8;

type Faces = Tensor<Train, 4>;
type Descent<M> = OptimizerAdaptor<Adam, M, Train>;

/// One direction: the network that translates, the one that judges what comes out, and how both descend.
#[derive(Clone)]
pub struct Side {
    /// Translates.
    pub generator: Generator<Train>,
    /// Descends its loss.
    pub generator_descent: Descent<Generator<Train>>,
    /// Judges.
    pub discriminator: Discriminator<Train>,
    /// Descends its loss.
    pub discriminator_descent: Descent<Discriminator<Train>>,
    /// What it has generated before.
    pub buffer: Buffer,
}

impl Side {
    /// One that knows nothing yet.
    pub fn new(settings: &Settings, random: &mut Random) -> Self {
        let device = &Default::default();
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
pub struct Steps<'a> {
    /// The recipe.
    pub settings: &'a Settings,
    /// The similarity of faces of this size.
    pub ssim: Ssim<Train>,
    /// Whether the two directions run side by side.
    pub parallel: bool,
    /// Lines and pixels in a line.
    pub side: (usize, usize),
}

/// What one direction's way gives.
struct Way {
    /// Gradients of the generator of this direction, and of the other.
    gradients: [GradientsParams; 2],
    losses: Direction,
    generated: Vec<f32>,
}

impl Steps<'_> {
    /// Takes `sides` one step further on a batch of both classes (faces x height x width, in -1..1). `random`
    /// is a source for each direction. Also gives the losses of both directions.
    pub fn step(
        &self,
        sides: [Side; 2],
        batch: [Vec<f32>; 2],
        rate: f64,
        random: [Random; 2],
    ) -> Result<([Side; 2], [Direction; 2]), LearnError> {
        let device = Default::default();
        let batch = batch.map(|faces| self.tensor(faces));
        let [mut random_there, mut random_back] = random;
        let inputs = |of: usize| {
            // Leaves of their own, so that the two computations share no graph.
            let generators = [of, 1 - of].map(|at| sides[at].generator.clone().fork(&device));
            let discriminator = sides[of].discriminator.clone().fork(&device).no_grad();
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
        let (mut losses_there, mut generated_b) = (there.losses, there.generated);
        let (mut losses_back, mut generated_a) = (back.losses, back.generated);
        first.buffer.exchange(&mut generated_b, self.side.0 * self.side.1, &mut random_there);
        second.buffer.exchange(&mut generated_a, self.side.0 * self.side.1, &mut random_back);
        let [class_a, class_b] = batch;
        let (generated_b, generated_a) = (self.tensor(generated_b), self.tensor(generated_a));
        let ((first, of_first), (second, of_second)) = self.both(
            || self.descend(first, [of_there, more_of_there], [class_b, generated_b], rate),
            || self.descend(second, [of_back, more_of_back], [class_a, generated_a], rate),
        )?;
        losses_there.discriminator = of_first;
        losses_back.discriminator = of_second;
        Ok(([first, second], [losses_there, losses_back]))
    }

    /// The losses of one direction's generator on the way there and of the other's on the way back. `faces`:
    /// those that set out, and those of the class that they go to.
    fn way(
        &self,
        generators: [Generator<Train>; 2],
        discriminator: Discriminator<Train>,
        faces: [Faces; 2],
        random: &mut Random,
    ) -> Way {
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
        let mut identity = Tensor::zeros([1], &Default::default());
        if weights.identity > 0.0 {
            let kept = losses::l1(there.forward(of_target.clone(), &mut pass()), of_target);
            identity = kept.clone();
            loss = loss + kept * weights.identity;
        }
        let similarity = self.ssim.index(real.detach(), returned.detach());
        let losses = Direction {
            adversarial: scalar(adversarial),
            identity: scalar(identity),
            cycle: scalar(cycle),
            similarity: scalar(similarity),
            discriminator: 0.0,
        };
        let generated = generated.into_data().iter::<f32>().collect();
        let mut gradients = loss.backward();
        let gradients = [there, back]
            .map(|generator| GradientsParams::from_module::<Train, _>(&mut gradients, generator));
        Way { gradients, losses, generated }
    }

    /// Takes a generator down the sum of `gradients`, and teaches its discriminator to tell real faces from
    /// generated ones. Gives the discriminator's loss.
    fn descend(
        &self,
        side: Side,
        gradients: [GradientsParams; 2],
        faces: [Faces; 2],
        rate: f64,
    ) -> (Side, f32) {
        let Side { generator, mut generator_descent, discriminator, mut discriminator_descent, buffer } =
            side;
        let mut sum = GradientsAccumulator::new();
        gradients.into_iter().for_each(|gradients| sum.accumulate(&generator, gradients));
        let generator = generator_descent.step(rate, generator, sum.grads());

        let [real, generated] = faces;
        let judge = |faces: Faces, real: bool| {
            let mut pass = Pass::plain(self.settings.normalisation.into(), None);
            losses::adversarial(discriminator.forward(faces, &mut pass), self.settings.target(real))
        };
        let loss = (judge(real, true) + judge(generated, false)) * 0.5;
        let value = scalar(loss.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &discriminator);
        let discriminator = discriminator_descent.step(rate, discriminator, gradients);
        (Side { generator, generator_descent, discriminator, discriminator_descent, buffer }, value)
    }

    fn tensor(&self, faces: Vec<f32>) -> Faces {
        let (height, width) = self.side;
        let count = faces.len() / (height * width);
        Tensor::from_data(TensorData::new(faces, [count, 1, height, width]), &Default::default())
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

fn scalar(tensor: Tensor<Train, 1>) -> f32 {
    tensor.into_scalar()
}
