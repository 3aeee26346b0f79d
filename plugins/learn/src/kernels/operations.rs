//! The kernels as operations on Burn's tensors: for Flex, and with their gradients for autodiff over Flex.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{TensorData, TensorMetadata};

use super::grid::Grid;
use super::norm::{self, Moments};
use super::{conv, mean, pool};

/// Operations on batches of maps: matrices of rows x channels that lie as a `Grid` says.
pub trait Kernels: Backend {
    /// 3x3 convolution without a bias; `weights` are `9 * inputs` x `outputs`. What lies between the pixels becomes
    /// meaningless.
    fn convolution(x: FloatTensor<Self>, weights: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self>;

    /// Batch normalisation with the batch's own moments, or with `fixed` ones (which takes no gradient), then ReLU.
    /// What lies between the pixels becomes zeros. Also gives the moments that were used.
    fn norm_relu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        fixed: Option<&Moments>,
        grid: Grid,
    ) -> (FloatTensor<Self>, Moments);

    /// The greatest of each 2x2 pixels, with zeros between the pixels.
    fn max_pool(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self>;

    /// The means over the pixels (maps x channels) of what [`Kernels::norm_relu`] or [`Kernels::max_pool`] gave.
    fn means(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self>;
}

impl Kernels for Flex {
    fn convolution(x: FlexTensor, weights: FlexTensor, grid: Grid) -> FlexTensor {
        let (inputs, outputs) = (columns(&x), columns(&weights));
        let (x, weights) = (x.to_contiguous(), weights.to_contiguous());
        matrix(conv::forward(x.storage(), weights.storage(), grid, inputs, outputs), outputs)
    }

    fn norm_relu(
        x: FlexTensor,
        gain: FlexTensor,
        bias: FlexTensor,
        fixed: Option<&Moments>,
        grid: Grid,
    ) -> (FlexTensor, Moments) {
        let channels = columns(&x);
        let (x, gain, bias) = (x.to_contiguous(), gain.to_contiguous(), bias.to_contiguous());
        let moments = fixed.cloned().unwrap_or_else(|| norm::moments(x.storage(), grid, channels));
        let (scale, shift) = norm::affine(&moments, gain.storage(), bias.storage());
        (matrix(norm::forward(x.storage(), &scale, &shift, grid), channels), moments)
    }

    fn max_pool(x: FlexTensor, grid: Grid) -> FlexTensor {
        let channels = columns(&x);
        matrix(pool::forward(x.to_contiguous().storage(), grid, channels), channels)
    }

    fn means(x: FlexTensor, grid: Grid) -> FlexTensor {
        let channels = columns(&x);
        matrix(mean::forward(x.to_contiguous().storage(), grid, channels), channels)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn convolution(x: FloatTensor<Self>, weights: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self> {
        let output = Flex::convolution(x.primitive.clone(), weights.primitive.clone(), grid);
        match Convolution.prepare::<C>([x.node.clone(), weights.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish((x.primitive, weights.primitive, grid), output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }

    fn norm_relu(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        fixed: Option<&Moments>,
        grid: Grid,
    ) -> (FloatTensor<Self>, Moments) {
        let (output, moments) =
            Flex::norm_relu(x.primitive.clone(), gain.primitive.clone(), bias.primitive.clone(), fixed, grid);
        let nodes = [x.node.clone(), gain.node.clone(), bias.node.clone()];
        let output = match NormRelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(operation) => {
                let state = (x.primitive, gain.primitive, bias.primitive, moments.clone(), grid);
                operation.finish(state, output)
            }
            OpsKind::UnTracked(operation) => operation.finish(output),
        };
        (output, moments)
    }

    fn max_pool(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self> {
        let output = Flex::max_pool(x.primitive.clone(), grid);
        match MaxPool.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish((x.primitive, grid), output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }

    fn means(x: FloatTensor<Self>, grid: Grid) -> FloatTensor<Self> {
        let output = Flex::means(x.primitive.clone(), grid);
        match Means.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish(grid, output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }
}

#[derive(Debug)]
struct Convolution;

impl Backward<Flex, 2> for Convolution {
    type State = (FlexTensor, FlexTensor, Grid);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weights, grid) = ops.state;
        let (inputs, outputs) = (columns(&x), columns(&weights));
        let [x_node, weights_node] = ops.parents;
        if let Some(node) = weights_node {
            let x = x.to_contiguous();
            let out = conv::weights_backward(x.storage(), gradient.storage(), grid, inputs, outputs);
            gradients.register::<Flex>(node.id, matrix(out, outputs));
        }
        if let Some(node) = x_node {
            let weights = weights.to_contiguous();
            let out = conv::input_backward(gradient.storage(), weights.storage(), grid, inputs, outputs);
            gradients.register::<Flex>(node.id, matrix(out, inputs));
        }
    }
}

#[derive(Debug)]
struct NormRelu;

impl Backward<Flex, 3> for NormRelu {
    type State = (FlexTensor, FlexTensor, FlexTensor, Moments, Grid);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, gain, bias, moments, grid) = ops.state;
        let channels = columns(&x);
        let (x, gain, bias) = (x.to_contiguous(), gain.to_contiguous(), bias.to_contiguous());
        let (x, gain, bias) =
            norm::backward(x.storage(), gradient.storage(), &moments, gain.storage(), bias.storage(), grid);
        let [x_node, gain_node, bias_node] = ops.parents;
        if let Some(node) = x_node {
            gradients.register::<Flex>(node.id, matrix(x, channels));
        }
        for (node, gradient) in [(gain_node, gain), (bias_node, bias)] {
            if let Some(node) = node {
                gradients
                    .register::<Flex>(node.id, FlexTensor::from_data(TensorData::new(gradient, [channels])));
            }
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (FlexTensor, Grid);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, grid) = ops.state;
        let channels = columns(&x);
        let [node] = ops.parents;
        if let Some(node) = node {
            let out = pool::backward(x.to_contiguous().storage(), gradient.storage(), grid, channels);
            gradients.register::<Flex>(node.id, matrix(out, channels));
        }
    }
}

#[derive(Debug)]
struct Means;

impl Backward<Flex, 1> for Means {
    type State = Grid;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let channels = columns(&gradient);
        let [node] = ops.parents;
        if let Some(node) = node {
            let out = mean::backward(gradient.storage(), ops.state, channels);
            gradients.register::<Flex>(node.id, matrix(out, channels));
        }
    }
}

/// The length of a tensor's last axis.
fn columns(tensor: &FlexTensor) -> usize {
    tensor.shape().as_slice().last().copied().unwrap_or(1)
}

fn matrix(data: Vec<f32>, columns: usize) -> FlexTensor {
    let rows = data.len() / columns;
    FlexTensor::from_data(TensorData::new(data, [rows, columns]))
}
