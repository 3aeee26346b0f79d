//! Networks that learn expressions, and what they say about the labels they were given.
//!
//! `classifier` trains a network on the CPU or a CUDA device, and writes it as ONNX; `head` trains the last
//! layers of one behind a network that stays as it is, or whose last convolutions learn as well;
//! `cross_validation` trains several, and gives for each row the probabilities of one that never saw it;
//! `label_quality` makes of these which labels are wrong, and which are right instead; `cyclegan` trains, on
//! the CPU or a CUDA device, networks that translate faces of one class to another; `evaluation` says how
//! good a classifier's answers are, `fidelity` how good translated faces are, `ssim` how alike two pictures.
//! Nothing here knows of files of data sets or of the engine.

mod allocator;
mod checkpoint;
pub mod classifier;
pub mod cross_validation;
mod cuda;
pub mod cyclegan;
mod error;
pub mod evaluation;
mod faces;
pub mod fidelity;
pub mod head;
mod kernels;
pub mod label_quality;
mod random;
mod rules;
mod run;
pub mod ssim;
mod targets;

pub use error::LearnError;
pub use faces::Faces;
pub use ferroflow_cuda::Device;
pub use run::{Run, Split};
