//! The part of ONNX's file format that Ferroflow writes and edits: its messages, a builder for graphs, and what puts layers
//! behind a network.
//!
//! Nothing here knows what the graphs are for, or runs them.

mod attribute;
mod builder;
mod extend;
mod metadata;
mod proto;

pub use attribute::{float, int, ints, text};
pub use builder::{GraphBuilder, Side};
pub use extend::{Dense, ExtendError, with_layers, with_output};
pub use metadata::metadata;
pub use proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetId, StringEntry, TensorProto,
    TensorShape, TensorType, TypeProto, ValueInfoProto,
};
