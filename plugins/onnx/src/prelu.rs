//! Networks with parametric rectifiers, `PRelu`, made of operators that are quicker in ONNX Runtime on a CPU.
//!
//! Its `PRelu` asks each value for its sign; more than half of a run of MTCNN's networks is spent there. The
//! positive part, and the negative part times the slope, are four operators of plain vectors: what they give
//! is the same to the last bit (but infinity, which becomes no number, and the sign of a zero).

use prost::Message;

use crate::{
    error::OnnxError,
    proto::{ModelProto, NodeProto},
    wire::{self, OPSET},
};

/// The first version of the standard operators in which shapes are made to fit each other without being told so.
const LEAST_OPSET: i64 = 7;

/// The network with other operators in place of its parametric rectifiers; nothing where it has none, or is
/// too old for others.
///
/// # Errors
/// If the bytes are no ONNX file.
pub fn without_prelu(file: &[u8]) -> Result<Option<Vec<u8>>, OnnxError> {
    let fields = wire::fields(file).map_err(OnnxError)?;
    let mut versions = Vec::new();
    for field in fields.iter().filter(|field| field.tag == OPSET) {
        versions.extend_from_slice(field.whole);
    }
    let versions = ModelProto::decode(&*versions).unwrap_or_default();
    let is_new = wire::opset(&versions).is_some_and(|version| version >= LEAST_OPSET);
    let others = |node: &NodeProto| parts(node).map(Vec::from);
    let (other, replaced) = wire::with_nodes(file, |_| true, others).map_err(OnnxError)?;
    Ok((is_new && replaced > 0).then_some(other))
}

/// The nodes that do what a parametric rectifier does.
fn parts(node: &NodeProto) -> Option<[NodeProto; 4]> {
    let ("PRelu", "" | "ai.onnx") = (node.op_type.as_str(), node.domain.as_str()) else { return None };
    let ([value, slope], [output]) = (node.input.as_slice(), node.output.as_slice()) else { return None };
    let named = |part: &str| format!("{output}/of PRelu/{part}");
    let [positive, negative, scaled] = ["positive", "negative", "scaled"].map(named);
    let make = |op_type: &str, input: &[&String], output: &String| NodeProto {
        op_type: op_type.into(),
        name: format!("{output}/{op_type}"),
        input: input.iter().map(|name| (*name).clone()).collect(),
        output: vec![output.clone()],
        ..NodeProto::default()
    };
    Some([
        make("Relu", &[value], &positive),
        make("Sub", &[value, &positive], &negative),
        make("Mul", &[&negative, slope], &scaled),
        make("Add", &[&positive, &scaled], output),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::{GraphBuilder, Side};

    fn network(op: &str) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        graph.input("x", &[Side::Free("N"), Side::Fixed(2)]);
        let ones = graph.floats("ones", &[2], &[1.0, 1.0]);
        let slopes = graph.floats("slopes", &[2], &[0.5, -1.5]);
        graph.node("Add", "more", &["x", &ones], vec![]);
        graph.node(op, "y", &["more", &slopes], vec![]);
        graph.node("Neg", "z", &["y"], vec![]);
        graph.output("z", &[Side::Free("N"), Side::Fixed(2)]);
        graph.finish("small")
    }

    #[test]
    fn rectifiers_become_four_nodes_and_the_rest_is_kept() {
        let before = ModelProto::decode(&*network("PRelu")).unwrap();
        let after = ModelProto::decode(&*without_prelu(&network("PRelu")).unwrap().unwrap()).unwrap();
        let (before, after) = (before.graph.unwrap(), after.graph.unwrap());
        let kinds: Vec<&str> = after.node.iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(kinds, ["Add", "Relu", "Sub", "Mul", "Add", "Neg"]);
        assert_eq!(after.node[4].output, ["y"]);
        assert_eq!((&before.initializer, &before.output), (&after.initializer, &after.output));
    }

    #[test]
    fn networks_without_are_left_alone() {
        assert_eq!(without_prelu(&network("Mul")), Ok(None));
        assert!(without_prelu(b"no network").is_err());
    }
}
