//! What both kinds of network are made of.

use burn::backend::Flex;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::kernels::norm::Moments;
use crate::kernels::planes::PlaneKernels;
use crate::kernels::planes::norm::Over;
use crate::kernels::planes::window::Window;
use crate::kernels::{primitive, tensor};
use crate::random::Random;

/// Deviation of the weights at first (Radford, Metz & Chintala 2016).
const DEVIATION: f32 = 0.02;

/// Weights at first.
pub fn weights<B: Backend>(
    shape: [usize; 4],
    random: &mut Random,
    device: &B::Device,
) -> Param<Tensor<B, 4>> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| DEVIATION * random.normal()).collect();
    Param::from_data(TensorData::new(values, shape), device)
}

/// A network's numbers, in the order in which its layers are drawn.
pub fn values(network: &impl Module<Flex>) -> Vec<f32> {
    struct Values(Vec<f32>);
    impl ModuleVisitor<Flex> for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Flex, D>>) {
            self.0.extend(param.val().into_data().iter::<f32>());
        }
    }
    let mut values = Values(Vec::new());
    network.visit(&mut values);
    values.0
}

/// A network of the same shape with these numbers; it keeps its own where there are none.
pub fn from_values<M: Module<Flex>>(network: M, values: &[f32]) -> M {
    struct Rest<'a>(&'a [f32]);
    impl ModuleMapper<Flex> for Rest<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<Flex, D>>) -> Param<Tensor<Flex, D>> {
            let (id, tensor, mapper) = param.consume();
            let shape = tensor.shape();
            let Some((values, rest)) = self.0.split_at_checked(shape.num_elements()) else {
                return Param::from_mapped_value(id, tensor, mapper);
            };
            self.0 = rest;
            let tensor = Tensor::from_data(TensorData::new(values.to_vec(), shape), &tensor.device());
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    network.map(&mut Rest(values))
}

/// `x` through a window.
pub fn convolve<B: PlaneKernels>(
    x: Tensor<B, 4>,
    weights: &Param<Tensor<B, 4>>,
    window: Window,
) -> Tensor<B, 4> {
    tensor(B::maps_convolution(primitive(x), primitive(weights.val()), window))
}

/// `x` through the transpose of a window, onto maps of `side`.
pub fn convolve_transposed<B: PlaneKernels>(
    x: Tensor<B, 4>,
    weights: &Param<Tensor<B, 4>>,
    window: Window,
    side: (usize, usize),
) -> Tensor<B, 4> {
    tensor(B::maps_transposed(primitive(x), primitive(weights.val()), window, side))
}

/// Weights, and what normalises their result.
#[derive(Module, Debug)]
pub struct NormedWeights<B: Backend> {
    /// The weights.
    pub weights: Param<Tensor<B, 4>>,
    /// What each channel is multiplied by once it is normalised.
    pub gain: Param<Tensor<B, 1>>,
    /// What is then added to it.
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> NormedWeights<B> {
    /// `shape` is that of the weights, of which `channels` come out.
    pub fn new(shape: [usize; 4], channels: usize, random: &mut Random, device: &B::Device) -> Self {
        let gain: Vec<f32> = (0..channels).map(|_| 1.0 + DEVIATION * random.normal()).collect();
        Self {
            weights: weights(shape, random, device),
            gain: Param::from_data(TensorData::new(gain, [channels]), device),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
        }
    }
}

impl<B: PlaneKernels> NormedWeights<B> {
    /// Normalises what the weights gave.
    pub fn norm(&self, x: Tensor<B, 4>, slope: f32, pass: &mut Pass<'_>) -> Tensor<B, 4> {
        let fixed = pass.fixed.and_then(|fixed| fixed.get(pass.used.len()));
        let (gain, bias) = (primitive(self.gain.val()), primitive(self.bias.val()));
        let (y, moments) = B::maps_norm(primitive(x), gain, bias, fixed, pass.over, slope);
        pass.used.push(moments);
        tensor(y)
    }
}

/// One way through a network.
#[derive(Debug)]
pub struct Pass<'a> {
    over: Over,
    /// Moments to normalise with, in the order of the layers.
    fixed: Option<&'a [Moments]>,
    /// Those that were used.
    pub used: Vec<Moments>,
    /// The part that is left out, and what draws it.
    dropout: Option<(f32, Random)>,
}

impl<'a> Pass<'a> {
    /// One that learns: with the batch's own moments, and with dropout.
    pub const fn learning(over: Over, dropout: f32, random: Random) -> Self {
        Self { over, fixed: None, used: Vec::new(), dropout: Some((dropout, random)) }
    }

    /// One that does not.
    pub const fn plain(over: Over, fixed: Option<&'a [Moments]>) -> Self {
        Self { over, fixed, used: Vec::new(), dropout: None }
    }

    /// Leaves out values at random and makes the others larger instead.
    pub fn leave_out<B: Backend>(&mut self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some((rate, random)) = self.dropout.as_mut().filter(|(rate, _)| *rate > 0.0) else { return x };
        let shape = x.dims();
        let kept = 1.0 / (1.0 - *rate);
        let keep: Vec<f32> =
            (0..shape.iter().product()).map(|_| if random.unit() < *rate { 0.0 } else { kept }).collect();
        let keep = Tensor::from_data(TensorData::new(keep, shape), &x.device());
        x * keep
    }
}
