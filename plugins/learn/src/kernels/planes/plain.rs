//! The operations of [`PlaneKernels`] made of Burn's own, for backends that have no kernels of ours. Gradients are those of
//! Burn's autodiff, and nothing is read back from a device.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::backend::Backend;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, FloatTensor, PadMode};

use super::super::norm::{self, EPSILON};
use super::super::{primitive, tensor};
use super::PlaneKernels;
use super::norm::Over;
use super::window::{Border, Window};
use crate::device::read;
use crate::error::LearnError;

/// A backend without kernels of ours.
pub trait Plain: Backend {}

impl<B: Plain, C: CheckpointStrategy> Plain for Autodiff<B, C> {}

#[cfg(feature = "cuda")]
impl Plain for burn::backend::Cuda {}

#[cfg(test)]
impl Plain for burn_ndarray::NdArray {}

/// Mean and variance, still where they were computed: (1 or maps, channels, 1, 1).
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    /// Means.
    pub mean: Tensor<B, 4>,
    /// Variances, divided by the number of pixels.
    pub variance: Tensor<B, 4>,
}

impl<B: Backend> super::super::Moments for Moments<B> {
    fn approach(&mut self, others: &Self, part: f32) {
        for (mine, theirs) in [(&mut self.mean, &others.mean), (&mut self.variance, &others.variance)] {
            *mine = mine.clone() + (theirs.clone() - mine.clone()) * part;
        }
    }

    fn to_cpu(&self) -> Result<norm::Moments, LearnError> {
        let values = |tensor: &Tensor<B, 4>| Ok(read(tensor.clone())?.iter::<f32>().collect());
        Ok(norm::Moments { mean: values(&self.mean)?, variance: values(&self.variance)? })
    }
}

impl<B: Plain> PlaneKernels for B {
    type Moments = Moments<B>;

    fn maps_convolution(x: FloatTensor<B>, weights: FloatTensor<B>, window: Window) -> FloatTensor<B> {
        primitive(convolution::<B>(tensor(x), tensor(weights), window))
    }

    fn maps_transposed(
        x: FloatTensor<B>,
        weights: FloatTensor<B>,
        window: Window,
        side: (usize, usize),
    ) -> FloatTensor<B> {
        primitive(transposed::<B>(tensor(x), tensor(weights), window, side))
    }

    fn maps_norm(
        x: FloatTensor<B>,
        gain: FloatTensor<B>,
        bias: FloatTensor<B>,
        fixed: Option<&Moments<B>>,
        over: Over,
        slope: f32,
    ) -> (FloatTensor<B>, Moments<B>) {
        let (y, moments) = norm::<B>(tensor(x), tensor(gain), tensor(bias), fixed, over, slope);
        (primitive(y), moments)
    }
}

/// As [`PlaneKernels::maps_convolution`].
pub fn convolution<B: Backend>(x: Tensor<B, 4>, weights: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    let Window { stride, padding, border, .. } = window;
    let (x, padding) = match border {
        Border::Reflection if padding > 0 => (x.pad([(padding, padding); 2], PadMode::Reflect), 0),
        _ => (x, padding),
    };
    conv2d(x, weights, None, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
}

/// As [`PlaneKernels::maps_transposed`].
pub fn transposed<B: Backend>(
    x: Tensor<B, 4>,
    weights: Tensor<B, 4>,
    window: Window,
    side: (usize, usize),
) -> Tensor<B, 4> {
    let Window { kernel, stride, padding, .. } = window;
    let [_, _, height, width] = x.dims();
    // What the last place of the window leaves of a side, which several sides have in common.
    let rest = |side: usize, places: usize| {
        (side + 2 * padding).saturating_sub(places.saturating_sub(1) * stride + kernel)
    };
    let rest = [rest(side.0, height), rest(side.1, width)];
    let options = ConvTransposeOptions::new([stride; 2], [padding; 2], rest, [1; 2], 1);
    conv_transpose2d(x, weights, None, options)
}

/// As [`PlaneKernels::maps_norm`].
pub fn norm<B: Backend>(
    x: Tensor<B, 4>,
    gain: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    fixed: Option<&Moments<B>>,
    over: Over,
    slope: f32,
) -> (Tensor<B, 4>, Moments<B>) {
    let average = |tensor: Tensor<B, 4>| {
        let of_planes = tensor.mean_dim(3).mean_dim(2);
        match over {
            Over::Batch => of_planes.mean_dim(0),
            Over::Instance => of_planes,
        }
    };
    let Moments { mean, variance } = fixed.cloned().unwrap_or_else(|| {
        let mean = average(x.clone());
        let centred = x.clone() - mean.clone();
        Moments { mean, variance: average(centred.clone() * centred) }
    });
    let channels = gain.dims()[0];
    let scale = gain.reshape([1, channels, 1, 1]) / (variance.clone() + EPSILON).sqrt();
    let shift = bias.reshape([1, channels, 1, 1]) - mean.clone() * scale.clone();
    let y = x * scale + shift;
    let y = match slope {
        1.0 => y,
        0.0 => relu(y),
        _ => leaky_relu(y, f64::from(slope)),
    };
    (y, Moments { mean: mean.detach(), variance: variance.detach() })
}
