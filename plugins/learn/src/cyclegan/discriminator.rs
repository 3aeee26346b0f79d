//! The network that tells real from generated, patch by patch (Isola et al. 2017).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::canvas::Canvas;
use super::layers::{NormedWeights, Pass, weights};
use super::settings;
use crate::kernels::planes::PlaneKernels;
use crate::kernels::planes::window::Window;
use crate::random::Random;

const HALVING: Window = Window::new(4, 2, 1);
const PLAIN: Window = Window::new(4, 1, 1);
/// What negative values are multiplied by.
const SLOPE: f32 = 0.2;

/// A verdict on each patch of gray faces in -1..1.
#[derive(Module, Debug)]
pub struct Discriminator<B: Backend> {
    first: Param<Tensor<B, 4>>,
    first_bias: Param<Tensor<B, 1>>,
    /// The last of them goes on without halving.
    layers: Vec<NormedWeights<B>>,
    last: Param<Tensor<B, 4>>,
    last_bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Discriminator<B> {
    /// A network that knows nothing yet.
    pub fn new(settings: &settings::Discriminator, random: &mut Random, device: &B::Device) -> Self {
        let first = weights([settings.width, 1, 4, 4], random, device);
        let mut channels = settings.width;
        let mut layers = Vec::new();
        for _ in 0..settings.halvings {
            let wider = (2 * channels).min(8 * settings.width);
            layers.push(NormedWeights::new([wider, channels, 4, 4], wider, random, device));
            channels = wider;
        }
        Self {
            first,
            first_bias: Param::from_tensor(Tensor::zeros([settings.width], device)),
            layers,
            last: weights([1, channels, 4, 4], random, device),
            last_bias: Param::from_tensor(Tensor::zeros([1], device)),
        }
    }

    /// Carries the layers out on a canvas, from faces (faces, 1, height, width) to verdicts (faces, 1,
    /// patches down, patches across).
    pub fn draw<C: Canvas<B>>(&self, faces: C::Maps, canvas: &mut C) -> C::Maps {
        let x = canvas.convolve(faces, &self.first, HALVING);
        let mut x = canvas.shift(x, &self.first_bias, SLOPE);
        for (index, layer) in self.layers.iter().enumerate() {
            let window = if index + 1 < self.layers.len() { HALVING } else { PLAIN };
            x = canvas.layer(x, layer, window, SLOPE);
        }
        let x = canvas.convolve(x, &self.last, PLAIN);
        canvas.shift(x, &self.last_bias, 1.0)
    }
}

impl<B: PlaneKernels> Discriminator<B> {
    /// Judges faces (faces, 1, height, width).
    pub fn forward(&self, faces: Tensor<B, 4>, pass: &mut Pass<'_>) -> Tensor<B, 4> {
        self.draw(faces, pass)
    }
}
