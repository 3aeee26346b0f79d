//! A network that is being rewritten.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::OnnxError;
use crate::{
    proto::{
        AttributeProto, FLOAT, GraphProto, NodeProto, SUBGRAPH, SUBGRAPHS, TENSOR, TensorProto,
        ValueInfoProto,
    },
    wire::{self, INITIALIZER, NODE},
};

/// Fields of `GraphProto` that are not, or not all, copied as they lie.
const INPUT: u32 = 11;
/// Types of inner values, which follow from the graph.
const VALUE_INFO: u32 = 13;

/// The first IR version whose constants need not be inputs.
const LEAST_IR_VERSION: i64 = 4;

/// A node, with its bytes in the file as long as it is as it was.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub proto: NodeProto,
    raw: Option<&'a [u8]>,
}

impl Node<'_> {
    /// A new node with one output, named like the node.
    pub fn new(op: &str, output: String, inputs: &[&str], attribute: Vec<AttributeProto>) -> Self {
        let proto = NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.clone()],
            name: output,
            op_type: op.to_owned(),
            attribute,
            ..NodeProto::default()
        };
        Self { proto, raw: None }
    }

    /// To be changed.
    pub fn change(&mut self) -> &mut NodeProto {
        self.raw = None;
        &mut self.proto
    }

    /// The standard operator that it is; empty for others.
    pub fn op(&self) -> &str {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => &self.proto.op_type,
            _ => "",
        }
    }

    /// The name of an input; none where it is left out.
    pub fn input(&self, at: usize) -> Option<&str> {
        self.proto.input.get(at).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Its only output.
    pub fn output(&self) -> Option<&str> {
        let mut names = self.proto.output.iter().map(String::as_str).filter(|name| !name.is_empty());
        names.next().filter(|_| names.next().is_none())
    }

    /// An attribute that is a whole number.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i.unwrap_or_default())
    }

    /// An attribute that is a number.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f.unwrap_or_default())
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The constant that the node is, if it is one of floats.
    fn constant(&self) -> Option<&TensorProto> {
        let tensor = self.attribute("value").filter(|value| value.kind == TENSOR)?.t.as_ref()?;
        (self.op() == "Constant" && tensor.data_type == FLOAT).then_some(tensor)
    }
}

/// A network that is being rewritten: its nodes in their order, and its constants.
pub(super) struct Draft<'a> {
    file: &'a [u8],
    /// The nodes, each behind those that make its inputs.
    pub nodes: Vec<Node<'a>>,
    /// Constants of floats by their names.
    constants: HashMap<String, TensorProto>,
    /// Constants that are new.
    added: Vec<TensorProto>,
    /// Names of the graph's outputs, and those that graphs inside nodes take: they go on being what they are.
    kept: HashSet<String>,
    /// A word that is in no name of the file.
    mark: String,
}

impl<'a> Draft<'a> {
    /// Reads a file with operators of at least this set. New names get this word, or one like it.
    pub fn open(file: &'a [u8], least_opset: i64, word: &str) -> Result<Self, OnnxError> {
        let model = wire::parse(file).map_err(OnnxError)?;
        match wire::opset(&model) {
            Some(version) if version >= least_opset => {}
            version => {
                let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
                return Err(OnnxError(format!(
                    "operator set {least_opset} or newer is needed, found {found}: export the network again with a newer one"
                )));
            }
        }
        let graph = model.graph.unwrap_or_default();
        let fields = wire::graph_fields(file).map_err(OnnxError)?;
        let raw = fields.iter().filter(|field| field.tag == NODE).map(|field| field.whole);
        let nodes: Vec<Node<'_>> =
            graph.node.into_iter().zip(raw).map(|(proto, raw)| Node { proto, raw: Some(raw) }).collect();
        let mut constants: HashMap<String, TensorProto> = graph
            .initializer
            .into_iter()
            .filter(|tensor| tensor.data_type == FLOAT)
            .map(|tensor| (tensor.name.clone(), tensor))
            .collect();
        for node in &nodes {
            if let (Some(tensor), Some(name)) = (node.constant(), node.output()) {
                constants.insert(name.to_owned(), tensor.clone());
            }
        }
        let mut kept: HashSet<String> = graph.output.into_iter().map(|output| output.name).collect();
        for node in &nodes {
            for attribute in &node.proto.attribute {
                match attribute.kind {
                    SUBGRAPH => attribute.g.iter().for_each(|graph| take_names(graph, &mut kept)),
                    // Not read here: any name may be in there.
                    SUBGRAPHS => {
                        kept.extend(constants.keys().cloned());
                        kept.extend(nodes.iter().flat_map(|node| node.proto.output.iter().cloned()));
                    }
                    _ => {}
                }
            }
        }
        let mark = wire::free_word(file, word, |word| format!(".{word}"));
        Ok(Self { file, nodes, constants, added: Vec::new(), kept, mark })
    }

    /// A name that nothing has, for a part of what has this name.
    pub fn name(&self, of: &str, part: &str) -> String {
        match part {
            "" => format!("{of}.{}", self.mark),
            part => format!("{of}.{}.{part}", self.mark),
        }
    }

    /// A constant of floats by its name: its sides and values.
    pub fn floats(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let tensor = self.constants.get(name)?;
        Some((tensor.sides()?, tensor.singles()?))
    }

    /// Whether a name is that of a constant of floats.
    pub fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    /// Whether a value must go on being what it is, whoever else takes it.
    pub fn is_kept(&self, name: &str) -> bool {
        self.kept.contains(name)
    }

    /// Adds a constant and answers its name. Those that nobody takes in the end are left out.
    pub fn add(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        if tensor.data_type == FLOAT {
            self.constants.insert(name.clone(), tensor.clone());
        }
        self.added.push(tensor);
        name
    }

    /// The nodes that take each value, by their places.
    pub fn takers(&self) -> HashMap<String, Vec<usize>> {
        let mut takers = HashMap::<String, Vec<usize>>::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for input in node.proto.input.iter().filter(|input| !input.is_empty()) {
                takers.entry(input.clone()).or_default().push(at);
            }
        }
        takers
    }

    /// The file with its nodes as they are now and these metadata. Constants of floats that nobody takes any
    /// more are left out.
    pub fn write(mut self, metadata: &[(&str, String)]) -> Result<Vec<u8>, OnnxError> {
        let mut taken: HashSet<String> =
            self.nodes.iter().flat_map(|node| node.proto.input.clone()).collect();
        taken.extend(self.kept.iter().cloned());
        self.nodes.retain(|node| {
            node.constant().is_none() || node.output().is_none_or(|output| taken.contains(output))
        });
        self.added.retain(|tensor| taken.contains(&tensor.name));
        let is_gone = |name: &str| self.constants.contains_key(name) && !taken.contains(name);
        let is_kept = |part: &wire::Field<'_>| match part.tag {
            NODE | VALUE_INFO => false,
            INITIALIZER => TensorProto::decode(part.body).is_ok_and(|tensor| !is_gone(&tensor.name)),
            // Older files list their constants among the inputs.
            INPUT => ValueInfoProto::decode(part.body).is_ok_and(|input| !is_gone(&input.name)),
            _ => true,
        };
        let mut more = Vec::with_capacity(self.file.len());
        for node in &self.nodes {
            match node.raw {
                Some(raw) => more.extend_from_slice(raw),
                None => more.extend(
                    GraphProto { node: vec![node.proto.clone()], ..GraphProto::default() }.encode_to_vec(),
                ),
            }
        }
        let initializer = std::mem::take(&mut self.added);
        more.extend(GraphProto { initializer, ..GraphProto::default() }.encode_to_vec());
        wire::rewritten(self.file, is_kept, &more, metadata, LEAST_IR_VERSION).map_err(OnnxError)
    }
}

/// All names that the nodes of a graph take, and those of graphs inside them.
fn take_names(graph: &GraphProto, names: &mut HashSet<String>) {
    names.extend(graph.output.iter().map(|output| output.name.clone()));
    for node in &graph.node {
        names.extend(node.input.iter().cloned());
        let inner = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        inner.for_each(|graph| take_names(graph, names));
    }
}
