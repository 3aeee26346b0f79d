//! What a network's layers can be carried out on, so that its structure is written down once.

use burn::module::Param;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;

use super::layers::{NormedWeights, Pass, convolve, convolve_transposed};
use crate::kernels::planes::PlaneKernels;
use crate::kernels::planes::window::Window;

/// Carries layers out: on numbers ([`Pass`]), or as nodes of a graph (`export`).
pub trait Canvas<B: Backend> {
    /// Maps (faces, channels, height, width).
    type Maps: Clone;

    /// `x` through a window.
    fn convolve(&mut self, x: Self::Maps, weights: &Param<Tensor<B, 4>>, window: Window) -> Self::Maps;

    /// `x`, reflected by `border` pixels on each side, through the transpose of a window (of zero borders), onto maps
    /// `window.stride` times as large as `x`.
    fn transpose(
        &mut self,
        x: Self::Maps,
        weights: &Param<Tensor<B, 4>>,
        border: usize,
        window: Window,
    ) -> Self::Maps;

    /// Normalises what a layer's weights gave and multiplies what is negative by `slope` (0: ReLU, 1: no change).
    fn norm(&mut self, x: Self::Maps, layer: &NormedWeights<B>, slope: f32) -> Self::Maps;

    /// Leaves out values at random, while the network learns.
    fn drop(&mut self, x: Self::Maps) -> Self::Maps;

    /// The sum of both.
    fn add(&mut self, x: Self::Maps, y: Self::Maps) -> Self::Maps;

    /// Adds a channel's `bias` and multiplies what is negative by `slope` (1: no change).
    fn shift(&mut self, x: Self::Maps, bias: &Param<Tensor<B, 1>>, slope: f32) -> Self::Maps;

    /// Squeezes numbers into -1..1 (tanh).
    fn squash(&mut self, x: Self::Maps) -> Self::Maps;

    /// A whole layer: [`Self::convolve`], then [`Self::norm`].
    fn layer(&mut self, x: Self::Maps, layer: &NormedWeights<B>, window: Window, slope: f32) -> Self::Maps {
        let y = self.convolve(x, &layer.weights, window);
        self.norm(y, layer, slope)
    }
}

impl<B: PlaneKernels> Canvas<B> for Pass<'_> {
    type Maps = Tensor<B, 4>;

    fn convolve(&mut self, x: Tensor<B, 4>, weights: &Param<Tensor<B, 4>>, window: Window) -> Tensor<B, 4> {
        convolve(x, weights, window)
    }

    fn transpose(
        &mut self,
        x: Tensor<B, 4>,
        weights: &Param<Tensor<B, 4>>,
        border: usize,
        window: Window,
    ) -> Tensor<B, 4> {
        let [_, _, height, width] = x.dims();
        let x = if border == 0 { x } else { x.pad([(border, border); 2], PadMode::Reflect) };
        convolve_transposed(x, weights, window, (window.stride * height, window.stride * width))
    }

    fn norm(&mut self, x: Tensor<B, 4>, layer: &NormedWeights<B>, slope: f32) -> Tensor<B, 4> {
        layer.norm(x, slope, self)
    }

    fn drop(&mut self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.leave_out(x)
    }

    fn add(&mut self, x: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 4> {
        x + y
    }

    fn shift(&mut self, x: Tensor<B, 4>, bias: &Param<Tensor<B, 1>>, slope: f32) -> Tensor<B, 4> {
        let x = x + bias.val().reshape([1, -1, 1, 1]);
        if slope == 1.0 { x } else { leaky_relu(x, f64::from(slope)) }
    }

    fn squash(&mut self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        x.tanh()
    }
}
