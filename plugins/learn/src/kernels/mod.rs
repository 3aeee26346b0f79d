//! What the network is made of, as operations of Burn with gradients of their own.
//!
//! Burn's convolution takes the gradient of its weights by a convolution of a batch with a batch, whose
//! products are nine columns wide: the default network's step takes 16 times as long that way
//! (`benches/step.rs`). Batches that lie as `Grid` says make every pass a few large matrix products instead,
//! and tiles of them fewer (`winograd`).

pub mod conv;
pub mod grid;
mod mean;
pub mod norm;
mod operations;
pub mod planes;
pub mod pool;
mod product;
pub mod relu;
mod winograd;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

pub use operations::Kernels;

#[cfg(test)]
mod tests;

/// What networks learn on: the CPU, with gradients.
pub type Train = Autodiff<Flex>;

/// A tensor of any rank as kernels give it.
pub fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// A tensor as kernels take it.
pub fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
