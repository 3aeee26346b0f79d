//! Networks that learn expressions, and what they say about the labels they were given.
//!
//! `cross_validation` trains small networks on the CPU and gives, for each row, the probabilities of a network that never saw
//! it; `label_quality` makes of these which labels are wrong, and which are right instead. Nothing here knows of files of data
//! sets or of the engine.

mod checkpoint;
pub mod cross_validation;
pub mod cyclegan;
mod error;
mod faces;
pub mod fidelity;
mod kernels;
pub mod label_quality;
mod network;
mod random;
pub mod ssim;

pub use error::LearnError;
pub use faces::Faces;
pub use network::Layer;
