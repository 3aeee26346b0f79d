//! Networks that learn on a CUDA device, by kernels of our own: few launches a step, one source that compiles
//! in a second, and the same result each time. They compute what the CPU's do, in single precision.

mod network;
mod pass;
mod plan;
mod table;

use ferroflow_cuda::{Argument, CudaError, Gpu};

pub use network::Network;
pub use pass::{Batch, Pass, Wanted};
pub use plan::{Plan, Shape, Value};

use crate::error::LearnError;

/// The kernels of `layers.cu`.
pub const KERNELS: [&str; 18] = [
    "convolve",
    "weigh",
    "add_up",
    "turn",
    "sum_moments",
    "finish_moments",
    "apply",
    "sum_gradients",
    "finish_gradients",
    "spread",
    "drop",
    "add",
    "squash",
    "squash_back",
    "pool",
    "pool_back",
    "average",
    "average_back",
];

/// What went wrong on a device.
pub fn failed(error: CudaError) -> LearnError {
    match error {
        CudaError::NoMemory => LearnError::DeviceMemory,
        other => LearnError::DeviceFailed(other.to_string()),
    }
}

/// A number as kernels count.
pub fn n<'a, M>(number: usize) -> Argument<'a, M> {
    Argument::Int(i32::try_from(number).unwrap_or(i32::MAX))
}

/// Yes or no.
pub fn flag<'a, M>(yes: bool) -> Argument<'a, M> {
    Argument::Int(i32::from(yes))
}

/// A real number.
pub fn real<'a, M>(number: impl Into<f64>) -> Argument<'a, M> {
    Argument::Double(number.into())
}

/// A whole memory.
pub fn at<M>(memory: &M) -> Argument<'_, M> {
    Argument::Memory(memory, 0)
}

/// A memory from one of its numbers on.
pub fn from<M>(memory: &M, first: usize) -> Argument<'_, M> {
    Argument::Memory(memory, 4 * first)
}

/// Launches a kernel whose first argument is the number of threads.
pub fn each<G: Gpu>(
    gpu: &mut G,
    kernel: &'static str,
    threads: usize,
    rest: &[Argument<'_, G::Memory>],
) -> Result<(), CudaError> {
    gpu.launch(kernel, threads, &[&[n(threads)][..], rest].concat())
}

/// Memory for so many numbers.
pub fn floats<G: Gpu>(gpu: &mut G, count: usize) -> Result<G::Memory, CudaError> {
    // Kernels count in 32 bits.
    i32::try_from(count).map_err(|_| CudaError::NoMemory)?;
    gpu.reserve(4 * count)
}

/// So many numbers of a memory, once they are computed.
pub fn read<G: Gpu>(gpu: &mut G, memory: &G::Memory, count: usize) -> Result<Vec<f32>, CudaError> {
    let mut values = vec![0.0; count];
    gpu.read(memory, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// Numbers as checkpoints hold them.
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

/// The opposite.
pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(&bytes[..bytes.len() / 4 * 4])
}
