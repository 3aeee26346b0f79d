//! What can go wrong.

use cudarc::driver::{DriverError, sys::CUresult};
use thiserror::Error;

/// Why a device cannot be used.
#[derive(Debug, Error)]
pub enum CudaError {
    /// No driver.
    #[error("CUDA's driver (libcuda.so.1) is not here: install NVIDIA's driver")]
    NoDriver,
    /// No compiler.
    #[error(
        "CUDA's run-time compiler (libnvrtc.so) is not here: install the Python package nvidia-cuda-nvrtc or the CUDA toolkit and put its folder \
         of libraries on LD_LIBRARY_PATH"
    )]
    NoCompiler,
    /// A compiler whose work the driver does not take.
    #[error(
        "CUDA's run-time compiler is of CUDA {}.{}, newer than the driver, which is of {}.{}: install the Python package nvidia-cuda-nvrtc \
         of {}.{} or older, or a newer driver",
        compiler.0, compiler.1, driver.0, driver.1, driver.0, driver.1
    )]
    NewerCompiler {
        /// Its version, major and minor.
        compiler: (i32, i32),
        /// The version of CUDA that the driver is of.
        driver: (i32, i32),
    },
    /// No such device.
    #[error("there is no device cuda:{index}: this machine has {count}")]
    NoDevice {
        /// The one asked for.
        index: u32,
        /// How many there are.
        count: i32,
    },
    /// The device's memory is full.
    #[error("CUDA: the device's memory does not suffice")]
    NoMemory,
    /// The device or its driver failed.
    #[error("CUDA: {0}")]
    Failed(String),
    /// NVRTC refused a kernel.
    #[error("CUDA's compiler: {0}")]
    Compile(String),
}

impl From<DriverError> for CudaError {
    fn from(error: DriverError) -> Self {
        if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
            return Self::NoMemory;
        }
        Self::Failed(match error.error_string() {
            Ok(text) => text.to_string_lossy().into_owned(),
            Err(_) => format!("{error:?}"),
        })
    }
}
