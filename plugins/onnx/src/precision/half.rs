//! Half precision: weights and arithmetic, with casts where single precision begins and ends.

use std::collections::{HashMap, HashSet};

use super::{
    Converted, OnnxError, Ranges,
    draft::{Draft, Node},
    fold, int8,
};
use crate::{
    attribute::int,
    proto::{FLOAT, FLOAT16, TensorProto},
};

/// The first set whose `Cast` takes its type as a number.
const LEAST_OPSET: i64 = 7;

/// Half of the greatest number of half precision, 65504: faces may be stronger than those that ranges were
/// measured on.
const GREATEST: f32 = 32752.0;

/// Which inputs of an operator are of the type that it computes in; none for operators that stay in single precision.
/// Softmax is not among them, where small probabilities would be lost.
fn typed_inputs(op: &str) -> Option<fn(usize) -> bool> {
    match op {
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min"
        | "Sum" | "Concat" | "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Sigmoid" | "HardSigmoid" | "Tanh"
        | "Clip" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool"
        | "BatchNormalization" | "Flatten" | "Transpose" | "Identity" | "DepthToSpace" | "SpaceToDepth" => {
            Some(|_| true)
        }
        // Shapes, axes and places are whole numbers.
        "Reshape" | "Squeeze" | "Unsqueeze" | "Slice" => Some(|at| at == 0),
        "Pad" => Some(|at| at == 0 || at == 2),
        _ => None,
    }
}

/// Inputs of a node that are of the type that it computes in.
fn typed<'n>(node: &'n Node<'_>) -> impl Iterator<Item = &'n str> {
    let is_typed = typed_inputs(node.op()).unwrap_or(|_| false);
    (0..node.proto.input.len()).filter(move |at| is_typed(*at)).filter_map(|at| node.input(at))
}

/// Whether a node has weights: with it half precision begins.
fn has_weights(draft: &Draft<'_>, node: &Node<'_>) -> bool {
    match node.op() {
        "ConvTranspose" => node.input(1).is_some_and(|weights| draft.floats(weights).is_some()),
        _ => int8::Layer::of(draft, node).is_some(),
    }
}

/// Which nodes compute in half precision, by their places.
fn chosen(draft: &Draft<'_>, ranges: &Ranges) -> Vec<bool> {
    let is_small = |values: &[f32]| values.iter().all(|value| value.abs() <= GREATEST);
    // What keeps a divisor from zero must not become zero; among weights nothing is lost.
    let is_there = |value: &f32| *value == 0.0 || ::half::f16::from_f32(*value).to_f32() != 0.0;
    let fits = |name: &str, is_layer: bool| match draft.is_constant(name) {
        true => draft
            .floats(name)
            .is_some_and(|(_, values)| is_small(&values) && (is_layer || values.iter().all(is_there))),
        false => ranges.get(name).is_none_or(|range| is_small(&[range.least, range.greatest])),
    };
    let mut halves = HashSet::new();
    let mut chosen = Vec::with_capacity(draft.nodes.len());
    for node in &draft.nodes {
        // All inputs of one type are single precision where one of them is, as weights and what comes out of layers
        // with weights are.
        let is_layer = has_weights(draft, node);
        let begins = is_layer || typed(node).any(|input| halves.contains(input));
        let output = node.output().filter(|_| typed_inputs(node.op()).is_some());
        let fits = |name| fits(name, is_layer);
        let output = output.filter(|output| begins && fits(output) && typed(node).all(fits));
        halves.extend(output);
        chosen.push(output.is_some());
    }
    chosen
}

fn open(file: &[u8]) -> Result<Draft<'_>, OnnxError> {
    let mut draft = Draft::open(file, LEAST_OPSET, "half")?;
    fold::normalisations(&mut draft);
    Ok(draft)
}

/// The error for networks without anything to convert.
fn nothing(draft: &Draft<'_>) -> OnnxError {
    int8::nothing(draft, "half precision")
}

/// Tensors that would be in half precision.
pub(super) fn tensors(file: &[u8]) -> Result<Vec<String>, OnnxError> {
    let draft = open(file)?;
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for (node, _) in draft.nodes.iter().zip(chosen(&draft, &Ranges::new())).filter(|(_, chosen)| *chosen) {
        for name in typed(node).filter(|name| !draft.is_constant(name)).chain(node.output()) {
            if known.insert(name.to_owned()) {
                names.push(name.to_owned());
            }
        }
    }
    if names.is_empty() { Err(nothing(&draft)) } else { Ok(names) }
}

pub(super) fn convert(
    file: &[u8],
    ranges: &Ranges,
    metadata: &[(&str, String)],
) -> Result<Converted, OnnxError> {
    let mut draft = open(file)?;
    let chosen = chosen(&draft, ranges);
    let places = |is_chosen: bool| {
        let nodes = draft.nodes.iter().zip(&chosen).filter(|(_, chosen)| **chosen == is_chosen);
        nodes.filter(|(node, _)| has_weights(&draft, node)).count()
    };
    let (layers, left) = (places(true), places(false));
    if layers == 0 {
        return Err(nothing(&draft));
    }
    let takers = draft.takers();
    let is_single_needed = |name: &str| {
        let takers = takers.get(name).into_iter().flatten();
        let of_other_type = |at: &usize| {
            let is_half = chosen.get(*at).copied().unwrap_or_default();
            !is_half || draft.nodes.get(*at).is_some_and(|node| typed(node).all(|input| input != name))
        };
        draft.is_kept(name) || takers.into_iter().any(of_other_type)
    };
    let outputs =
        draft.nodes.iter().zip(&chosen).filter_map(|(node, chosen)| node.output().filter(|_| *chosen));
    let singles: HashSet<String> = outputs.filter(|name| is_single_needed(name)).map(str::to_owned).collect();
    let mut halves = HashMap::<String, String>::new();
    let mut nodes = Vec::with_capacity(draft.nodes.len() * 2);
    for (mut node, chosen) in std::mem::take(&mut draft.nodes).into_iter().zip(chosen) {
        if !chosen {
            nodes.push(node);
            continue;
        }
        for input in typed(&node).map(str::to_owned).collect::<Vec<_>>() {
            if halves.contains_key(&input) {
                continue;
            }
            let name = draft.name(&input, "");
            match draft.floats(&input) {
                Some((sides, values)) => {
                    draft.add(constant(name.clone(), &sides, &values));
                }
                None => nodes.push(cast(&input, name.clone(), FLOAT16)),
            }
            halves.insert(input, name);
        }
        let is_typed = typed_inputs(node.op()).unwrap_or(|_| false);
        let Some(output) = node.output().map(str::to_owned) else { continue };
        let half = draft.name(&output, "");
        let proto = node.change();
        let inputs = proto.input.iter_mut().enumerate().filter(|(at, _)| is_typed(*at));
        for (_, input) in inputs {
            if let Some(half) = halves.get(input.as_str()) {
                input.clone_from(half);
            }
        }
        proto.output.iter_mut().filter(|name| **name == output).for_each(|name| name.clone_from(&half));
        nodes.push(node);
        if singles.contains(&output) {
            nodes.push(cast(&half, output.clone(), FLOAT));
        }
        halves.insert(output, half);
    }
    draft.nodes = nodes;
    Ok(Converted { file: draft.write(metadata)?, layers, left })
}

fn cast<'a>(from: &str, to: String, kind: i32) -> Node<'a> {
    let mut node = Node::new("Cast", to, &[from], vec![int("to", kind.into())]);
    // Values may have the name that a node has.
    node.change().name = format!("{from}.cast");
    node
}

/// A constant of half precision: the nearest to each value, the even one of two.
fn constant(name: String, sides: &[usize], values: &[f32]) -> TensorProto {
    let raw = values.iter().flat_map(|value| ::half::f16::from_f32(*value).to_le_bytes()).collect();
    TensorProto::constant(name, sides, FLOAT16, raw)
}
