//! Graphs, put together node by node.

use prost::Message;

use crate::proto::{
    AttributeProto, Dimension, FLOAT, GraphProto, ModelProto, NodeProto, OperatorSetId, StringEntry,
    TensorProto, TensorShape, TensorType, TypeProto, ValueInfoProto,
};

/// The operator set that our graphs are written against.
const OPSET: i64 = 13;

/// One side of a tensor: of a length, or free under a name.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// This length.
    Fixed(usize),
    /// Any length.
    Free(&'static str),
}

impl From<Side> for Dimension {
    fn from(side: Side) -> Self {
        match side {
            Side::Fixed(length) => Self { dim_value: Some(length as i64), dim_param: None },
            Side::Free(name) => Self { dim_value: None, dim_param: Some(name.to_owned()) },
        }
    }
}

/// Puts a graph together, node by node. Values are named after the nodes that make them.
#[derive(Default)]
pub struct GraphBuilder {
    graph: GraphProto,
    metadata: Vec<StringEntry>,
}

impl GraphBuilder {
    /// Adds a graph input of floats.
    pub fn input(&mut self, name: &str, shape: &[Side]) {
        self.graph.input.push(value_info(name, shape));
    }

    /// Declares a value as graph output.
    pub fn output(&mut self, name: &str, shape: &[Side]) {
        self.graph.output.push(value_info(name, shape));
    }

    /// Adds a constant of floats and answers its name.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        self.graph.initializer.push(TensorProto::floats(name.to_owned(), dims, values));
        name.to_owned()
    }

    /// Adds a constant row of integers and answers its name.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> String {
        self.graph.initializer.push(TensorProto::row(name.to_owned(), values));
        name.to_owned()
    }

    /// Adds a node with one output, named like the node, and answers that name.
    pub fn node(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        name.to_owned()
    }

    /// Adds a line of metadata.
    pub fn metadata(&mut self, key: &str, value: impl ToString) {
        self.metadata.push(StringEntry { key: key.to_owned(), value: value.to_string() });
    }

    /// The finished file.
    pub fn finish(mut self, name: &str) -> Vec<u8> {
        self.graph.name = name.to_owned();
        let model = ModelProto {
            ir_version: 8,
            producer_name: "ferroflow".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetId { domain: String::new(), version: OPSET }],
            metadata_props: self.metadata,
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn value_info(name: &str, shape: &[Side]) -> ValueInfoProto {
    let dim = shape.iter().map(|&side| side.into()).collect();
    let tensor_type = TensorType { elem_type: FLOAT, shape: Some(TensorShape { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
