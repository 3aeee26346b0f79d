//! A network that learns on a CUDA device, by kernels of our own: some seventy launches a step, where Burn's operations are hundreds.
//! They compute what the CPU's do, in single precision and always in the same order.

mod network;
mod passes;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::backend::Flex;
use ferroflow_cuda::{CudaError, Gpu};

use self::network::DeviceNetwork;
use super::feed::Shard;
use super::network::Network;
use super::pupil::{Outcome, Pupil};
use super::training::Training;
use super::views;
use crate::checkpoint::damaged;
use crate::error::LearnError;
use crate::kernels::grid::Grid;

const SOURCE: &str = include_str!("kernels.cu");

/// Trains on device `index`.
pub(super) fn train(training: &Training<'_>, index: u32) -> Result<super::training::Outcome, LearnError> {
    let device = ferroflow_cuda::CudaDevice::open(index, SOURCE, &network::KERNELS).map_err(failed)?;
    training.teach(DevicePupil::new(device, training)?)
}

struct DevicePupil<'a, G: Gpu> {
    gpu: G,
    network: DeviceNetwork<G>,
    training: &'a Training<'a>,
}

fn failed(error: CudaError) -> LearnError {
    match error {
        CudaError::NoMemory => LearnError::DeviceMemory,
        other => LearnError::DeviceFailed(other.to_string()),
    }
}

impl<'a, G: Gpu> DevicePupil<'a, G> {
    fn new(mut gpu: G, training: &'a Training<'a>) -> Result<Self, LearnError> {
        let settings = training.settings;
        let (height, width) = views::begin(training.examples.faces);
        // The last batch takes what is left over.
        let faces = (2 * settings.batch_size).min(training.learn.len()).div_ceil(settings.shards).max(1);
        let grid = Grid { faces, height, width };
        let values = training.first_values();
        let classes = training.examples.classes;
        let network = DeviceNetwork::new(&mut gpu, settings, classes, grid, &values).map_err(failed)?;
        Ok(Self { gpu, network, training })
    }

    fn averages(&self) -> bool {
        self.training.settings.averaging > 0.0
    }
}

impl<G: Gpu> Pupil for DevicePupil<'_, G> {
    fn step(mut self, shards: &[Shard], rate: f64, part: f32) -> Result<(Self, Outcome), LearnError> {
        let examples = self.training.examples;
        let total = examples.total(shards.iter().flat_map(|shard| &shard.rows));
        let mut outcome = Outcome { loss: 0.0, right: 0 };
        for (index, shard) in shards.iter().enumerate() {
            self.network.learn(&mut self.gpu, shard, total, index > 0).map_err(failed)?;
            // Before it is waited for: the device goes on meanwhile.
            if index + 1 == shards.len() {
                self.network.descend(&mut self.gpu, self.training.settings, rate, part).map_err(failed)?;
            }
            let found = self.network.found(&mut self.gpu, shard.rows.len()).map_err(failed)?;
            outcome.loss += found.losses.iter().sum::<f32>();
            outcome.right += examples.agreeing(&found.logits, &shard.rows);
        }
        Ok((self, outcome))
    }

    fn is_finite(&mut self) -> Result<bool, LearnError> {
        let weights = self.network.weights(&mut self.gpu).map_err(failed)?;
        Ok(weights.into_iter().all(f32::is_finite))
    }

    fn network(&mut self) -> Result<Network<Flex>, LearnError> {
        let values = match self.averages() {
            true => self.network.mean(&mut self.gpu),
            false => self.network.weights(&mut self.gpu),
        };
        let layers = &self.training.settings.layers;
        let classes = self.training.examples.classes;
        Network::from_values(layers, classes, &values.map_err(failed)?, &Default::default())
            .ok_or_else(|| LearnError::Record("a network of another size".to_owned()))
    }

    fn save(&mut self) -> Result<[Vec<u8>; 3], LearnError> {
        let weights = self.network.weights(&mut self.gpu).map_err(failed)?;
        let velocity = self.network.velocity(&mut self.gpu).map_err(failed)?;
        let mean = self.network.mean(&mut self.gpu).map_err(failed)?;
        Ok([weights, velocity.unwrap_or_default(), mean].map(|values| bytes(&values)))
    }

    fn restore(mut self, parts: [&[u8]; 3], path: &Path) -> Result<Self, LearnError> {
        let [weights, velocity, mean] = parts.map(values);
        let count = self.network.len();
        let moves = (!velocity.is_empty()).then_some(velocity.as_slice());
        if weights.len() != count || mean.len() != count || moves.is_some_and(|moves| moves.len() != count) {
            return Err(damaged(path, "it has another number of weights"));
        }
        self.network.set(&mut self.gpu, &weights, &mean, moves).map_err(failed)?;
        Ok(self)
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
