//! ONNX Runtime sessions, loaded once for a model and device and shared by all who ask for the same:
//! elements, streams and stages of a batch.
//!
//! [`SharedSession::open`] finds or loads a session and [`SharedSession::run`] asks it. A device that was
//! asked for and is not there is an error; [`Device::Auto`] takes CUDA where it works, and
//! [`SharedSession::device`] tells which it took.
//!
//! A request goes [`SharedSession::run`] → queue → `worker` (gathers a batch) → `engine` (joins, runs,
//! divides) → `network`, and its part of the outputs comes back without being copied.

mod by_shape;
mod engine;
mod error;
mod images;
mod instruments;
mod loaded;
mod network;
mod outputs;
mod request;
mod runtime;
mod service;
mod worker;

pub use error::InferenceError;
pub use ferroflow_cuda::Device;
pub(crate) use images::ImageNetwork;
pub use network::{TensorInfo, listed};
pub use outputs::Output;
pub use runtime::{cuda_provider, environment, runtime_version};
pub use service::{KeepOpen, MOST_IMAGES, MOST_THREADS, SessionOptions, SharedSession};
