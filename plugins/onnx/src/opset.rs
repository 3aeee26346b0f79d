//! Networks of operator sets 11 and 12, declared to be of set 13 where that changes nothing: quantised layers
//! need it, and backbones that go round are older.
//!
//! What changed between the sets is in <https://github.com/onnx/onnx/blob/main/docs/Changelog.md>.

use std::collections::HashSet;

use prost::Message;

use crate::{
    error::OnnxError,
    proto::{ModelProto, NodeProto, OperatorSetId},
    wire::{self, OPSET},
};

/// The set that files are declared to be of.
const NEWER: i64 = 13;
/// The oldest set that it can be told of.
const OLDEST: i64 = 11;

/// Operators that set 13 reads as set 11 did; it takes more types of numbers.
const SAME: [&str; 32] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Div",
    "Elu",
    "Exp",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Sub",
    "Tanh",
    "Transpose",
];

/// The network as one of operator set 13; nothing where it is of that or a newer one, or where an operator
/// would mean something else.
///
/// # Errors
/// If the bytes are no ONNX file.
pub fn upgraded(file: &[u8]) -> Result<Option<Vec<u8>>, OnnxError> {
    let model = wire::parse(file).map_err(OnnxError)?;
    let is_old = wire::opset(&model).is_some_and(|version| (OLDEST..NEWER).contains(&version));
    let nodes = model.graph.map(|graph| graph.node).unwrap_or_default();
    let tables = nodes.iter().filter(|node| node.op_type == "Gemm").flat_map(|node| &node.output).collect();
    let taken = nodes.iter().flat_map(|node| &node.input).collect();
    let can_stay = |node: &NodeProto| newer(node, &tables, &taken).is_some();
    if !is_old || model.opset_import.len() != 1 || !nodes.iter().all(can_stay) {
        return Ok(None);
    }
    let others = |node: &NodeProto| newer(node, &tables, &taken).flatten().map(|other| vec![other]);
    let (mut out, _) = wire::with_nodes(file, |field| field.tag != OPSET, others).map_err(OnnxError)?;
    let set = OperatorSetId { domain: String::new(), version: NEWER };
    out.extend(ModelProto { opset_import: vec![set], ..ModelProto::default() }.encode_to_vec());
    Ok(Some(out))
}

/// Whether a node means the same in set 13, and what takes its place where it is written otherwise there.
/// `tables` are values of two dimensions, `taken` those that a node takes.
#[expect(clippy::option_option, reason = "no, yes, and yes with another")]
fn newer(node: &NodeProto, tables: &HashSet<&String>, taken: &HashSet<&String>) -> Option<Option<NodeProto>> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    let axis = || node.attribute.iter().find(|attribute| attribute.name == "axis").and_then(|axis| axis.i);
    match node.op_type.as_str() {
        // Its share of zeros is an input there. What is asked drops nothing.
        "Dropout" if !node.output.iter().skip(1).any(|mask| taken.contains(mask)) => Some(Some(NodeProto {
            op_type: "Identity".into(),
            name: node.name.clone(),
            input: node.input.iter().take(1).cloned().collect(),
            output: node.output.iter().take(1).cloned().collect(),
            ..NodeProto::default()
        })),
        // All dimensions from the axis on were one; of two the last is.
        "Softmax" if node.input.iter().all(|input| tables.contains(input)) => {
            (axis() == Some(1) || axis() == Some(-1)).then_some(None)
        }
        op if SAME.contains(&op) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::{GraphBuilder, Side, attribute::int};

    fn network(op: &str, softmax_axis: i64, version: i64) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        graph.input("x", &[Side::Free("N"), Side::Fixed(2)]);
        let weights = graph.floats("weights", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        graph.node(op, "a", &["x"], vec![]);
        graph.node("Gemm", "b", &["a", &weights], vec![]);
        graph.node("Softmax", "y", &["b"], vec![int("axis", softmax_axis)]);
        graph.output("y", &[Side::Free("N"), Side::Fixed(2)]);
        let mut model = ModelProto::decode(&*graph.finish("small")).unwrap();
        model.opset_import[0].version = version;
        model.encode_to_vec()
    }

    #[test]
    fn what_means_the_same_is_declared_newer_and_dropout_is_taken_out() {
        let file = upgraded(&network("Dropout", 1, 11)).unwrap().unwrap();
        let model = ModelProto::decode(&*file).unwrap();
        assert_eq!(wire::opset(&model), Some(13));
        let kinds: Vec<_> = model.graph.unwrap().node.into_iter().map(|node| node.op_type).collect();
        assert_eq!(kinds, ["Identity", "Gemm", "Softmax"]);
    }

    #[test]
    fn what_would_mean_something_else_is_left_alone() {
        assert_eq!(upgraded(&network("Relu", 0, 11)), Ok(None), "a softmax over all faces");
        assert_eq!(upgraded(&network("Squeeze", 1, 11)), Ok(None), "its axes became an input");
        assert_eq!(upgraded(&network("Relu", 1, 9)), Ok(None), "too old");
        assert_eq!(upgraded(&network("Relu", 1, 13)), Ok(None), "new enough");
        assert!(upgraded(b"no network").is_err());
    }
}
