//! The part of ONNX's file format that Ferroflow writes and edits: its messages, and a builder for graphs.
//!
//! Nothing here knows what the graphs are for, or runs them.

mod attribute;
mod builder;
mod metadata;
mod proto;

pub use attribute::{float, int, ints, text};
pub use builder::{GraphBuilder, Side};
pub use metadata::metadata;
pub use proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetId, StringEntry, TensorProto,
    TensorShape, TensorType, TypeProto, ValueInfoProto,
};
