//! Networks that learn.

use std::path::Path;

use ferroflow_cuda::{CudaError, Gpu};

use super::descent::Descent;
use crate::checkpoint::damaged;
use crate::cuda::{Network, Plan, failed, from_bytes, to_bytes};
use crate::error::LearnError;

/// Networks of one kind, of both directions, and how they descend.
pub struct Learners<G: Gpu> {
    pub network: Network<G>,
    descent: Descent<G>,
}

impl<G: Gpu> Learners<G> {
    /// Networks of this plan with these numbers, at rest.
    pub fn new(gpu: &mut G, plan: Plan, first: [Vec<f32>; 2]) -> Result<Self, CudaError> {
        let network = Network::new(gpu, plan, &first)?;
        let descent = Descent::new(gpu, network.len())?;
        Ok(Self { network, descent })
    }

    /// Takes both down their gradient.
    pub fn descend(&mut self, gpu: &mut G, rate: f64) -> Result<(), CudaError> {
        self.descent.step(gpu, &self.network, rate)?;
        self.network.turn(gpu)
    }

    /// Numbers, and how they move, as a checkpoint holds them.
    pub fn save(&self, gpu: &mut G) -> Result<[Vec<u8>; 3], CudaError> {
        let [mean, square] = self.descent.moments(gpu)?;
        Ok([self.network.arranged(gpu)?, mean, square].map(|values| to_bytes(&values)))
    }

    /// The opposite, after so many steps; `path` is the checkpoint's.
    pub fn restore(
        &mut self,
        gpu: &mut G,
        parts: &[Vec<u8>],
        steps: usize,
        path: &Path,
    ) -> Result<(), LearnError> {
        let [values, mean, square] = parts else {
            return Err(damaged(path, "it has another number of parts"));
        };
        let [values, mean, square] = [values, mean, square].map(|bytes| from_bytes(bytes));
        if [&values, &mean, &square].iter().any(|numbers| numbers.len() != self.network.len()) {
            return Err(damaged(path, "it has another number of weights"));
        }
        self.network.set_arranged(gpu, &values).map_err(failed)?;
        self.descent.set(gpu, [&mean, &square], steps).map_err(failed)
    }
}
