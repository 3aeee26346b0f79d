//! Adam (Kingma & Ba 2015) on a device.

use bytemuck::cast_slice;
use ferroflow_cuda::{CudaError, Gpu};

use crate::cuda::{Network, at, each, floats, read, real};
use crate::cyclegan::step::{BETAS, EPSILON};

/// How networks have descended so far.
pub struct Descent<G: Gpu> {
    mean: G::Memory,
    square: G::Memory,
    count: usize,
    steps: i32,
}

impl<G: Gpu> Descent<G> {
    /// At rest, for so many numbers.
    pub fn new(gpu: &mut G, count: usize) -> Result<Self, CudaError> {
        Ok(Self { mean: floats(gpu, count)?, square: floats(gpu, count)?, count, steps: 0 })
    }

    /// Takes networks down their gradient.
    pub fn step(&mut self, gpu: &mut G, network: &Network<G>, rate: f64) -> Result<(), CudaError> {
        self.steps += 1;
        let (beta1, beta2) = BETAS;
        let corrected = (1.0 - beta2.powi(self.steps)).sqrt();
        let factor = corrected / (1.0 - beta1.powi(self.steps));
        let [weights, gradient] = network.descended();
        let numbers = [real(rate), real(beta1), real(beta2), real(EPSILON * corrected), real(factor)];
        let memories = [gradient, weights, &self.mean, &self.square].map(at);
        each(gpu, "adam", self.count, &[&numbers[..], &memories].concat())
    }

    /// The means of gradients and of their squares.
    pub fn moments(&self, gpu: &mut G) -> Result<[Vec<f32>; 2], CudaError> {
        Ok([read(gpu, &self.mean, self.count)?, read(gpu, &self.square, self.count)?])
    }

    /// Goes on from there after so many steps.
    pub fn set(&mut self, gpu: &mut G, [mean, square]: [&[f32]; 2], steps: usize) -> Result<(), CudaError> {
        gpu.write(&mut self.mean, cast_slice(mean))?;
        gpu.write(&mut self.square, cast_slice(square))?;
        self.steps = i32::try_from(steps).unwrap_or(i32::MAX);
        Ok(())
    }
}
