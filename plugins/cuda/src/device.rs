//! A device: the driver is loaded when one is first asked for.

use std::{collections::HashMap, sync::Arc};

use cudarc::driver::{
    self, CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DriverError, LaunchConfig,
    PushKernelArg,
    sys::{CUresult, cuDriverGetVersion},
};
use cudarc::nvrtc::Ptx;

use crate::{
    Argument, CudaError, Gpu,
    compiler::{compiler, machine_code, ptx},
};

/// Threads in a block.
const BLOCK: u32 = 128;

/// What device `index` calls itself, which kernels can run on.
///
/// # Errors
/// If there is no driver, no such device or no compiler, or the driver takes nothing of what the compiler makes.
pub fn ready(index: u32) -> Result<String, CudaError> {
    require(index)?;
    let (compiler, driver) = (compiler()?, driver_version()?);
    if compiler.0 > driver.0 {
        return Err(CudaError::NewerCompiler { compiler, driver });
    }
    let device = driver::result::device::get(index.cast_signed())?;
    Ok(driver::result::device::get_name(device)?)
}

/// The version of CUDA that the driver is of, major and minor.
fn driver_version() -> Result<(i32, i32), CudaError> {
    let mut version = 0;
    // SAFETY: writes one number.
    #[allow(unsafe_code)]
    unsafe { cuDriverGetVersion(&raw mut version) }.result()?;
    Ok((version / 1000, version % 1000 / 10))
}

/// The kernels of a source on a device. PTX of a compiler newer than the driver is refused; machine code may not be.
fn module(context: &Arc<CudaContext>, source: &str) -> Result<Arc<CudaModule>, CudaError> {
    match context.load_module(ptx(source)?) {
        Err(DriverError(CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)) => {
            let versions = (compiler()?, driver_version()?);
            let code = machine_code(source, context.compute_capability()?)?;
            let newer = |error| match CudaError::from(error) {
                CudaError::NoMemory => CudaError::NoMemory,
                _ => CudaError::NewerCompiler { compiler: versions.0, driver: versions.1 },
            };
            context.load_module(Ptx::from_binary(code)).map_err(newer)
        }
        loaded => Ok(loaded?),
    }
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
        let module = module(&context, source)?;
        let load = |name: &&'static str| Ok((*name, module.load_function(name)?));
        let kernels = kernels.iter().map(load).collect::<Result<_, CudaError>>()?;
        let name = context.name()?;
        // SAFETY: all memories of a device are made, used and freed on its one stream, which keeps their
        // order; tracked, each argument of each launch would cost two more calls of the driver.
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
