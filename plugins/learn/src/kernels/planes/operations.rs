//! The kernels as operations on Burn's tensors: for Flex, and with their gradients for autodiff over Flex.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{TensorData, TensorMetadata};

use super::super::norm::Moments;
use super::conv;
use super::norm::{self, Over, Planes};
use super::window::{Size, Window};

/// Operations on maps (maps, channels, height, width).
pub trait PlaneKernels: Backend {
    /// Convolution without a bias; `weights` are (outputs, inputs, kernel, kernel).
    fn maps_convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self>;

    /// Transposed convolution without a bias: the gradient of a convolution with `window` (of zero borders)
    /// from maps of `side` (height, width); `weights` are (inputs, outputs, kernel, kernel).
    fn maps_transposed(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
        side: (usize, usize),
    ) -> FloatTensor<Self>;

    /// Normalisation with the maps' own moments, or with `fixed` ones of each channel, then a ReLU that
    /// multiplies what is negative by `slope` (0: the plain one, 1: none). Also gives the moments that were
    /// used.
    fn maps_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        fixed: Option<&Moments>,
        over: Over,
        slope: f32,
    ) -> (FloatTensor<Self>, Moments);
}

impl PlaneKernels for Flex {
    fn maps_convolution(x: FlexTensor, weights: FlexTensor, window: Window) -> FlexTensor {
        let ([maps, channels, height, width], [outputs, ..]) = (sides(&x), sides(&weights));
        let (x, weights) = (x.to_contiguous(), weights.to_contiguous());
        let out = conv::forward(x.storage(), weights.storage(), (channels, height, width), outputs, window);
        tensor(out, [maps, outputs, window.places(height), window.places(width)])
    }

    fn maps_transposed(
        x: FlexTensor,
        weights: FlexTensor,
        window: Window,
        side: (usize, usize),
    ) -> FlexTensor {
        let ([maps, inputs, ..], [_, outputs, ..]) = (sides(&x), sides(&weights));
        let (x, weights) = (x.to_contiguous(), weights.to_contiguous());
        let size = (outputs, side.0, side.1);
        let out = conv::input_backward(x.storage(), weights.storage(), size, inputs, window);
        tensor(out, [maps, outputs, side.0, side.1])
    }

    fn maps_norm(
        x: FlexTensor,
        gain: FlexTensor,
        bias: FlexTensor,
        fixed: Option<&Moments>,
        over: Over,
        slope: f32,
    ) -> (FlexTensor, Moments) {
        let shape = sides(&x);
        let planes = planes(shape, over);
        let (x, gain, bias) = (x.to_contiguous(), gain.to_contiguous(), bias.to_contiguous());
        let moments = fixed.cloned().unwrap_or_else(|| norm::moments(x.storage(), planes));
        let out = norm::forward(x.storage(), &moments, gain.storage(), bias.storage(), planes, slope);
        (tensor(out, shape), moments)
    }
}

impl<C: CheckpointStrategy> PlaneKernels for Autodiff<Flex, C> {
    fn maps_convolution(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let output = Flex::maps_convolution(x.primitive.clone(), weights.primitive.clone(), window);
        match Convolution.prepare::<C>([x.node.clone(), weights.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish((x.primitive, weights.primitive, window), output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }

    fn maps_transposed(
        x: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        window: Window,
        side: (usize, usize),
    ) -> FloatTensor<Self> {
        let output = Flex::maps_transposed(x.primitive.clone(), weights.primitive.clone(), window, side);
        match Transposed.prepare::<C>([x.node.clone(), weights.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish((x.primitive, weights.primitive, window), output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }

    fn maps_norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        fixed: Option<&Moments>,
        over: Over,
        slope: f32,
    ) -> (FloatTensor<Self>, Moments) {
        let (output, moments) = Flex::maps_norm(
            x.primitive.clone(),
            gain.primitive.clone(),
            bias.primitive.clone(),
            fixed,
            over,
            slope,
        );
        let nodes = [x.node.clone(), gain.node.clone(), bias.node.clone()];
        let output = match Norm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(operation) => {
                let state = Normalised {
                    x: x.primitive,
                    gain: gain.primitive,
                    bias: bias.primitive,
                    moments: moments.clone(),
                    fixed: fixed.is_some(),
                    over,
                    slope,
                };
                operation.finish(state, output)
            }
            OpsKind::UnTracked(operation) => operation.finish(output),
        };
        (output, moments)
    }
}

#[derive(Debug)]
struct Convolution;

impl Backward<Flex, 2> for Convolution {
    type State = (FlexTensor, FlexTensor, Window);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weights, window) = ops.state;
        let ([_, channels, height, width], shape) = (sides(&x), sides(&weights));
        let size: Size = (channels, height, width);
        let [x_node, weights_node] = ops.parents;
        if let Some(node) = weights_node {
            let x = x.to_contiguous();
            let out = conv::weights_backward(x.storage(), gradient.storage(), size, shape[0], window);
            gradients.register::<Flex>(node.id, tensor(out, shape));
        }
        if let Some(node) = x_node {
            let weights = weights.to_contiguous();
            let out = conv::input_backward(gradient.storage(), weights.storage(), size, shape[0], window);
            gradients.register::<Flex>(node.id, tensor(out, sides(&x)));
        }
    }
}

#[derive(Debug)]
struct Transposed;

impl Backward<Flex, 2> for Transposed {
    type State = (FlexTensor, FlexTensor, Window);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (x, weights, window) = ops.state;
        let [_, channels, height, width] = sides(&gradient);
        let (size, shape): (Size, _) = ((channels, height, width), sides(&weights));
        let [x_node, weights_node] = ops.parents;
        // What was the gradient of a convolution has that convolution as its gradient.
        if let Some(node) = weights_node {
            let x = x.to_contiguous();
            let out = conv::weights_backward(gradient.storage(), x.storage(), size, shape[0], window);
            gradients.register::<Flex>(node.id, tensor(out, shape));
        }
        if let Some(node) = x_node {
            let weights = weights.to_contiguous();
            let out = conv::forward(gradient.storage(), weights.storage(), size, shape[0], window);
            gradients.register::<Flex>(node.id, tensor(out, sides(&x)));
        }
    }
}

#[derive(Debug)]
struct Norm;

#[derive(Clone, Debug)]
struct Normalised {
    x: FlexTensor,
    gain: FlexTensor,
    bias: FlexTensor,
    moments: Moments,
    fixed: bool,
    over: Over,
    slope: f32,
}

impl Backward<Flex, 3> for Norm {
    type State = Normalised;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let Normalised { x, gain, bias, moments, fixed, over, slope } = ops.state;
        let shape = sides(&x);
        let (x, gain, bias) = (x.to_contiguous(), gain.to_contiguous(), bias.to_contiguous());
        let (x, gain, bias) = norm::backward(
            x.storage(),
            gradient.storage(),
            (&moments, fixed),
            gain.storage(),
            bias.storage(),
            planes(shape, over),
            slope,
        );
        let [x_node, gain_node, bias_node] = ops.parents;
        if let Some(node) = x_node {
            gradients.register::<Flex>(node.id, tensor(x, shape));
        }
        for (node, gradient) in [(gain_node, gain), (bias_node, bias)] {
            if let Some(node) = node {
                let channels = gradient.len();
                gradients.register::<Flex>(node.id, tensor(gradient, [channels]));
            }
        }
    }
}

const fn planes([_, channels, height, width]: [usize; 4], over: Over) -> Planes {
    Planes { channels, area: height * width, over }
}

/// The lengths of a tensor's four axes.
fn sides(tensor: &FlexTensor) -> [usize; 4] {
    tensor.shape().dims()
}

fn tensor<const D: usize>(data: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, shape))
}
