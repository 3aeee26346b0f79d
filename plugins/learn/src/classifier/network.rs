//! The network: a plain stack of 3x3 convolutions over small gray faces.
//!
//! Input: 2x2 pixels of the picture are the four channels of one pixel (as a 6x6 kernel of stride 2 would
//! read them), so that no convolution runs at full size. Blocks of convolution, batch normalisation and ReLU,
//! some followed by a 2x2 maximum; the mean over what is left; one linear layer.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::kernels::grid::Grid;
use crate::kernels::norm::Moments;
use crate::kernels::{Kernels, primitive, tensor};
use crate::random::Random;

/// Channels of the input: the pixels of a square of 2x2.
pub const INPUTS: usize = 4;

/// One block of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Channels of its output.
    pub channels: usize,
    /// Whether a maximum over 2x2 pixels follows.
    pub pool: bool,
}

/// Convolution, normalisation, ReLU, perhaps a maximum.
#[derive(Module, Debug)]
pub(super) struct Block<B: Backend> {
    pub weights: Param<Tensor<B, 2>>,
    pub gain: Param<Tensor<B, 1>>,
    pub bias: Param<Tensor<B, 1>>,
    pub pool: bool,
}

/// The network.
#[derive(Module, Debug)]
pub(super) struct Network<B: Backend> {
    pub blocks: Vec<Block<B>>,
    pub head: Param<Tensor<B, 2>>,
    pub head_bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> Network<B> {
    /// A network with weights after He et al. 2015 (the last layer zero, so that it begins without an opinion).
    pub fn new(layers: &[Layer], classes: usize, random: &mut Random, device: &B::Device) -> Self {
        let mut inputs = INPUTS;
        let blocks = layers.iter().map(|layer| {
            let deviation = (2.0 / (9 * inputs) as f32).sqrt();
            let weights = (0..9 * inputs * layer.channels).map(|_| deviation * random.normal()).collect();
            let weights = TensorData::new::<f32, _>(weights, [9 * inputs, layer.channels]);
            inputs = layer.channels;
            Block {
                weights: Param::from_data(weights, device),
                gain: Param::from_tensor(Tensor::ones([layer.channels], device)),
                bias: Param::from_tensor(Tensor::zeros([layer.channels], device)),
                pool: layer.pool,
            }
        });
        let blocks = blocks.collect();
        Self {
            blocks,
            head: Param::from_tensor(Tensor::zeros([inputs, classes], device)),
            head_bias: Param::from_tensor(Tensor::zeros([classes], device)),
        }
    }
}

impl<B: Backend> Network<B> {
    /// All numbers, block by block: weights, gain, bias; then the head and its bias.
    pub fn values(&self) -> Vec<f32> {
        fn add<B: Backend, const D: usize>(all: &mut Vec<f32>, values: &Param<Tensor<B, D>>) {
            all.extend(values.val().into_data().iter::<f32>());
        }
        let mut all = Vec::new();
        for block in &self.blocks {
            add(&mut all, &block.weights);
            add(&mut all, &block.gain);
            add(&mut all, &block.bias);
        }
        add(&mut all, &self.head);
        add(&mut all, &self.head_bias);
        all
    }

    /// The network with these numbers; nothing if there are too few or too many.
    pub fn from_values(layers: &[Layer], classes: usize, values: &[f32], device: &B::Device) -> Option<Self> {
        let (mut rest, mut inputs) = (values, INPUTS);
        let mut take = |length: usize| {
            let (taken, left) = rest.split_at_checked(length)?;
            rest = left;
            Some(taken.to_vec())
        };
        let mut blocks = Vec::with_capacity(layers.len());
        for layer in layers {
            let (rows, channels) = (9 * inputs, layer.channels);
            blocks.push(Block {
                weights: Param::from_data(TensorData::new(take(rows * channels)?, [rows, channels]), device),
                gain: Param::from_data(TensorData::new(take(channels)?, [channels]), device),
                bias: Param::from_data(TensorData::new(take(channels)?, [channels]), device),
                pool: layer.pool,
            });
            inputs = channels;
        }
        let head = Param::from_data(TensorData::new(take(inputs * classes)?, [inputs, classes]), device);
        let head_bias = Param::from_data(TensorData::new(take(classes)?, [classes]), device);
        rest.is_empty().then_some(Self { blocks, head, head_bias })
    }

    /// Each weight moved towards the other network's by a `part` of the difference.
    pub fn approach(self, other: &Self, part: f32) -> Self {
        fn towards<B: Backend, const D: usize>(
            mine: Param<Tensor<B, D>>,
            theirs: &Param<Tensor<B, D>>,
            part: f32,
        ) -> Param<Tensor<B, D>> {
            mine.map(|mine| mine.clone() + (theirs.val() - mine) * part)
        }
        let blocks = self.blocks.into_iter().zip(&other.blocks).map(|(mine, theirs)| Block {
            weights: towards(mine.weights, &theirs.weights, part),
            gain: towards(mine.gain, &theirs.gain, part),
            bias: towards(mine.bias, &theirs.bias, part),
            pool: mine.pool,
        });
        Self {
            blocks: blocks.collect(),
            head: towards(self.head, &other.head, part),
            head_bias: towards(self.head_bias, &other.head_bias, part),
        }
    }
}

impl<B: Kernels> Network<B> {
    /// Logits (faces x classes) of a batch that lies as `grid` says, and the moments of each block.
    /// Normalises with `fixed` moments where given, with the batch's own otherwise. `keep` multiplies the
    /// features (faces x channels): dropout.
    pub fn forward(
        &self,
        input: Tensor<B, 2>,
        mut grid: Grid,
        fixed: Option<&[Moments]>,
        keep: Option<Tensor<B, 2>>,
    ) -> (Tensor<B, 2>, Vec<Moments>) {
        let mut x = primitive(input);
        let mut used = Vec::with_capacity(self.blocks.len());
        for (index, block) in self.blocks.iter().enumerate() {
            let y = B::convolution(x, primitive(block.weights.val()), grid);
            let fixed = fixed.and_then(|fixed| fixed.get(index));
            let (y, moments) =
                B::norm_relu(y, primitive(block.gain.val()), primitive(block.bias.val()), fixed, grid);
            used.push(moments);
            x = if block.pool { B::max_pool(y, grid) } else { y };
            if block.pool {
                grid = grid.halved();
            }
        }
        let mut features = tensor::<B, 2>(B::means(x, grid));
        if let Some(keep) = keep {
            features = features * keep;
        }
        (features.matmul(self.head.val()) + self.head_bias.val().unsqueeze(), used)
    }
}
