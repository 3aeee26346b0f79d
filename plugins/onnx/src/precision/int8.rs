//! Whole numbers of eight bits: pairs of `QuantizeLinear` and `DequantizeLinear` around convolutions and
//! dense layers, which runtimes take together with the layer between for one of whole numbers.

use std::collections::{BTreeMap, HashSet};

use super::{
    Converted, OnnxError, Range, Ranges,
    draft::{Draft, Node},
    fold,
};
use crate::{
    attribute::int,
    proto::{INT8, INT32, TensorProto, UINT8},
};

/// The first set whose `DequantizeLinear` has a scale for each output.
const LEAST_OPSET: i64 = 13;

/// The greatest whole number that a weight becomes, and with a reduced range.
const LEVELS: f32 = 127.0;
const REDUCED_LEVELS: f32 = 63.0;

/// The greatest that a bias becomes: a quarter of what 32 bits hold, so that room is left for the sums it is
/// added to.
const GREATEST_BIAS: f64 = (1u32 << 29) as f64;

/// Scales are no less, so that the product of two is still a number that can be divided by.
const LEAST_SCALE: f32 = 1e-18;

/// A convolution or dense layer whose weights are constant.
pub(super) struct Layer {
    /// Sides and values.
    weights: (Vec<usize>, Vec<f32>),
    /// The side of the weights that counts outputs, and how many there are.
    axis: usize,
    outputs: usize,
    bias: Option<Vec<f32>>,
}

impl Layer {
    /// The layer that a node is, if it is one.
    pub fn of(draft: &Draft<'_>, node: &Node<'_>) -> Option<Self> {
        let input = node.input(0)?;
        let (weights, bias) = (draft.floats(node.input(1)?)?, node.input(2));
        let rank = weights.0.len();
        let axis = match node.op() {
            "Conv" if rank >= 3 => 0,
            "MatMul" if rank == 2 && bias.is_none() => 1,
            "Gemm" if rank == 2 && node.int("transA", 0) == 0 => usize::from(node.int("transB", 0) == 0),
            _ => return None,
        };
        let is_plain = node.float("alpha", 1.0) == 1.0 && (bias.is_none() || node.float("beta", 1.0) == 1.0);
        let outputs = *weights.0.get(axis)?;
        let bias = match bias {
            None => None,
            Some(name) => {
                let (sides, values) = draft.floats(name)?;
                Some(Some(values).filter(|_| sides == [outputs])?)
            }
        };
        let all = || weights.1.iter().chain(bias.iter().flatten());
        let is_fit = is_plain && !draft.is_constant(input) && !weights.1.is_empty();
        (is_fit && all().all(|value| value.is_finite())).then_some(Self { weights, axis, outputs, bias })
    }

    /// The greatest weight of each output.
    fn greatest(&self) -> Vec<f32> {
        let mut greatest = vec![0.0f32; self.outputs];
        for (at, weight) in self.weights.1.iter().enumerate() {
            let most = &mut greatest[self.output_of(at)];
            *most = most.max(weight.abs());
        }
        greatest
    }

    /// The output that a weight is for.
    fn output_of(&self, weight: usize) -> usize {
        match self.axis {
            0 => weight / (self.weights.1.len() / self.outputs),
            _ => weight % self.outputs,
        }
    }
}

/// The error for networks without anything to convert.
pub(super) fn nothing(draft: &Draft<'_>, to: &str) -> OnnxError {
    let mut ops: Vec<&str> = draft.nodes.iter().map(|node| node.proto.op_type.as_str()).collect();
    ops.sort_unstable();
    ops.dedup();
    OnnxError(format!(
        "there is nothing to convert to {to}: no Conv, Gemm or MatMul in it has constant weights of single precision (it has {})",
        ops.join(", ")
    ))
}

/// Scale and zero point of a tensor of unsigned eight bits.
#[derive(Clone, Copy)]
struct Grid {
    scale: f32,
    zero_point: u8,
}

impl From<Range> for Grid {
    fn from(range: Range) -> Self {
        // Zero must be on the grid: borders are filled with it, and ReLU ends at it.
        let (least, greatest) = (f64::from(range.least.min(0.0)), f64::from(range.greatest.max(0.0)));
        let scale = (((greatest - least) / 255.0) as f32).max(LEAST_SCALE);
        let zero_point = (-least / f64::from(scale)).round().clamp(0.0, 255.0) as u8;
        Self { scale, zero_point }
    }
}

/// What becomes of a network: its layers by the places of their nodes, and the tensors that become whole numbers.
struct Plan {
    layers: BTreeMap<usize, Layer>,
    grids: BTreeMap<String, Grid>,
    left: usize,
}

fn open(file: &[u8]) -> Result<Draft<'_>, OnnxError> {
    let mut draft = Draft::open(file, LEAST_OPSET, "int8")?;
    fold::normalisations(&mut draft);
    Ok(draft)
}

/// What of a convolution becomes whole numbers: what it gives, or what a ReLU makes of it, which then is part of the
/// rounding. None where nobody takes it but who asks the network.
fn outcome_of<'n>(draft: &'n Draft<'_>, node: &'n Node<'_>, takers: &Takers) -> Option<&'n str> {
    let value = node.output().filter(|_| node.op() == "Conv")?;
    let outcome = match takers.get(value)?.as_slice() {
        &[next] if !draft.is_kept(value) => {
            let next = draft.nodes.get(next)?;
            let is_bounded = next.op() == "Relu" || next.op() == "Clip" && next.input(0) == Some(value);
            if is_bounded { next.output()? } else { value }
        }
        _ => value,
    };
    takers.contains_key(outcome).then_some(outcome)
}

/// The nodes that take each value.
type Takers = std::collections::HashMap<String, Vec<usize>>;

/// Tensors whose ranges are needed.
pub(super) fn tensors(file: &[u8]) -> Result<Vec<String>, OnnxError> {
    let draft = open(file)?;
    let takers = draft.takers();
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for node in &draft.nodes {
        if Layer::of(&draft, node).is_none() {
            continue;
        }
        let outcome = outcome_of(&draft, node, &takers);
        for name in node.input(0).into_iter().chain(outcome) {
            if known.insert(name.to_owned()) {
                names.push(name.to_owned());
            }
        }
    }
    if names.is_empty() { Err(nothing(&draft, "whole numbers")) } else { Ok(names) }
}

/// Operators that only move values, so that what they give is on the grid of what they take.
fn is_mover(node: &Node<'_>) -> bool {
    matches!(node.op(), "MaxPool" | "Flatten" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze")
}

fn plan(draft: &Draft<'_>, ranges: &Ranges) -> Plan {
    let takers = draft.takers();
    let range = |name: &str| {
        ranges.get(name).filter(|range| range.least.is_finite() && range.greatest.is_finite()).copied()
    };
    let mut plan = Plan { layers: BTreeMap::new(), grids: BTreeMap::new(), left: 0 };
    for (at, node) in draft.nodes.iter().enumerate() {
        let Some(layer) = Layer::of(draft, node) else { continue };
        let Some((input, taken)) = node.input(0).and_then(|input| Some((input, range(input)?))) else {
            plan.left += 1;
            continue;
        };
        plan.grids.insert(input.to_owned(), taken.into());
        let outcome = outcome_of(draft, node, &takers);
        if let Some((name, given)) = outcome.and_then(|name| Some((name, range(name)?))) {
            plan.grids.insert(name.to_owned(), given.into());
        }
        plan.layers.insert(at, layer);
    }
    for node in draft.nodes.iter().filter(|node| is_mover(node)) {
        let grid = node.input(0).and_then(|input| plan.grids.get(input).copied());
        if let (Some(grid), Some(output)) =
            (grid, node.output().filter(|output| takers.contains_key(*output)))
        {
            plan.grids.insert(output.to_owned(), grid);
        }
    }
    plan
}

pub(super) fn convert(
    file: &[u8],
    ranges: &Ranges,
    reduce_range: bool,
    metadata: &[(&str, String)],
) -> Result<Converted, OnnxError> {
    let mut draft = open(file)?;
    let Plan { layers, grids, left } = plan(&draft, ranges);
    if layers.is_empty() {
        return Err(match left {
            0 => nothing(&draft, "whole numbers"),
            left => OnnxError(format!("no range is known of what goes into its {left} layers")),
        });
    }
    let levels = if reduce_range { REDUCED_LEVELS } else { LEVELS };
    let before = std::mem::take(&mut draft.nodes);
    let made: HashSet<&str> = before.iter().flat_map(|node| &node.proto.output).map(String::as_str).collect();
    let mut nodes = Vec::with_capacity(before.len() * 3);
    for (name, grid) in grids.iter().filter(|(name, _)| !made.contains(name.as_str())) {
        nodes.extend(pair(&mut draft, name, *grid));
    }
    for (at, mut node) in before.iter().cloned().enumerate() {
        if let Some(layer) = layers.get(&at) {
            let grid = node.input(0).and_then(|input| grids.get(input));
            if let (Some(grid), Some(output)) = (grid, node.output().map(str::to_owned)) {
                let constants = constants(&mut draft, layer, &output, grid.scale, levels);
                let names = constants.iter().filter_map(|node| node.output().map(str::to_owned));
                let names: Vec<String> = names.collect();
                node.change().input.truncate(1);
                node.change().input.extend(names);
                nodes.extend(constants);
            }
        }
        if node.proto.input.iter().any(|input| grids.contains_key(input)) {
            let inputs = node.change().input.iter_mut().filter(|input| grids.contains_key(*input));
            inputs.for_each(|input| *input = draft.name(input, "dequantized"));
        }
        let outputs = node.proto.output.clone();
        nodes.push(node);
        for output in &outputs {
            if let Some(grid) = grids.get(output) {
                nodes.extend(pair(&mut draft, output, *grid));
            }
        }
    }
    draft.nodes = nodes;
    Ok(Converted { file: draft.write(metadata)?, layers: layers.len(), left })
}

/// What makes a tensor whole numbers, and these floats again.
fn pair<'a>(draft: &mut Draft<'_>, value: &str, grid: Grid) -> [Node<'a>; 2] {
    let scale = TensorProto::floats(draft.name(value, "scale"), &[], &[grid.scale]);
    let zero = TensorProto::constant(draft.name(value, "zero_point"), &[], UINT8, vec![grid.zero_point]);
    let (scale, zero) = (draft.add(scale), draft.add(zero));
    let quantized = draft.name(value, "quantized");
    let back = draft.name(value, "dequantized");
    [
        Node::new("QuantizeLinear", quantized.clone(), &[value, &scale, &zero], vec![]),
        Node::new("DequantizeLinear", back, &[&quantized, &scale, &zero], vec![]),
    ]
}

/// Weights, and a bias where there is one, as whole numbers that are made floats again. `input` is the scale of what
/// the layer takes.
fn constants<'a>(
    draft: &mut Draft<'_>,
    layer: &Layer,
    output: &str,
    input: f32,
    levels: f32,
) -> Vec<Node<'a>> {
    let outputs = layer.outputs;
    let mut scales: Vec<f32> = layer.greatest().iter().map(|most| (most / levels).max(LEAST_SCALE)).collect();
    // A bias is counted in the product of both scales, which must be wide enough for it.
    for (scale, bias) in scales.iter_mut().zip(layer.bias.iter().flatten()) {
        *scale = scale.max((f64::from(bias.abs()) / (f64::from(input) * GREATEST_BIAS)) as f32);
    }
    let weights = layer.weights.1.iter().enumerate();
    let weights = weights.map(|(at, weight)| {
        let whole = (weight / scales[layer.output_of(at)]).round_ties_even().clamp(-levels, levels);
        (whole as i8).to_le_bytes()[0]
    });
    let weights: Vec<u8> = weights.collect();
    let axis = || vec![int("axis", layer.axis as i64)];
    let name = |part: &str| draft.name(output, part);
    let [of_weights, scale, zero, back] =
        ["weights", "weights_scale", "weights_zero_point", "weights_dequantized"].map(name);
    let [of_bias, bias_scale, bias_zero, bias_back] =
        ["bias", "bias_scale", "bias_zero_point", "bias_dequantized"].map(name);
    let mut nodes = vec![Node::new("DequantizeLinear", back, &[&of_weights, &scale, &zero], axis())];
    draft.add(TensorProto::constant(of_weights, &layer.weights.0, INT8, weights));
    draft.add(TensorProto::floats(scale, &[outputs], &scales));
    draft.add(TensorProto::constant(zero, &[outputs], INT8, vec![0; outputs]));
    if let Some(bias) = &layer.bias {
        let products: Vec<f32> = scales.iter().map(|scale| scale * input).collect();
        let whole = bias.iter().zip(&products);
        let whole = whole.flat_map(|(bias, scale)| {
            // `as` stays within 32 bits.
            ((f64::from(*bias) / f64::from(*scale)).round_ties_even() as i32).to_le_bytes()
        });
        let whole = whole.collect();
        let attributes = vec![int("axis", 0)];
        nodes.push(Node::new(
            "DequantizeLinear",
            bias_back,
            &[&of_bias, &bias_scale, &bias_zero],
            attributes,
        ));
        draft.add(TensorProto::constant(of_bias, &[outputs], INT32, whole));
        draft.add(TensorProto::floats(bias_scale, &[outputs], &products));
        draft.add(TensorProto::constant(bias_zero, &[outputs], INT32, vec![0; outputs * 4]));
    }
    nodes
}
