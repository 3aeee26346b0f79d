//! The last convolutions of a network, in blocks as VGG has them: 3x3, ReLU, and after some a maximum over 2x2.

use crate::{
    error::OnnxError,
    extend::{parse, refuse},
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
};

/// A convolution of 3x3 pixels with a border of zeros, a bias and a ReLU, and what may follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The initialiser with its kernel.
    pub kernel_name: String,
    /// The initialiser with its bias.
    pub bias_name: String,
    /// Channels that it takes.
    pub inputs: usize,
    /// Channels that it gives.
    pub outputs: usize,
    /// Outputs x inputs x 3 x 3.
    pub kernel: Vec<f32>,
    /// One for each output.
    pub bias: Vec<f32>,
    /// Whether a maximum over each 2x2 pixels follows; an odd last line or column is left out.
    pub pool: bool,
}

/// All that a network does from some block on.
#[derive(Clone, Debug, PartialEq)]
pub struct LastConvolutions {
    /// The value that the first of them takes.
    pub from: String,
    /// From the first to the last, which makes the network's answer.
    pub convolutions: Vec<Convolution>,
}

/// The convolutions from the block of this name on: from the first whose node, or what it makes, is called
/// `NAME_...`, as `block5_conv1` is for `block5`.
///
/// # Errors
/// If the bytes are no ONNX file, no convolution is of the block or it takes the network's input, or what follows is
/// anything else than convolutions of 3x3 with ReLU and maxima of 2x2 in one line to the network's only output, with
/// weights that lie in the file and that nothing else uses.
pub fn last_convolutions(file: &[u8], block: &str) -> Result<LastConvolutions, OnnxError> {
    let graph = parse(file)?.graph.unwrap_or_default();
    let is_of_block =
        |node: &&NodeProto| is_convolution(node) && names(node).any(|name| block_of(name) == Some(block));
    let Some(first) = graph.node.iter().find(is_of_block) else {
        let mut blocks: Vec<&str> = graph
            .node
            .iter()
            .filter(is_convolution)
            .flat_map(|node| names(node).filter_map(block_of))
            .collect();
        blocks.dedup();
        let known =
            if blocks.is_empty() { "none has a name of this kind".to_owned() } else { blocks.join(", ") };
        return refuse(format!("no convolution is called `{block}_...` (blocks that are there: {known})"));
    };
    let from = first.input.first().cloned().unwrap_or_default();
    if !graph.node.iter().any(|node| node.output.contains(&from)) {
        return refuse(format!(
            "`{block}` is the first block, which takes the picture itself (`{from}`): name a later one"
        ));
    }
    let mut value = from.as_str();
    let mut convolutions: Vec<Convolution> = Vec::new();
    while let Some(node) = next(&graph, value)? {
        let made = |node: &NodeProto| -> Result<(), OnnxError> {
            let name = node.output.first().map_or("", String::as_str);
            refuse(format!(
                "behind `{value}` comes `{name}`, a {}, where a convolution of 3x3 with a ReLU, or a maximum over 2x2 behind one, is needed",
                node.op_type
            ))
        };
        let mut last = node;
        match (node.op_type.as_str(), convolutions.last_mut()) {
            ("Conv", _) => {
                let convolution = read(&graph, node)?;
                if let Some(before) =
                    convolutions.last().filter(|before| before.outputs != convolution.inputs)
                {
                    return refuse(format!(
                        "`{}` takes {} channels and gets {}",
                        convolution.kernel_name, convolution.inputs, before.outputs
                    ));
                }
                convolutions.push(convolution);
                let sums = node.output.first().map_or("", String::as_str);
                match next(&graph, sums)? {
                    Some(relu) if relu.op_type == "Relu" => last = relu,
                    _ => return refuse(format!("behind `{sums}` a ReLU is needed, and nothing else")),
                }
            }
            ("MaxPool", Some(before)) if !before.pool && is_halving(node) => before.pool = true,
            _ => made(node)?,
        }
        value = last.output.first().map_or("", String::as_str);
    }
    Ok(LastConvolutions { from, convolutions })
}

fn is_convolution(node: &&NodeProto) -> bool {
    node.op_type == "Conv"
}

/// The names of a node and of what it makes.
fn names(node: &NodeProto) -> impl Iterator<Item = &str> {
    node.output.iter().chain([&node.name]).map(String::as_str)
}

/// `block5` of `block5_conv1` or `model/block5_conv1/Relu`.
fn block_of(name: &str) -> Option<&str> {
    name.split('/')
        .find_map(|part| part.split_once("_conv"))
        .map(|(block, _)| block)
        .filter(|block| !block.is_empty())
}

/// The only node that takes a value, where it is made inside; none for the network's only output.
fn next<'a>(graph: &'a GraphProto, value: &str) -> Result<Option<&'a NodeProto>, OnnxError> {
    let takes = |node: &&NodeProto| node.input.iter().any(|input| input == value);
    let takers: Vec<&NodeProto> = graph.node.iter().filter(takes).collect();
    let is_output = graph.output.iter().any(|output| output.name == value);
    match (takers.as_slice(), is_output, graph.output.len()) {
        ([node], false, 1) => Ok(Some(node)),
        ([], true, 1) => Ok(None),
        (takers, _, outputs) => refuse(format!(
            "`{value}` is taken by {} nodes, and there are {outputs} outputs: one line to one output is needed",
            takers.len()
        )),
    }
}

/// A convolution as it is needed.
fn read(graph: &GraphProto, node: &NodeProto) -> Result<Convolution, OnnxError> {
    let name = node.output.first().map_or("", String::as_str);
    let [_, kernel_name, bias_name] = node.input.as_slice() else {
        return refuse(format!("the convolution `{name}` needs a kernel and a bias"));
    };
    let (kernel, bias) = (constant(graph, kernel_name)?, constant(graph, bias_name)?);
    let sides: Vec<usize> = kernel.dims.iter().filter_map(|&side| usize::try_from(side).ok()).collect();
    let [outputs, inputs, 3, 3] = sides[..] else {
        return refuse(format!(
            "the kernel `{kernel_name}` is {:?}, where [outputs, inputs, 3, 3] is needed",
            kernel.dims
        ));
    };
    let is_same = is(node, "pads", &[1; 4])
        || node.attribute.iter().any(|attribute| {
            attribute.name == "auto_pad"
                && matches!(attribute.s.as_deref(), Some(b"SAME_UPPER" | b"SAME_LOWER"))
        });
    let is_plain = ["strides", "dilations"].iter().all(|key| is_absent(node, key) || is(node, key, &[1; 2]));
    let groups = attribute(node, "group").and_then(|attribute| attribute.i).unwrap_or(1);
    if !is_same || !is_plain || groups != 1 {
        return refuse(format!(
            "the convolution `{name}` has strides, dilations, groups or borders other than those of 3x3 with a border of one zero"
        ));
    }
    let [kernel, bias] = [kernel, bias].map(|tensor| tensor.singles().unwrap_or_default());
    let needed = outputs.saturating_mul(inputs).saturating_mul(9);
    if kernel.len() != needed || bias.len() != outputs || outputs == 0 || inputs == 0 {
        return refuse(format!(
            "the convolution `{name}` has a kernel of {} floats and a bias of {}, where {needed} and {outputs} are needed in the file itself",
            kernel.len(),
            bias.len()
        ));
    }
    let (kernel_name, bias_name) = (kernel_name.clone(), bias_name.clone());
    Ok(Convolution { kernel_name, bias_name, inputs, outputs, kernel, bias, pool: false })
}

/// An initialiser that one node uses.
fn constant<'a>(graph: &'a GraphProto, name: &str) -> Result<&'a TensorProto, OnnxError> {
    let uses = graph.node.iter().flat_map(|node| &node.input).filter(|input| *input == name).count();
    match graph.initializer.iter().find(|tensor| tensor.name == name) {
        Some(tensor) if uses == 1 => Ok(tensor),
        Some(_) => refuse(format!("the weights `{name}` are used {uses} times, where once is needed")),
        None => refuse(format!("the weights `{name}` are no initialiser of the file")),
    }
}

/// Whether a maximum is over each 2x2 pixels, once.
fn is_halving(node: &NodeProto) -> bool {
    let is_plain = (is_absent(node, "pads") || is(node, "pads", &[0; 4]))
        && (is_absent(node, "dilations") || is(node, "dilations", &[1; 2]))
        && attribute(node, "ceil_mode").and_then(|attribute| attribute.i).unwrap_or(0) == 0
        && attribute(node, "auto_pad")
            .is_none_or(|attribute| matches!(attribute.s.as_deref(), Some(b"NOTSET" | b"VALID")));
    is_plain && is(node, "kernel_shape", &[2; 2]) && is(node, "strides", &[2; 2])
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn is_absent(node: &NodeProto, name: &str) -> bool {
    attribute(node, name).is_none()
}

fn is(node: &NodeProto, name: &str, values: &[i64]) -> bool {
    attribute(node, name).is_some_and(|attribute| attribute.ints == values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use prost::Message;

    use super::*;
    use crate::{GraphBuilder, ModelProto, Side, ints};

    /// Two blocks: one convolution and a maximum; two convolutions and a maximum.
    fn network() -> GraphBuilder {
        let mut graph = GraphBuilder::default();
        graph.input("face", &[Side::Free("N"), Side::Fixed(1), Side::Fixed(8), Side::Fixed(8)]);
        let mut value = "face".to_owned();
        for (name, inputs, outputs, pool) in [
            ("block1_conv1", 1, 2, Some("block1_pool")),
            ("block2_conv1", 2, 3, None),
            ("block2_conv2", 3, 4, Some("block2_pool")),
        ] {
            let kernel: Vec<f32> = (0..9 * inputs * outputs).map(|at| at as f32).collect();
            let kernel = graph.floats(&format!("{name}.weight"), &[outputs, inputs, 3, 3], &kernel);
            let bias = graph.floats(&format!("{name}.bias"), &[outputs], &vec![0.5; outputs]);
            let window = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1; 4])];
            let sums = graph.node("Conv", &format!("{name}.sums"), &[&value, &kernel, &bias], window);
            value = graph.node("Relu", name, &[&sums], vec![]);
            if let Some(pool) = pool {
                let window = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
                value = graph.node("MaxPool", pool, &[&value], window);
            }
        }
        graph
    }

    fn file() -> Vec<u8> {
        let mut graph = network();
        graph.output("block2_pool", &[Side::Free("N"), Side::Fixed(4), Side::Fixed(2), Side::Fixed(2)]);
        graph.finish("small")
    }

    fn refused(change: impl Fn(&mut GraphProto)) -> String {
        let mut model = ModelProto::decode(&*file()).unwrap();
        change(model.graph.as_mut().unwrap());
        last_convolutions(&model.encode_to_vec(), "block2").unwrap_err().to_string()
    }

    #[test]
    fn the_convolutions_of_the_last_blocks_are_read() {
        let LastConvolutions { from, convolutions } = last_convolutions(&file(), "block2").unwrap();
        assert_eq!(from, "block1_pool");
        let shapes: Vec<_> = convolutions.iter().map(|one| (one.inputs, one.outputs, one.pool)).collect();
        assert_eq!(shapes, [(2, 3, false), (3, 4, true)]);
        assert_eq!(
            (convolutions[0].kernel_name.as_str(), convolutions[1].bias_name.as_str()),
            ("block2_conv1.weight", "block2_conv2.bias")
        );
        assert_eq!((convolutions[0].kernel[53], convolutions[1].bias[3]), (53.0, 0.5));
    }

    #[test]
    fn what_is_no_line_of_such_convolutions_is_refused() {
        let error = last_convolutions(&file(), "block5").unwrap_err().to_string();
        assert_eq!(error, "no convolution is called `block5_...` (blocks that are there: block1, block2)");
        let error = last_convolutions(&file(), "block1").unwrap_err().to_string();
        assert!(
            error.contains("`block1` is the first block, which takes the picture itself (`face`)"),
            "{error}"
        );
        let error = refused(|graph| graph.node[7].attribute[1].ints = vec![1, 1]);
        assert!(error.contains("behind `block2_conv2` comes `block2_pool`, a MaxPool, where"), "{error}");
        let error = refused(|graph| graph.node[4].op_type = "Sigmoid".to_owned());
        assert!(error.contains("behind `block2_conv1.sums` a ReLU is needed"), "{error}");
        let error = refused(|graph| graph.node[3].attribute[1].ints = vec![0; 4]);
        assert!(error.contains("`block2_conv1.sums` has strides, dilations, groups or borders"), "{error}");
        let error = refused(|graph| graph.node[4].input[0] = "block1_pool".to_owned());
        assert!(error.contains("taken by"), "{error}");
        let error = refused(|graph| graph.initializer[2].dims = vec![3, 2, 1, 9]);
        assert!(error.contains("is [3, 2, 1, 9], where [outputs, inputs, 3, 3] is needed"), "{error}");
        let error = refused(|graph| graph.initializer[2].raw_data = None);
        assert!(error.contains("a kernel of 0 floats"), "{error}");
        let error = refused(|graph| graph.node[3].input.truncate(2));
        assert!(error.contains("needs a kernel and a bias"), "{error}");
        let error = refused(|graph| graph.output.clear());
        assert!(error.contains("one line to one output is needed"), "{error}");
    }

    #[test]
    fn a_kernel_that_says_to_be_endless_is_refused() {
        let mut model = ModelProto::decode(&*network().finish("x")).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let kernel = graph.initializer.iter_mut().rev().find(|tensor| tensor.dims.len() == 4).unwrap();
        kernel.dims = vec![4, 1 << 62, 3, 3];
        kernel.float_data.clear();
        kernel.raw_data = None;
        assert!(last_convolutions(&model.encode_to_vec(), "block2").is_err());
    }
}
