//! Convolutions of any window and normalisation over maps that lie as Burn's do: (maps, channels, height, width).
//!
//! For networks whose windows differ from layer to layer. Where all are 3x3, `Grid` saves the unfolding.

pub mod conv;
pub mod norm;
mod operations;
pub mod window;

pub use operations::PlaneKernels;

#[cfg(test)]
mod tests;
