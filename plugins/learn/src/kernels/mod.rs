//! What the network is made of, as operations of Burn with gradients of their own.
//!
//! Burn's convolution takes the gradient of its weights by a convolution of a batch with a batch, whose products are nine
//! columns wide: the default network's step takes 521 ms that way and 75 ms this way (`benches/step.rs`). Batches that
//! lie as `Grid` says make every pass a few large matrix products instead.

pub mod conv;
pub mod grid;
pub mod norm;
mod operations;
pub mod planes;
pub mod pool;
mod product;
pub mod relu;

pub use operations::Kernels;

#[cfg(test)]
mod tests;
