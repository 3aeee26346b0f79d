//! A trained classifier as ONNX.

use burn::backend::Flex;
use burn::module::Param;
use burn::tensor::Tensor;
use ferroflow_onnx::{GraphBuilder, Side, int, ints};

use super::augment::{LEAST_DEVIATION, inner};
use super::network::{Block, INPUTS};
use super::trained::Classifier;
use crate::error::LearnError;
use crate::kernels::norm::{self, Moments};

/// The graph's input.
const INPUT: &str = "faces";
/// The graph's output.
const OUTPUT: &str = "probabilities";

impl Classifier {
    /// The network as an ONNX file (operator set 13) with this name and metadata.
    ///
    /// Its input `faces` is float (N, 1, height, width), N free: gray values 0..255, as they are in the picture.
    /// Cutting, raising the contrast and the softmax are part of the graph. Its output `probabilities` is (N,
    /// classes). Normalisations are folded into the convolutions.
    ///
    /// # Errors
    /// If the network has not got the moments that faces are normalised with.
    pub fn to_onnx(&self, name: &str, metadata: &[(&str, String)]) -> Result<Vec<u8>, LearnError> {
        let (found, needed) = (self.moments.len(), self.network.blocks.len());
        if found != needed {
            return Err(LearnError::Export(format!("moments of {found} layers, {needed} are needed")));
        }
        let (width, height) = self.size();
        let mut graph = GraphBuilder::default();
        graph.input(INPUT, &[Side::Free("faces"), Side::Fixed(1), Side::Fixed(height), Side::Fixed(width)]);
        let mut x = contrast(&mut graph, (width, height));
        let mut inputs = INPUTS;
        for (index, (block, moments)) in self.network.blocks.iter().zip(&self.moments).enumerate() {
            x = convolve(&mut graph, &x, (block, moments), index, inputs);
            inputs = moments.mean.len();
        }
        let means = graph.node("GlobalAveragePool", "means", &[&x], vec![]);
        let features = graph.node("Flatten", "features", &[&means], vec![]);
        let head = graph.floats("head", &[inputs, self.classes()], &values(&self.network.head));
        let bias = graph.floats("head.bias", &[self.classes()], &values(&self.network.head_bias));
        let logits = graph.node("Gemm", "logits", &[&features, &head, &bias], vec![]);
        let answers = graph.node("Softmax", OUTPUT, &[&logits], vec![int("axis", 1)]);
        graph.output(&answers, &[Side::Free("faces"), Side::Fixed(self.classes())]);
        metadata.iter().for_each(|(key, value)| graph.metadata(key, value));
        Ok(graph.finish(name))
    }
}

/// The inner part with mean 0 and deviation 1, 2x2 pixels of it as four channels: what `views` makes of a
/// face that is not varied.
fn contrast(graph: &mut GraphBuilder, size: (usize, usize)) -> String {
    let [columns, lines] = inner(size);
    let corner = |range: fn(&std::ops::Range<usize>) -> usize| [range(&lines) as i64, range(&columns) as i64];
    let starts = graph.ints("starts", &corner(|range| range.start));
    let ends = graph.ints("ends", &corner(|range| range.end));
    let axes = graph.ints("axes", &[2, 3]);
    let cut = graph.node("Slice", "cut", &[INPUT, &starts, &ends, &axes], vec![]);
    let over = || vec![ints("axes", &[2, 3])];
    let mean = graph.node("ReduceMean", "mean", &[&cut], over());
    let centred = graph.node("Sub", "centred", &[&cut, &mean], vec![]);
    let squares = graph.node("Mul", "squares", &[&centred, &centred], vec![]);
    let variance = graph.node("ReduceMean", "variance", &[&squares], over());
    let deviation = graph.node("Sqrt", "deviation", &[&variance], vec![]);
    let least = graph.floats("least", &[1], &[LEAST_DEVIATION]);
    let divisor = graph.node("Max", "divisor", &[&deviation, &least], vec![]);
    let even = graph.node("Div", "even", &[&centred, &divisor], vec![]);
    graph.node("SpaceToDepth", "squares_of_pixels", &[&even], vec![int("blocksize", 2)])
}

/// A block: convolution with its normalisation folded in, ReLU, perhaps a maximum.
fn convolve(
    graph: &mut GraphBuilder,
    x: &str,
    (block, moments): (&Block<Flex>, &Moments),
    index: usize,
    inputs: usize,
) -> String {
    let (scale, shift) = norm::affine(moments, &values(&block.gain), &values(&block.bias));
    let outputs = scale.len();
    // Ours lie as (line, column, input) x output.
    let ours = values(&block.weights);
    let mut weights = Vec::with_capacity(ours.len());
    for (output, scale) in scale.iter().enumerate() {
        for input in 0..inputs {
            weights.extend((0..9).map(|place| scale * ours[(place * inputs + input) * outputs + output]));
        }
    }
    let name = |part: &str| format!("block{index}.{part}");
    let weights = graph.floats(&name("weights"), &[outputs, inputs, 3, 3], &weights);
    let bias = graph.floats(&name("bias"), &[outputs], &shift);
    let attributes = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
    let y = graph.node("Conv", &name("conv"), &[x, &weights, &bias], attributes);
    let y = graph.node("Relu", &name("relu"), &[&y], vec![]);
    if !block.pool {
        return y;
    }
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    graph.node("MaxPool", &name("pool"), &[&y], attributes)
}

fn values<const D: usize>(values: &Param<Tensor<Flex, D>>) -> Vec<f32> {
    values.val().into_data().iter::<f32>().collect()
}
