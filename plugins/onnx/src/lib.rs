//! The part of ONNX's file format that Ferroflow writes and edits: its messages, a builder for graphs, what
//! puts layers behind a network, what reads its last convolutions and puts others in their place, what writes
//! slow operators with quicker ones and what declares old ones newer, and what makes one of fewer bits.
//!
//! Nothing here knows what the graphs are for, or runs them.

mod attribute;
mod builder;
mod convolutions;
mod error;
mod extend;
mod external;
mod metadata;
mod opset;
pub mod precision;
mod prelu;
mod proto;
mod replace;
mod wire;

pub use attribute::{float, int, ints, text};
pub use builder::{GraphBuilder, Side};
pub use convolutions::{Convolution, LastConvolutions, last_convolutions};
pub use error::OnnxError;
pub use extend::{Dense, made, with_layers, with_output, with_outputs};
pub use external::external_files;
pub use metadata::metadata;
pub use opset::upgraded;
pub use prelu::without_prelu;
pub use proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetId, StringEntry, TensorProto,
    TensorShape, TensorType, TypeProto, ValueInfoProto,
};
pub use replace::with_weights;
