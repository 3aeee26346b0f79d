#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;

use prost::Message;

use super::*;
use crate::{
    GraphBuilder, GraphProto, ModelProto, NodeProto, Side, TensorProto, float, int, ints, metadata,
    proto::{AttributeProto, FLOAT, FLOAT16, INT8, INT32, SUBGRAPH, TensorType, UINT8, ValueInfoProto},
};

const INT: Precision = Precision::Int8 { reduce_range: false };

/// Weights of two outputs, one with much smaller ones.
fn weights() -> Vec<f32> {
    (0..18).map(|at| (at as f32 - 4.0) * if at < 9 { 0.1 } else { 0.001 }).collect()
}

/// A small classifier: brightness to 0..1, convolution, ReLU, maximum, dense layer, softmax.
fn classifier() -> Vec<u8> {
    let mut graph = GraphBuilder::default();
    graph.input("face", &[Side::Free("N"), Side::Fixed(1), Side::Fixed(4), Side::Fixed(4)]);
    let scale = graph.floats("scale", &[1], &[1.0 / 255.0]);
    graph.node("Mul", "bright", &["face", &scale], vec![]);
    let filters = graph.floats("filters", &[2, 1, 3, 3], &weights());
    let shift = graph.floats("shift", &[2], &[0.25, -0.5]);
    let attributes = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
    graph.node("Conv", "conv", &["bright", &filters, &shift], attributes);
    graph.node("Relu", "relu", &["conv"], vec![]);
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    graph.node("MaxPool", "most", &["relu"], attributes);
    graph.node("Flatten", "flat", &["most"], vec![]);
    let head = graph.floats("head", &[8, 3], &(0..24).map(|at| at as f32 / 24.0).collect::<Vec<_>>());
    graph.node("Gemm", "logits", &["flat", &head], vec![]);
    graph.node("Softmax", "answer", &["logits"], vec![int("axis", 1)]);
    graph.output("answer", &[Side::Free("N"), Side::Fixed(3)]);
    graph.metadata("card", "labels");
    graph.metadata("author", "somebody");
    graph.finish("classifier")
}

fn ranges() -> Ranges {
    let range = |least, greatest| Range { least, greatest };
    Ranges::from([
        ("bright".to_owned(), range(0.0, 1.0)),
        ("relu".to_owned(), range(0.0, 5.1)),
        ("most".to_owned(), range(0.0, 5.0)),
        ("flat".to_owned(), range(0.0, 5.0)),
    ])
}

fn graph(file: &[u8]) -> GraphProto {
    ModelProto::decode(file).unwrap().graph.unwrap()
}

fn changed(file: &[u8], change: impl Fn(&mut GraphProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(file).unwrap();
    change(model.graph.as_mut().unwrap());
    model.encode_to_vec()
}

fn ops(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(|node| node.op_type.as_str()).collect()
}

fn constant<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|tensor| tensor.name == name).unwrap_or_else(|| panic!("{name}"))
}

fn single(graph: &GraphProto, name: &str) -> f32 {
    constant(graph, name).singles().unwrap()[0]
}

fn maker<'a>(graph: &'a GraphProto, value: &str) -> &'a NodeProto {
    let is_made = |node: &&NodeProto| node.output.iter().any(|output| output == value);
    graph.node.iter().find(is_made).unwrap_or_else(|| panic!("{value}"))
}

/// Each node takes what is made before it, and makes what nobody else has made.
fn check_order(graph: &GraphProto) {
    let mut known: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    known.extend(graph.input.iter().map(|input| input.name.as_str()));
    let mut names = HashSet::new();
    for node in &graph.node {
        let mut inputs = node.input.iter().filter(|input| !input.is_empty());
        assert!(inputs.all(|input| known.contains(input.as_str())), "{node:?}");
        assert!(node.output.iter().all(|output| known.insert(output)), "{node:?}");
        assert!(names.insert(node.name.as_str()), "{node:?}");
    }
    assert!(graph.output.iter().all(|output| known.contains(output.name.as_str())));
}

fn convert(precision: Precision, file: &[u8], ranges: &Ranges) -> GraphProto {
    let converted = precision.convert(file, ranges, &[]).unwrap();
    let graph = graph(&converted.file);
    check_order(&graph);
    graph
}

fn refused(precision: Precision, file: &[u8]) -> String {
    let error = precision.tensors(file).unwrap_err();
    assert_eq!(precision.convert(file, &ranges(), &[]).unwrap_err(), error);
    error.to_string()
}

#[test]
fn half_precision_begins_with_the_first_layer_and_ends_before_the_softmax() {
    let before = classifier();
    let converted = Precision::Half.convert(&before, &Ranges::new(), &[("card", "new".to_owned())]).unwrap();
    assert_eq!((converted.layers, converted.left), (2, 0));
    let after = graph(&converted.file);
    check_order(&after);
    assert_eq!(ops(&after), ["Mul", "Cast", "Conv", "Relu", "MaxPool", "Flatten", "Gemm", "Cast", "Softmax"]);
    let old = graph(&before);
    assert_eq!((&after.input, &after.output), (&old.input, &old.output));
    assert_eq!(after.node[0], old.node[0]);
    assert_eq!(after.node[8], old.node[4 + 2]);
    let halves: Vec<_> = after.initializer.iter().filter(|tensor| tensor.data_type == FLOAT16).collect();
    let names: Vec<_> = halves.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["filters.half", "shift.half", "head.half"]);
    // What the weights were is gone.
    assert_eq!(after.initializer.len(), 4);
    for (bytes, value) in halves[0].raw_data.as_ref().unwrap().chunks_exact(2).zip(weights()) {
        let half = ::half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        assert!((half - value).abs() <= value.abs() / 2048.0, "{half} {value}");
    }
    assert_eq!(metadata(&converted.file, "card").as_deref(), Some("new"));
    assert_eq!(metadata(&converted.file, "author").as_deref(), Some("somebody"));
    let tensors = Precision::Half.tensors(&before).unwrap();
    assert_eq!(tensors, ["bright", "conv", "relu", "most", "flat", "logits"]);
}

#[test]
fn what_half_precision_cannot_hold_stays_in_single_precision() {
    let strong = Range { least: 0.0, greatest: 40_000.0 };
    let after = convert(Precision::Half, &classifier(), &Ranges::from([("logits".to_owned(), strong)]));
    assert_eq!(maker(&after, "logits").input, ["flat", "head"]);
    assert_eq!(maker(&after, "flat").input, ["flat.half"]);
    let even = changed(&classifier(), |graph| {
        graph.initializer.push(TensorProto::floats("least".to_owned(), &[1], &[1e-9]));
        let mut most = graph.node[2].clone();
        (most.op_type, most.name) = ("Max".to_owned(), "floor".to_owned());
        most.output = vec!["floor".to_owned()];
        most.input = ["relu", "least"].map(str::to_owned).to_vec();
        graph.node.insert(3, most);
        graph.node[4].input = vec!["floor".to_owned()];
    });
    assert_eq!(maker(&convert(Precision::Half, &even, &Ranges::new()), "floor").input, ["relu", "least"]);
    let heavy = changed(&classifier(), |graph| {
        let filters = graph.initializer.iter_mut().find(|tensor| tensor.name == "filters").unwrap();
        *filters = TensorProto::floats("filters".to_owned(), &[2, 1, 3, 3], &[1e5; 18]);
    });
    let converted = Precision::Half.convert(&heavy, &Ranges::new(), &[]).unwrap();
    assert_eq!((converted.layers, converted.left), (1, 1));
    assert_eq!(maker(&graph(&converted.file), "conv").input, ["bright", "filters", "shift"]);
}

#[test]
fn values_that_others_take_are_still_there_under_their_names() {
    // One is an output as well, one is taken by an operator of others, one inside a graph inside a node.
    let file = changed(&classifier(), |graph| {
        let tensor = TensorType { elem_type: FLOAT, shape: None };
        let kind = Some(crate::TypeProto { tensor_type: Some(tensor) });
        graph.output.push(ValueInfoProto { name: "relu".to_owned(), r#type: kind });
        let node = |op: &str, domain: &str, input: &str, output: &str| NodeProto {
            op_type: op.to_owned(),
            domain: domain.to_owned(),
            name: output.to_owned(),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        graph.node.push(node("Sharpen", "com.example", "most", "sharp"));
        let inner = GraphProto { node: vec![node("Abs", "", "flat", "inner")], ..GraphProto::default() };
        let body = AttributeProto {
            name: "then_branch".to_owned(),
            g: Some(inner),
            kind: SUBGRAPH,
            ..AttributeProto::default()
        };
        let mut branch = node("If", "", "sharp", "either");
        branch.attribute.push(body);
        graph.node.push(branch);
    });
    for precision in [Precision::Half, INT] {
        let after = convert(precision, &file, &ranges());
        for value in ["relu", "most", "flat"] {
            let op = maker(&after, value).op_type.as_str();
            let expected = if precision == INT { ["Relu", "MaxPool", "Flatten"] } else { ["Cast"; 3] };
            assert!(expected.contains(&op), "{value} {op}");
        }
        assert_eq!(maker(&after, "either").attribute.len(), 1);
    }
}

#[test]
fn layers_of_whole_numbers_stand_between_pairs() {
    let before = classifier();
    assert_eq!(INT.tensors(&before).unwrap(), ["bright", "relu", "flat"]);
    let converted = INT.convert(&before, &ranges(), &[]).unwrap();
    assert_eq!((converted.layers, converted.left), (2, 0));
    let after = graph(&converted.file);
    check_order(&after);
    let pair = ["QuantizeLinear", "DequantizeLinear"];
    let constants = ["DequantizeLinear"; 2];
    let expected = [
        &["Mul"][..],
        &pair,
        &constants,
        &["Conv", "Relu"],
        &pair,
        &["MaxPool"],
        &pair,
        &["Flatten"],
        &pair,
        &["DequantizeLinear", "Gemm", "Softmax"],
    ];
    assert_eq!(ops(&after), expected.concat());
    let conv = maker(&after, "conv");
    assert_eq!(
        conv.input,
        ["bright.int8.dequantized", "conv.int8.weights_dequantized", "conv.int8.bias_dequantized"]
    );
    // Borders and what ReLU cuts are zero without rounding, and so is what only moves.
    let zero = constant(&after, "relu.int8.zero_point");
    assert_eq!((zero.data_type, zero.raw_data.as_deref()), (UINT8, Some(&[0][..])));
    for value in ["relu", "most", "flat"] {
        assert!((single(&after, &format!("{value}.int8.scale")) - 0.02).abs() < 1e-6, "{value}");
    }
    let (whole, scales) =
        (constant(&after, "conv.int8.weights"), constant(&after, "conv.int8.weights_scale"));
    assert_eq!((whole.data_type, whole.dims.as_slice()), (INT8, &[2, 1, 3, 3][..]));
    let scales = scales.singles().unwrap();
    assert!(scales[0] > 10.0 * scales[1], "{scales:?}");
    let raw = whole.raw_data.as_ref().unwrap();
    for (at, (byte, weight)) in raw.iter().zip(weights()).enumerate() {
        let back = f32::from(i8::from_le_bytes([*byte])) * scales[at / 9];
        assert!((back - weight).abs() <= scales[at / 9] * 0.5001, "{back} {weight}");
    }
    let bias = constant(&after, "conv.int8.bias");
    assert_eq!(bias.data_type, INT32);
    let products = constant(&after, "conv.int8.bias_scale").singles().unwrap();
    let raw = bias.raw_data.as_ref().unwrap().chunks_exact(4);
    for ((bytes, scale), value) in raw.zip(products).zip([0.25, -0.5]) {
        let back = i32::from_le_bytes(bytes.try_into().unwrap()) as f32 * scale;
        assert!((back - value).abs() <= scale, "{back} {value}");
    }
    // Dense layers have their outputs on the second side.
    let axis = &maker(&after, "logits.int8.weights_dequantized").attribute[0];
    assert_eq!((axis.name.as_str(), axis.i), ("axis", Some(1)));
    assert!(after.initializer.iter().all(|tensor| !["filters", "shift", "head"].contains(&&*tensor.name)));
    assert_eq!(metadata(&converted.file, "card").as_deref(), Some("labels"));
}

#[test]
fn a_reduced_range_has_seven_bits() {
    let after = convert(Precision::Int8 { reduce_range: true }, &classifier(), &ranges());
    let whole = constant(&after, "logits.int8.weights").raw_data.clone().unwrap();
    assert_eq!(whole.iter().map(|byte| i8::from_le_bytes([*byte])).max(), Some(63));
}

#[test]
fn both_signs_have_zero_on_the_grid() {
    let mut ranges = ranges();
    ranges.insert("bright".to_owned(), Range { least: -1.0, greatest: 3.0 });
    let after = convert(INT, &classifier(), &ranges);
    let zero = constant(&after, "bright.int8.zero_point").raw_data.clone().unwrap()[0];
    assert_eq!(zero, 64);
    assert!((single(&after, "bright.int8.scale") - 4.0 / 255.0).abs() < 1e-7);
    // Nothing but zeros, or nothing near zero.
    for (range, zero) in [((0.0, 0.0), 0), ((2.0, 4.0), 0), ((-4.0, -2.0), 255)] {
        ranges.insert("bright".to_owned(), Range { least: range.0, greatest: range.1 });
        let after = convert(INT, &classifier(), &ranges);
        assert_eq!(constant(&after, "bright.int8.zero_point").raw_data, Some(vec![zero]));
        let scale = single(&after, "bright.int8.scale");
        assert!(scale > 0.0 && scale.is_normal());
    }
}

#[test]
fn a_bias_that_is_great_beside_its_weights_still_fits_into_32_bits() {
    let file = changed(&classifier(), |graph| {
        for tensor in &mut graph.initializer {
            match tensor.name.as_str() {
                "filters" => *tensor = TensorProto::floats("filters".to_owned(), &[2, 1, 3, 3], &[1e-9; 18]),
                "shift" => *tensor = TensorProto::floats("shift".to_owned(), &[2], &[900.0, 0.0]),
                _ => {}
            }
        }
    });
    let after = convert(INT, &file, &ranges());
    let bias = constant(&after, "conv.int8.bias").raw_data.clone().unwrap();
    let whole = i32::from_le_bytes(bias[..4].try_into().unwrap());
    let scale = single(&after, "conv.int8.bias_scale");
    assert!((whole as f32 * scale - 900.0).abs() < 0.01 && whole < 1 << 30, "{whole} {scale}");
}

#[test]
fn layers_without_a_range_are_left() {
    let mut some = ranges();
    some.remove("flat");
    let converted = INT.convert(&classifier(), &some, &[]).unwrap();
    assert_eq!((converted.layers, converted.left), (1, 1));
    assert_eq!(maker(&graph(&converted.file), "logits").input[1], "head");
    let error = INT.convert(&classifier(), &Ranges::new(), &[]).unwrap_err().to_string();
    assert_eq!(error, "no range is known of what goes into its 2 layers");
}

#[test]
fn a_normalisation_becomes_part_of_its_convolution() {
    let file = changed(&classifier(), |graph| {
        let parameters =
            [("gain", [2.0, 0.5]), ("offset", [1.0, 0.0]), ("mean", [0.5, 0.0]), ("spread", [3.0, 0.0])];
        for (name, values) in parameters {
            graph.initializer.push(TensorProto::floats(name.to_owned(), &[2], &values));
        }
        graph.node[1].output = vec!["raw".to_owned()];
        let input = ["raw", "gain", "offset", "mean", "spread"].map(str::to_owned).to_vec();
        let normalise = NodeProto {
            op_type: "BatchNormalization".to_owned(),
            name: "normalise".to_owned(),
            input,
            output: vec!["conv".to_owned()],
            attribute: vec![float("epsilon", 1.0)],
            ..NodeProto::default()
        };
        graph.node.insert(2, normalise);
    });
    let after = convert(INT, &file, &ranges());
    assert!(!ops(&after).contains(&"BatchNormalization"));
    // (x - mean) / sqrt(spread + epsilon) * gain + offset
    let scale = constant(&after, "conv.int8.bias_scale").singles().unwrap();
    let bias = constant(&after, "conv.int8.bias").raw_data.clone().unwrap();
    let bias = i32::from_le_bytes(bias[..4].try_into().unwrap()) as f32 * scale[0];
    assert!((bias - 0.75).abs() < 1e-3, "{bias}");
    let weights_scale = constant(&after, "conv.int8.weights_scale").singles().unwrap();
    assert!((weights_scale[0] - 0.4 / 127.0).abs() < 1e-6, "{weights_scale:?}");
    // Where somebody else takes the convolution's value, it stays.
    let other = changed(&file, |graph| {
        let mut node = graph.node[3].clone();
        (node.input, node.output, node.name) =
            (vec!["raw".to_owned()], vec!["more".to_owned()], "more".to_owned());
        graph.node.push(node);
    });
    assert!(ops(&convert(INT, &other, &ranges())).contains(&"BatchNormalization"));
    assert!(ops(&convert(Precision::Half, &other, &ranges())).contains(&"BatchNormalization"));
}

#[test]
fn weights_may_lie_in_nodes_or_among_the_inputs() {
    let file = changed(&classifier(), |graph| {
        let tensor = graph.initializer.remove(1);
        assert_eq!(tensor.name, "filters");
        let value = AttributeProto {
            name: "value".to_owned(),
            t: Some(tensor),
            kind: 4,
            ..AttributeProto::default()
        };
        let node = NodeProto {
            op_type: "Constant".to_owned(),
            name: "constant".to_owned(),
            output: vec!["filters".to_owned()],
            attribute: vec![value],
            ..NodeProto::default()
        };
        graph.node.insert(0, node);
        let tensor = TensorType { elem_type: FLOAT, shape: None };
        let kind = Some(crate::TypeProto { tensor_type: Some(tensor) });
        graph.input.push(ValueInfoProto { name: "head".to_owned(), r#type: kind });
    });
    for precision in [Precision::Half, INT] {
        let after = convert(precision, &file, &ranges());
        assert!(!ops(&after).contains(&"Constant"));
        let inputs: Vec<_> = after.input.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(inputs, ["face"]);
    }
}

#[test]
fn what_cannot_be_converted_is_said() {
    for precision in [Precision::Half, INT] {
        assert!(refused(precision, b"not a model").contains("no ONNX file"));
        let plain = changed(&classifier(), |graph| {
            graph.node.truncate(1);
            graph.output[0].name = "bright".to_owned();
        });
        let error = refused(precision, &plain);
        assert!(error.contains("nothing to convert") && error.contains("(it has Mul)"), "{error}");
        // Once is enough: its weights are no singles any more.
        let twice = refused(precision, &precision.convert(&classifier(), &ranges(), &[]).unwrap().file);
        assert!(twice.contains("nothing to convert"), "{twice}");
    }
    let mut old = ModelProto::decode(&*classifier()).unwrap();
    old.opset_import[0].version = 12;
    assert!(refused(INT, &old.encode_to_vec()).contains("set 13 or newer is needed, found 12"));
    old.opset_import.clear();
    assert!(refused(Precision::Half, &old.encode_to_vec()).contains("found none"));
}
