//! Networks that go on: another output, or dense layers behind the one there is.
//!
//! What a file holds is kept byte for byte, but for its outputs and metadata.

use std::collections::HashSet;

use prost::Message;

use crate::{
    attribute::int,
    error::OnnxError,
    proto::{
        AttributeProto, Dimension, FLOAT, GraphProto, ModelProto, NodeProto, TENSOR, TensorProto,
        TensorShape, TensorType, TypeProto, ValueInfoProto,
    },
    wire,
};

/// The field of `GraphProto` that is not copied as it lies.
const OUTPUT: u32 = 12;

/// The first version of the standard operators whose `Gemm` adds a row to every row.
const LEAST_OPSET: i64 = 7;

/// A dense layer, `y = x * weights + bias`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// Inputs x outputs, row by row.
    pub weights: &'a [f32],
    /// One for each output.
    pub bias: &'a [f32],
}

impl Dense<'_> {
    const fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// How many inputs there are; none if weights and bias do not fit each other.
    fn inputs(&self) -> Option<usize> {
        let (weights, outputs) = (self.weights.len(), self.outputs());
        (outputs > 0 && weights > 0 && weights.is_multiple_of(outputs)).then(|| weights / outputs)
    }
}

/// The network with this value, which one of its nodes makes, as its only output.
///
/// # Errors
/// If the bytes are no ONNX file, or no node makes the value.
pub fn with_output(file: &[u8], value: &str) -> Result<Vec<u8>, OnnxError> {
    with_outputs(file, &[value])
}

/// The names of all values that the nodes of a network make.
///
/// # Errors
/// If the bytes are no ONNX file.
pub fn made(file: &[u8]) -> Result<HashSet<String>, OnnxError> {
    let nodes = parse(file)?.graph.unwrap_or_default().node;
    Ok(nodes.into_iter().flat_map(|node| node.output).filter(|name| !name.is_empty()).collect())
}

/// The network with these values of floats, which its nodes make, as its outputs.
///
/// # Errors
/// If the bytes are no ONNX file, or no node makes one of the values.
pub fn with_outputs(file: &[u8], values: &[&str]) -> Result<Vec<u8>, OnnxError> {
    let graph = parse(file)?.graph.unwrap_or_default();
    let mut output = Vec::with_capacity(values.len());
    for value in values {
        made_inside(&graph, value)?;
        // Its shape follows from the graph.
        output.push(named(value, TensorType { elem_type: FLOAT, shape: None }));
    }
    rewritten(file, &GraphProto { output, ..GraphProto::default() }, &[])
}

/// The network with dense layers behind its only output, or behind the `value` that one of its nodes makes:
/// flattened to (N, features), a ReLU between each two layers, and a softmax behind the last. The answer, (N,
/// classes), is the only output.
///
/// `metadata` take the place of what the file has under the same keys; all else stays. The operators used are
/// those of sets 7 and newer, and weights lie in `Constant` nodes, which files of every IR version may have.
///
/// # Errors
/// If the bytes are no ONNX file, its operators are older, it takes more than one tensor or a fixed number of faces above one,
/// it has not one output of floats, or the layers do not fit it or each other.
pub fn with_layers(
    file: &[u8],
    value: Option<&str>,
    layers: &[Dense<'_>],
    metadata: &[(&str, String)],
) -> Result<Vec<u8>, OnnxError> {
    let model = parse(file)?;
    match wire::opset(&model) {
        Some(version) if version >= LEAST_OPSET => {}
        Some(version) => {
            return refuse(format!(
                "operator set {LEAST_OPSET} or newer is needed, found {version}: export the network again with a newer one"
            ));
        }
        None => return refuse("it imports no version of the standard operators (domain \"\")"),
    }
    let graph = model.graph.unwrap_or_default();
    let batch = batch(&graph)?;
    let (from, shape) = match value {
        Some(value) => (made_inside(&graph, value)?, None),
        None => only_output(&graph)?,
    };
    let classes = check_layers(layers, shape)?;
    let prefix = wire::free_word(file, "head", |word| format!("{word}."));
    let mut more = GraphProto::default();
    let mut x = add(&mut more, "Flatten", &format!("{prefix}.features"), &[from], vec![int("axis", 1)]);
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            x = add(&mut more, "Relu", &format!("{prefix}.relu{index}"), &[&x], vec![]);
        }
        let name = format!("{prefix}.dense{index}");
        let inputs = layer.weights.len() / layer.outputs().max(1);
        let weights =
            constant(&mut more, &format!("{name}.weights"), &[inputs, layer.outputs()], layer.weights);
        let bias = constant(&mut more, &format!("{name}.bias"), &[layer.outputs()], layer.bias);
        x = add(&mut more, "Gemm", &name, &[&x, &weights, &bias], vec![]);
    }
    let answer = add(&mut more, "Softmax", &format!("{prefix}.probabilities"), &[&x], vec![int("axis", 1)]);
    let dim = vec![batch, Dimension { dim_value: Some(classes as i64), dim_param: None }];
    more.output.push(named(&answer, TensorType { elem_type: FLOAT, shape: Some(TensorShape { dim }) }));
    rewritten(file, &more, metadata)
}

pub(crate) fn refuse<T>(reason: impl Into<String>) -> Result<T, OnnxError> {
    Err(OnnxError(reason.into()))
}

pub(crate) fn parse(file: &[u8]) -> Result<ModelProto, OnnxError> {
    wire::parse(file).map_err(OnnxError)
}

/// The name of a value if a node of the graph makes it.
fn made_inside<'a>(graph: &GraphProto, value: &'a str) -> Result<&'a str, OnnxError> {
    let made = || graph.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
    if made().any(|name| name == value) {
        return Ok(value);
    }
    let mut last: Vec<&str> = made().map(String::as_str).collect();
    last = last.split_off(last.len().saturating_sub(8));
    refuse(format!("no node makes a value `{value}` (the last that are made: {})", last.join(", ")))
}

/// The side of the only input that counts faces.
fn batch(graph: &GraphProto) -> Result<Dimension, OnnxError> {
    // Older files list their weights among the inputs.
    let is_constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !is_constant(&input.name)).collect();
    let [input] = inputs.as_slice() else {
        let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
        return refuse(format!("one input is needed, found {} ({})", inputs.len(), names.join(", ")));
    };
    let first = shape(input).and_then(|shape| shape.first().cloned()).unwrap_or_default();
    match first.dim_value {
        Some(faces) if faces > 1 => refuse(format!(
            "it takes {faces} faces at once, where one or any number is needed: export it again with a free batch"
        )),
        _ => Ok(first),
    }
}

/// The only output, with its shape where the file tells it.
fn only_output(graph: &GraphProto) -> Result<(&str, Option<&[Dimension]>), OnnxError> {
    let [output] = graph.output.as_slice() else {
        let names: Vec<_> = graph.output.iter().map(|output| output.name.as_str()).collect();
        return refuse(format!(
            "one output is needed, found {} ({}): name the value to go on from",
            names.len(),
            names.join(", ")
        ));
    };
    let kind = output.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    if let Some(kind) = kind.filter(|kind| !matches!(kind.elem_type, 0 | FLOAT)) {
        return refuse(format!(
            "its output `{}` is a tensor of type {}, where floats (type {FLOAT}) are needed",
            output.name, kind.elem_type
        ));
    }
    Ok((&output.name, shape(output)))
}

fn shape(value: &ValueInfoProto) -> Option<&[Dimension]> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    tensor.shape.as_ref().map(|shape| shape.dim.as_slice())
}

/// How many classes the last layer has, if all layers fit.
fn check_layers(layers: &[Dense<'_>], shape: Option<&[Dimension]>) -> Result<usize, OnnxError> {
    let given = |dim: &Dimension| dim.dim_value.and_then(|side| usize::try_from(side).ok());
    // Where a side is free it shows only when the network runs.
    let features = shape.and_then(|dims| dims.get(1..)?.iter().map(given).product::<Option<usize>>());
    let mut inputs = features;
    for (index, layer) in layers.iter().enumerate() {
        let Some(found) = layer.inputs() else {
            let (weights, bias) = (layer.weights.len(), layer.bias.len());
            return refuse(format!("layer {index} has {weights} weights and a bias of {bias}"));
        };
        match inputs {
            Some(needed) if needed != found => {
                return refuse(format!("layer {index} takes {found} numbers, and gets {needed}"));
            }
            _ => inputs = Some(layer.outputs()),
        }
    }
    match layers.last() {
        Some(last) => Ok(last.outputs()),
        None => refuse("no layer is given"),
    }
}

fn add(
    graph: &mut GraphProto,
    op: &str,
    name: &str,
    inputs: &[&str],
    attributes: Vec<AttributeProto>,
) -> String {
    graph.node.push(NodeProto {
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![name.to_owned()],
        name: name.to_owned(),
        op_type: op.to_owned(),
        attribute: attributes,
        ..NodeProto::default()
    });
    name.to_owned()
}

fn constant(graph: &mut GraphProto, name: &str, dims: &[usize], values: &[f32]) -> String {
    let tensor = TensorProto::floats(name.to_owned(), dims, values);
    let value =
        AttributeProto { name: "value".to_owned(), t: Some(tensor), kind: TENSOR, ..Default::default() };
    add(graph, "Constant", name, &[], vec![value])
}

fn named(name: &str, tensor: TensorType) -> ValueInfoProto {
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// The file with `more` behind its graph in place of the outputs, and these metadata.
fn rewritten(file: &[u8], more: &GraphProto, metadata: &[(&str, String)]) -> Result<Vec<u8>, OnnxError> {
    wire::rewritten(file, |part| part.tag != OUTPUT, &more.encode_to_vec(), metadata, 0).map_err(OnnxError)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;
    use crate::{GraphBuilder, Side, metadata, proto::OperatorSetId};

    const LAYERS: [Dense<'static>; 2] =
        [Dense { weights: &[0.5; 24], bias: &[0.0; 3] }, Dense { weights: &[1.0; 6], bias: &[0.25; 2] }];

    /// Faces of 2x4, halved in brightness.
    fn network(batch: Side) -> Vec<u8> {
        let mut graph = GraphBuilder::default();
        let shape = [batch, Side::Fixed(1), Side::Fixed(2), Side::Fixed(4)];
        graph.input("face", &shape);
        let half = graph.floats("half", &[1], &[0.5]);
        graph.node("Mul", "inner", &["face", &half], vec![]);
        graph.node("Abs", "outer", &["inner"], vec![]);
        graph.output("outer", &shape);
        graph.metadata("card", "old");
        graph.metadata("author", "somebody");
        graph.finish("backbone")
    }

    fn changed(file: &[u8], change: impl Fn(&mut ModelProto)) -> Vec<u8> {
        let mut model = ModelProto::decode(file).unwrap();
        change(&mut model);
        model.encode_to_vec()
    }

    fn refused(file: &[u8], value: Option<&str>, layers: &[Dense<'_>]) -> String {
        with_layers(file, value, layers, &[]).unwrap_err().to_string()
    }

    #[test]
    fn layers_come_behind_what_is_there() {
        let before = network(Side::Free("N"));
        let after = with_layers(&before, None, &LAYERS, &[("card", "new".to_owned())]).unwrap();
        let (old, new) = (ModelProto::decode(&*before).unwrap(), ModelProto::decode(&*after).unwrap());
        let (old_graph, graph) = (old.graph.unwrap(), new.graph.unwrap());
        assert_eq!(graph.initializer, old_graph.initializer);
        assert_eq!(graph.input, old_graph.input);
        assert_eq!(graph.node[..2], old_graph.node[..]);
        let ops: Vec<_> = graph.node[2..].iter().map(|node| node.op_type.as_str()).collect();
        let constants = ["Constant", "Constant", "Gemm"];
        assert_eq!(ops, [&["Flatten"][..], &constants, &["Relu"], &constants, &["Softmax"]].concat());
        // Each node takes what is made before it.
        let mut known = vec!["face", "half"];
        for node in &graph.node {
            assert!(node.input.iter().all(|input| known.contains(&input.as_str())), "{node:?}");
            known.extend(node.output.iter().map(String::as_str));
        }
        let [output] = graph.output.as_slice() else { panic!("{:?}", graph.output) };
        assert_eq!(output.name, "head.probabilities");
        let dims = shape(output).unwrap();
        assert_eq!((dims[0].dim_param.as_deref(), dims[1].dim_value), (Some("N"), Some(2)));
        assert_eq!(metadata(&after, "card").as_deref(), Some("new"));
        assert_eq!(metadata(&after, "author").as_deref(), Some("somebody"));
        assert_eq!(new.opset_import, old.opset_import);
    }

    #[test]
    fn what_is_not_known_here_is_kept() {
        let mut file = network(Side::Fixed(1));
        // `ModelProto.functions`, which our messages leave out.
        let unknown = [0xca, 0x01, 0x03, b'a', b'b', b'c'];
        file.extend(unknown);
        let after = with_layers(&file, None, &LAYERS, &[]).unwrap();
        assert!(after.windows(unknown.len()).any(|bytes| bytes == unknown));
        let dims = ModelProto::decode(&*after).unwrap().graph.unwrap();
        assert_eq!(shape(&dims.output[0]).unwrap()[0].dim_value, Some(1));
    }

    #[test]
    fn names_that_are_taken_are_not_taken_again() {
        let once = with_layers(&network(Side::Free("N")), None, &LAYERS, &[]).unwrap();
        let twice = with_layers(&once, None, &[Dense { weights: &[1.0; 4], bias: &[0.0; 2] }], &[]).unwrap();
        let graph = ModelProto::decode(&*twice).unwrap().graph.unwrap();
        let mut names: Vec<_> = graph.node.iter().flat_map(|node| &node.output).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(graph.output[0].name, "head2.probabilities");
    }

    #[test]
    fn a_value_inside_becomes_the_output() {
        let file = network(Side::Free("N"));
        let cut = ModelProto::decode(&*with_output(&file, "inner").unwrap()).unwrap().graph.unwrap();
        let names: Vec<_> = cut.output.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(names, ["inner"]);
        let error = with_output(&file, "face").unwrap_err().to_string();
        assert_eq!(error, "no node makes a value `face` (the last that are made: inner, outer)");
        let after = with_layers(&file, Some("inner"), &LAYERS, &[]).unwrap();
        let graph = ModelProto::decode(&*after).unwrap().graph.unwrap();
        assert_eq!(graph.node[2].input, ["inner"]);
    }

    #[test]
    fn what_cannot_be_extended_is_refused_with_what_was_expected_and_found() {
        let file = network(Side::Free("N"));
        assert!(refused(b"not a model", None, &LAYERS).contains("no ONNX file"));
        assert!(refused(&[], None, &LAYERS).contains("it holds no graph"));
        let old = changed(&file, |model| model.opset_import[0].version = 6);
        assert!(refused(&old, None, &LAYERS).contains("set 7 or newer is needed, found 6"));
        let other = changed(&file, |model| {
            model.opset_import = vec![OperatorSetId { domain: "com.example".to_owned(), version: 9 }];
        });
        assert!(refused(&other, None, &LAYERS).contains("no version of the standard operators"));
        let many = refused(&network(Side::Fixed(4)), None, &LAYERS);
        assert!(many.contains("it takes 4 faces at once, where one or any number is needed"), "{many}");
        let two = changed(&file, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.output.push(named("inner", TensorType { elem_type: FLOAT, shape: None }));
        });
        assert!(refused(&two, None, &LAYERS).contains("one output is needed, found 2 (outer, inner)"));
        assert!(with_layers(&two, Some("inner"), &LAYERS, &[]).is_ok());
        let more_inputs = changed(&file, |model| {
            let graph = model.graph.as_mut().unwrap();
            graph.input.push(named("mask", TensorType { elem_type: FLOAT, shape: None }));
        });
        let error = refused(&more_inputs, None, &LAYERS);
        assert!(error.contains("one input is needed, found 2 (face, mask)"), "{error}");
        let halves = changed(&file, |model| {
            let output = &mut model.graph.as_mut().unwrap().output[0];
            output.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 10;
        });
        assert!(refused(&halves, None, &LAYERS).contains("type 10, where floats (type 1) are needed"));
        let wide = Dense { weights: &[0.5; 27], bias: &[0.0; 3] };
        assert_eq!(refused(&file, None, &[wide]), "layer 0 takes 9 numbers, and gets 8");
        assert_eq!(refused(&file, None, &[LAYERS[0], wide]), "layer 1 takes 9 numbers, and gets 3");
        let odd = Dense { weights: &[0.5; 25], bias: &[0.0; 3] };
        assert_eq!(refused(&file, None, &[odd]), "layer 0 has 25 weights and a bias of 3");
        assert_eq!(refused(&file, None, &[]), "no layer is given");
    }

    #[test]
    fn weights_among_the_inputs_of_old_files_are_no_inputs() {
        let old = changed(&network(Side::Free("N")), |model| {
            model.ir_version = 3;
            let half = named("half", TensorType { elem_type: FLOAT, shape: None });
            model.graph.as_mut().unwrap().input.push(half);
        });
        assert!(with_layers(&old, None, &LAYERS, &[]).is_ok());
    }
}
