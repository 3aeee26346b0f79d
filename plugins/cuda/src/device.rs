//! A device: the driver and NVRTC, its compiler, are loaded when one is first asked for.

use std::{collections::HashMap, sync::Arc};

use cudarc::{
    driver::{self, CudaContext, CudaFunction, CudaSlice, CudaStream, LaunchConfig, PushKernelArg},
    nvrtc,
};

use crate::{Argument, CudaError, Gpu};

/// Threads in a block.
const BLOCK: u32 = 128;

/// Before every source.
const PRELUDE: &str = "#define THREAD() ((int)(blockIdx.x * blockDim.x + threadIdx.x))\n";

/// Compiles a source for any device, as PTX.
///
/// # Errors
/// If there is no compiler or it refuses the source.
pub fn compile(source: &str) -> Result<nvrtc::Ptx, CudaError> {
    compiler()?;
    let options = nvrtc::CompileOptions { fmad: Some(false), ..nvrtc::CompileOptions::default() };
    nvrtc::compile_ptx_with_opts(format!("{PRELUDE}{source}"), options).map_err(|error| {
        CudaError::Compile(match error {
            nvrtc::CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => other.to_string(),
        })
    })
}

/// The compiler's version, major and minor.
///
/// # Errors
/// If there is none.
pub fn compiler() -> Result<(i32, i32), CudaError> {
    // SAFETY: loads NVIDIA's compiler by its name, as every program that uses it does.
    #[allow(unsafe_code)]
    let has_compiler = unsafe { nvrtc::sys::is_culib_present() };
    if !has_compiler {
        return Err(CudaError::NoCompiler);
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    #[allow(unsafe_code)]
    let asked = unsafe { nvrtc::sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    asked.result().map_err(|error| CudaError::Compile(error.to_string()))?;
    Ok((major, minor))
}

/// What device `index` calls itself.
///
/// # Errors
/// If there is no driver or no such device.
pub fn device_name(index: u32) -> Result<String, CudaError> {
    require(index)?;
    let device = driver::result::device::get(index.cast_signed())?;
    Ok(driver::result::device::get_name(device)?)
}

/// Loads the driver and makes sure that there is a device `index`.
fn require(index: u32) -> Result<(), CudaError> {
    // SAFETY: loads NVIDIA's driver by its name and runs its initialiser, as every CUDA program does.
    #[allow(unsafe_code)]
    let has_driver = unsafe { driver::sys::is_culib_present() };
    if !has_driver {
        return Err(CudaError::NoDriver);
    }
    driver::result::init()?;
    let count = CudaContext::device_count()?;
    if i64::from(index) >= i64::from(count) {
        return Err(CudaError::NoDevice { index, count });
    }
    Ok(())
}

/// A device with compiled kernels.
pub struct CudaDevice {
    stream: Arc<CudaStream>,
    kernels: HashMap<&'static str, CudaFunction>,
    name: String,
}

impl CudaDevice {
    /// Opens device `index` and compiles a source for it.
    ///
    /// # Errors
    /// If driver, compiler or device are missing, the source is refused, or a kernel is not in it.
    pub fn open(index: u32, source: &str, kernels: &[&'static str]) -> Result<Self, CudaError> {
        require(index)?;
        let context = CudaContext::new(index as usize)?;
        let ptx = compile(source)?;
        let module = context.load_module(ptx)?;
        let load = |name: &&'static str| Ok((*name, module.load_function(name)?));
        let kernels = kernels.iter().map(load).collect::<Result<_, CudaError>>()?;
        let name = context.name()?;
        // SAFETY: all memories of a device are made, used and freed on its one stream, which keeps their order; tracked, each
        // argument of each launch would cost two more calls of the driver.
        #[allow(unsafe_code)]
        unsafe {
            context.disable_event_tracking();
        }
        Ok(Self { stream: context.new_stream()?, kernels, name })
    }

    /// What the device calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Gpu for CudaDevice {
    type Memory = CudaSlice<u8>;

    fn reserve(&mut self, bytes: usize) -> Result<Self::Memory, CudaError> {
        Ok(self.stream.alloc_zeros(bytes.max(1))?)
    }

    fn write(&mut self, memory: &mut Self::Memory, bytes: &[u8]) -> Result<(), CudaError> {
        let length = bytes.len().min(memory.len());
        Ok(self.stream.memcpy_htod(&bytes[..length], &mut memory.slice_mut(..length))?)
    }

    fn clear(&mut self, memory: &mut Self::Memory) -> Result<(), CudaError> {
        Ok(self.stream.memset_zeros(memory)?)
    }

    fn read(&mut self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), CudaError> {
        let length = bytes.len().min(memory.len());
        self.stream.memcpy_dtoh(&memory.slice(..length), &mut bytes[..length])?;
        Ok(self.stream.synchronize()?)
    }

    fn launch(
        &mut self,
        kernel: &'static str,
        threads: usize,
        arguments: &[Argument<'_, Self::Memory>],
    ) -> Result<(), CudaError> {
        let function =
            self.kernels.get(kernel).ok_or_else(|| CudaError::Failed(format!("no kernel `{kernel}`")))?;
        let blocks = u32::try_from(threads.div_ceil(BLOCK as usize).max(1))
            .map_err(|_| CudaError::Failed(format!("{threads} threads are too many")))?;
        let views: Vec<_> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Memory(memory, offset) => Some(memory.slice(*offset..)),
                _ => None,
            })
            .collect();
        let mut launch = self.stream.launch_builder(function);
        for (argument, view) in arguments.iter().zip(&views) {
            match (argument, view) {
                (Argument::Int(value), _) => launch.arg(value),
                (Argument::Double(value), _) => launch.arg(value),
                (Argument::Memory(..), Some(view)) => launch.arg(view),
                (Argument::Memory(..), None) => &mut launch,
            };
        }
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: callers hand kernels the arguments of their signatures, with memories as long as their counts say;
        // the tests run the same calls on the host, with guards behind every memory.
        #[allow(unsafe_code)]
        unsafe {
            launch.launch(config)?;
        }
        Ok(())
    }
}
