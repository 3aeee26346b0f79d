//! A classifier that learns on a CUDA device.

mod prediction;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::backend::Flex;
use bytemuck::cast_slice;
use ferroflow_cuda::{CudaError, Gpu};

use self::prediction::DevicePredictor;
use super::augment;
use super::learner::Learner;
use super::loader::{Shard, shards};
use super::network::{self, INPUTS};
use super::prediction::{BATCH, Predictor};
use super::step::Outcome;
use super::training::Training;
use crate::checkpoint::damaged;
use crate::cuda::{
    self, Batch, Network, Pass, Plan, Shape, Wanted, at, each, failed, flag, floats, from_bytes, n, read,
    real, to_bytes,
};
use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::kernels::planes::norm::Over;
use crate::kernels::planes::window::Window;

/// All kernels of a step.
const SOURCE: &str = concat!(include_str!("../../cuda/layers.cu"), include_str!("kernels.cu"));
/// Those that are a classifier's own.
const KERNELS: [&str; 2] = ["loss", "descend"];
/// Of Burn's momentum.
const DAMPENING: f64 = 0.1;

fn kernels() -> Vec<&'static str> {
    cuda::KERNELS.into_iter().chain(KERNELS).collect()
}

/// Trains on device `index`.
pub(super) fn train(training: &Training<'_>, index: u32) -> Result<super::training::Outcome, LearnError> {
    let device = ferroflow_cuda::CudaDevice::open(index, SOURCE, &kernels()).map_err(failed)?;
    training.teach(DeviceLearner::new(device, training).map_err(failed)?)
}

struct DeviceLearner<'a, G: Gpu> {
    gpu: G,
    training: &'a Training<'a>,
    network: Network<G>,
    pass: Pass<G>,
    /// What it is asked with.
    prediction: Pass<G>,
    /// How weights move, and their exponential mean.
    velocity: G::Memory,
    mean: G::Memory,
    /// Whether a step was taken: the first has no velocity to go on with.
    begun: bool,
    targets: G::Memory,
    losses: G::Memory,
}

/// What lies as `grid` says without what is between its pixels: faces x pixels x `INPUTS`.
fn packed(grid: Grid, input: &[f32]) -> Vec<f32> {
    let mut packed = Vec::with_capacity(grid.pixels() * INPUTS);
    for (face, y) in (0..grid.faces).flat_map(|face| (0..grid.height).map(move |y| (face, y))) {
        let row = grid.row(face, y);
        packed.extend_from_slice(&input[row * INPUTS..(row + grid.width) * INPUTS]);
    }
    packed
}

/// The network's layers, in the order of `network::Network::values`.
fn plan(training: &Training<'_>) -> Plan {
    let (height, width) = augment::begin(training.examples.faces);
    let mut plan = Plan::new(Shape { channels: INPUTS, height, width });
    let mut x = plan.input();
    for layer in &training.settings.layers {
        let y = plan.convolve_by_taps(x, layer.channels, Window::new(3, 1, 1));
        let y = plan.norm(y, 0.0);
        x = if layer.pool { plan.pool(y) } else { y };
    }
    let features = plan.mean(x);
    let kept = plan.drop(features);
    let logits = plan.convolve_by_taps(kept, training.examples.classes, Window::new(1, 1, 0));
    plan.shift(logits, 1.0);
    plan
}

impl<'a, G: Gpu> DeviceLearner<'a, G> {
    fn new(mut gpu: G, training: &'a Training<'a>) -> Result<Self, CudaError> {
        let settings = training.settings;
        // The last batch takes what is left over.
        let most = (2 * settings.batch_size).min(training.split.learn.len());
        let maps = most.div_ceil(shards(settings, most)).max(1);
        let network = Network::new(&mut gpu, plan(training), &[training.first_values()])?;
        let batch = Batch { sides: 1, groups: 1, maps };
        let pass = Pass::new(&mut gpu, &network, batch, Over::Batch, settings.dropout)?;
        let prediction = Pass::only_forward(&mut gpu, &network, Batch { maps: BATCH, ..batch }, Over::Batch)?;
        let velocity = floats(&mut gpu, network.len())?;
        let mut mean = floats(&mut gpu, network.len())?;
        let first = network.arranged(&mut gpu)?;
        gpu.write(&mut mean, cast_slice(&first))?;
        let targets = floats(&mut gpu, maps * training.examples.classes)?;
        let losses = floats(&mut gpu, maps)?;
        Ok(Self { gpu, training, network, pass, prediction, velocity, mean, begun: false, targets, losses })
    }

    /// Computes a shard's gradients, on top of those that are there if `more`. The weights of all of a step's
    /// faces sum to `total`.
    fn learn(&mut self, shard: &Shard, total: f32, more: bool) -> Result<(), CudaError> {
        let Self { gpu, training, network, pass, targets, losses, .. } = self;
        pass.set_maps(shard.rows.len());
        pass.give(gpu, &packed(shard.grid, &shard.input))?;
        pass.seed(gpu, &[shard.seed])?;
        gpu.write(targets, cast_slice(&shard.targets))?;
        pass.forward(gpu, network)?;
        let [logits, gradient] = pass.output().map(at);
        let numbers = [n(training.examples.classes), real(total)];
        let memories = [logits, at(targets), at(losses), gradient];
        each(gpu, "loss", shard.rows.len(), &[&numbers[..], &memories].concat())?;
        pass.backward(gpu, network, Wanted { numbers: Some(more), input: false })
    }

    /// Takes the weights down the gradients, and their mean a `part` of the way towards them.
    fn descend(&mut self, rate: f64, part: f32) -> Result<(), CudaError> {
        let settings = self.training.settings;
        let is_first = !std::mem::replace(&mut self.begun, true);
        let [weights, gradient] = self.network.descended();
        let numbers = [rate, settings.weight_decay, settings.momentum, DAMPENING, f64::from(part)].map(real);
        let memories = [gradient, weights, &self.velocity, &self.mean].map(at);
        let rest = [&[flag(is_first)], &numbers[..], &memories].concat();
        each(&mut self.gpu, "descend", self.network.len(), &rest)?;
        self.network.turn(&mut self.gpu)
    }

    /// The losses of the last shard's faces, already parts of the mean, and their logits.
    fn found(&mut self, faces: usize) -> Result<[Vec<f32>; 2], CudaError> {
        let logits = read(&mut self.gpu, self.pass.output()[0], faces * self.training.examples.classes)?;
        Ok([read(&mut self.gpu, &self.losses, faces)?, logits])
    }
}

impl<G: Gpu> Learner for DeviceLearner<'_, G> {
    fn step(mut self, shards: &[Shard], rate: f64, part: f32) -> Result<(Self, Outcome), LearnError> {
        let examples = self.training.examples;
        let total = examples.total(shards.iter().flat_map(|shard| &shard.rows));
        let mut outcome = Outcome { loss: 0.0, right: 0 };
        for (index, shard) in shards.iter().enumerate() {
            self.learn(shard, total, index > 0).map_err(failed)?;
            // Before it is waited for: the device goes on meanwhile.
            if index + 1 == shards.len() {
                self.descend(rate, part).map_err(failed)?;
            }
            let [losses, logits] = self.found(shard.rows.len()).map_err(failed)?;
            outcome.loss += losses.iter().sum::<f32>();
            outcome.right += examples.agreeing(&logits, &shard.targets);
        }
        Ok((self, outcome))
    }

    fn is_finite(&mut self) -> Result<bool, LearnError> {
        Ok(self.network.arranged(&mut self.gpu).map_err(failed)?.into_iter().all(f32::is_finite))
    }

    fn network(&mut self) -> Result<network::Network<Flex>, LearnError> {
        let settings = self.training.settings;
        let arranged = match settings.averaging > 0.0 {
            true => read(&mut self.gpu, &self.mean, self.network.len()),
            false => self.network.arranged(&mut self.gpu),
        };
        let values = self.network.collect(&arranged.map_err(failed)?).concat();
        let classes = self.training.examples.classes;
        network::Network::from_values(&settings.layers, classes, &values, &Default::default())
            .ok_or_else(|| LearnError::Record("a network of another size".to_owned()))
    }

    fn predictor(&mut self) -> Result<Box<dyn Predictor + '_>, LearnError> {
        Ok(Box::new(DevicePredictor::new(self)))
    }

    fn save(&mut self) -> Result<[Vec<u8>; 3], LearnError> {
        let Self { gpu, network, .. } = self;
        let weights = network.arranged(gpu).map_err(failed)?;
        let velocity = match self.begun {
            true => read(gpu, &self.velocity, network.len()).map_err(failed)?,
            false => Vec::new(),
        };
        let mean = read(gpu, &self.mean, network.len()).map_err(failed)?;
        Ok([weights, velocity, mean].map(|values| to_bytes(&values)))
    }

    fn restore(mut self, parts: [&[u8]; 3], path: &Path) -> Result<Self, LearnError> {
        let Self { gpu, network, begun, velocity: moves, mean: of_weights, .. } = &mut self;
        let [weights, velocity, mean] = parts.map(from_bytes);
        let count = network.len();
        *begun = !velocity.is_empty();
        if weights.len() != count || mean.len() != count || *begun && velocity.len() != count {
            return Err(damaged(path, "it has another number of weights"));
        }
        network.set_arranged(gpu, &weights).map_err(failed)?;
        gpu.write(of_weights, cast_slice(&mean)).map_err(failed)?;
        gpu.write(moves, cast_slice(&velocity)).map_err(failed)?;
        Ok(self)
    }
}
