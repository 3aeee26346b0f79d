//! CUDA devices without CUDA's toolkit: the driver and NVRTC, its compiler, are loaded when a device is first
//! asked for.
//!
//! Kernels are compiled without fused multiply-add, so that they round as the CPU does. They find their
//! number with `THREAD()`, and none waits for other threads of its own launch: so a plain loop over the
//! threads gives the same answers, which `emulated` (a feature) runs where there is no device.

mod choice;
mod compiler;
mod device;
#[cfg(feature = "emulated")]
pub mod emulated;
mod error;

pub use choice::{Device, NotReady, UnknownDevice};
pub use device::{CudaDevice, ready};
pub use error::CudaError;

/// Something to hand to a kernel.
#[derive(Debug)]
pub enum Argument<'a, M> {
    /// Where a memory begins, or so many bytes behind that.
    Memory(&'a M, usize),
    /// An `int`.
    Int(i32),
    /// A `double`.
    Double(f64),
}

impl<M> Clone for Argument<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Argument<'_, M> {}

/// What runs kernels: a device, or, in tests, what stands for one.
pub trait Gpu {
    /// Memory of the device.
    type Memory;

    /// New memory, all zero.
    fn reserve(&mut self, bytes: usize) -> Result<Self::Memory, CudaError>;
    /// Copies bytes to the beginning of a memory.
    fn write(&mut self, memory: &mut Self::Memory, bytes: &[u8]) -> Result<(), CudaError>;
    /// Sets a memory to zero.
    fn clear(&mut self, memory: &mut Self::Memory) -> Result<(), CudaError>;
    /// Waits for all that was launched and copies bytes from the beginning of a memory.
    fn read(&mut self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), CudaError>;
    /// Runs a kernel with at least so many threads; kernels check the number they are given.
    fn launch(
        &mut self,
        kernel: &'static str,
        threads: usize,
        arguments: &[Argument<'_, Self::Memory>],
    ) -> Result<(), CudaError>;
}
