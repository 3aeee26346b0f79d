//! The part of ONNX's file format that Ferroflow writes and edits: its messages, a builder for graphs, what puts layers
//! behind a network, and what makes one of fewer bits.
//!
//! Nothing here knows what the graphs are for, or runs them.

mod attribute;
mod builder;
mod extend;
mod metadata;
pub mod precision;
mod proto;
mod wire;

pub use attribute::{float, int, ints, text};
pub use builder::{GraphBuilder, Side};
pub use extend::{Dense, ExtendError, made, with_layers, with_output, with_outputs};
pub use metadata::metadata;
pub use proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetId, StringEntry, TensorProto,
    TensorShape, TensorType, TypeProto, ValueInfoProto,
};
