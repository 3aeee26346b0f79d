//! NVRTC, CUDA's run-time compiler, loaded when it is first asked for.

use std::ffi::{CStr, CString, c_char};

use cudarc::nvrtc::{self, CompileError, CompileOptions, Ptx, result, sys};

use crate::CudaError;

/// Before every source.
const PRELUDE: &str = "#define THREAD() ((int)(blockIdx.x * blockDim.x + threadIdx.x))\n";

/// What every source is compiled with: products and sums round as the CPU's do.
const ROUND_EACH: &str = "--fmad=false";

/// Compiles a source for any device, as PTX, which a driver older than the compiler does not take.
///
/// # Errors
/// If there is no compiler or it refuses the source.
pub fn ptx(source: &str) -> Result<Ptx, CudaError> {
    compiler()?;
    let options = CompileOptions { options: vec![ROUND_EACH.to_owned()], ..CompileOptions::default() };
    nvrtc::compile_ptx_with_opts(format!("{PRELUDE}{source}"), options).map_err(|error| {
        CudaError::Compile(match error {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => other.to_string(),
        })
    })
}

/// Compiles a source for devices of one compute capability, as machine code, which any driver of the
/// compiler's major version takes (CUDA's minor version compatibility).
///
/// # Errors
/// If there is no compiler, it does not know such devices, or it refuses the source.
pub fn machine_code(source: &str, (major, minor): (i32, i32)) -> Result<Vec<u8>, CudaError> {
    compiler()?;
    let source = CString::new(format!("{PRELUDE}{source}")).map_err(|error| refused(&error))?;
    let program = Program::new(&source)?;
    program.compile(&[ROUND_EACH.to_owned(), format!("--gpu-architecture=sm_{major}{minor}")])?;
    program.machine_code()
}

/// The compiler's version, major and minor.
///
/// # Errors
/// If there is none.
pub fn compiler() -> Result<(i32, i32), CudaError> {
    // SAFETY: loads NVIDIA's compiler by its name, as every program that uses it does.
    #[allow(unsafe_code)]
    let has_compiler = unsafe { sys::is_culib_present() };
    if !has_compiler {
        return Err(CudaError::NoCompiler);
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: writes two numbers.
    #[allow(unsafe_code)]
    let asked = unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    asked.result().map_err(|error| refused(&error))?;
    Ok((major, minor))
}

fn refused(error: &dyn std::fmt::Display) -> CudaError {
    CudaError::Compile(error.to_string())
}

/// A source within the compiler, which may look at it as long as this lives.
struct Program<'a> {
    program: sys::nvrtcProgram,
    _source: &'a CStr,
}

// SAFETY, of all that follows: the program is one that the compiler made and is let go once, and what is
// written is as long as the compiler said just before.
#[allow(unsafe_code)]
impl<'a> Program<'a> {
    fn new(source: &'a CStr) -> Result<Self, CudaError> {
        let program = result::create_program(source, None).map_err(|error| refused(&error))?;
        Ok(Self { program, _source: source })
    }

    fn compile(&self, options: &[String]) -> Result<(), CudaError> {
        let compiled = unsafe { result::compile_program(self.program, options) };
        compiled.map_err(|error| match unsafe { result::get_program_log(self.program) } {
            Ok(log) => {
                let log: Vec<u8> =
                    log.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
                CudaError::Compile(String::from_utf8_lossy(&log).into_owned())
            }
            Err(_) => refused(&error),
        })
    }

    fn machine_code(&self) -> Result<Vec<u8>, CudaError> {
        let mut size = 0;
        unsafe { sys::nvrtcGetCUBINSize(self.program, &raw mut size) }
            .result()
            .map_err(|error| refused(&error))?;
        let mut code = vec![0u8; size];
        unsafe { sys::nvrtcGetCUBIN(self.program, code.as_mut_ptr().cast::<c_char>()) }
            .result()
            .map_err(|error| refused(&error))?;
        Ok(code)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: as above. That it cannot be let go is nobody's loss.
        #[allow(unsafe_code)]
        let _ = unsafe { result::destroy_program(self.program) };
    }
}
