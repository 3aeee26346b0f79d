//! Kernels run on the host, one thread after the other: everything but the device itself. For tests; what is
//! wrong panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{cell::Cell, ffi::c_void, process::Command};

use crate::{
    Argument, CudaError, Gpu,
    compiler::{machine_code, ptx},
};

/// What memories are made of: as on a device, each begins where the widest load may.
type Word = u128;

/// Bytes in a word.
const WORD: usize = size_of::<Word>();

/// Words behind each memory, and what they hold.
const GUARD: (usize, Word) = (32, 0xdead_beef_dead_beef_dead_beef_dead_beef);

/// Kernels of one source, compiled for the host by `c++`.
pub struct Host {
    library: libloading::Library,
    kernels: Vec<&'static str>,
    backwards: bool,
    _folder: tempfile::TempDir,
}

/// Memory of the host, with guards behind it.
#[derive(Debug)]
pub struct Memory {
    words: Box<[Cell<Word>]>,
    bytes: usize,
}

impl Host {
    /// Compiles these kernels of a source.
    ///
    /// # Panics
    /// If there is no `c++` or it refuses the source: this is for tests.
    pub fn new(source: &str, kernels: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (wrapper, library) = (folder.path().join("emulated.cpp"), folder.path().join("emulated.so"));
        std::fs::write(folder.path().join("source.cu"), source).unwrap();
        let list: String = kernels.iter().map(|kernel| format!("KERNEL({kernel})\n")).collect();
        std::fs::write(&wrapper, include_str!("emulated.cpp").replace("KERNELS", &list)).unwrap();
        let mut command = Command::new("c++");
        command.args([
            "-O2",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            // What is loaded from where a device would refuse to stops the test.
            "-fsanitize=alignment",
            "-fsanitize-undefined-trap-on-error",
            "-std=c++17",
            "-Wno-unused-value",
            "-o",
        ]);
        let status = command.arg(&library).arg(&wrapper).status().expect("c++ comes with build-essential");
        assert!(status.success(), "c++ refuses the kernels");
        // SAFETY: it is what has just been compiled, and has no initialisers.
        #[allow(unsafe_code)]
        let library = unsafe { libloading::Library::new(&library) }.unwrap();
        Self { library, kernels: kernels.to_vec(), backwards: false, _folder: folder }
    }

    /// One whose threads run the other way round: kernels in which one waits for another give something else.
    pub fn backwards(self) -> Self {
        Self { backwards: true, ..self }
    }
}

/// Makes sure that these kernels compile for devices. That needs NVRTC, which is a package of its own and
/// needs no device: without it, the test says that it is left out.
///
/// # Panics
/// If the compiler refuses the source, or a kernel is not in it.
pub fn assert_compiles(source: &str, kernels: &[&str]) {
    match ptx(source) {
        Ok(ptx) => {
            let ptx = ptx.to_src();
            kernels.iter().for_each(|kernel| assert!(ptx.contains(&format!(".entry {kernel}(")), "{kernel}"));
            // An H100's.
            let code = machine_code(source, (9, 0)).unwrap();
            assert!(code.starts_with(b"\x7fELF"));
            let unknown = machine_code(source, (1, 0)).map(|_| ()).unwrap_err().to_string();
            assert!(unknown.contains("CUDA's compiler") && unknown.contains("gpu-architecture"), "{unknown}");
            let wrong = machine_code("extern wrong;", (9, 0)).map(|_| ()).unwrap_err().to_string();
            assert!(wrong.contains("error"), "{wrong}");
        }
        Err(error @ CudaError::NoCompiler) => println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    }
}

impl Gpu for Host {
    type Memory = Memory;

    fn reserve(&mut self, bytes: usize) -> Result<Memory, CudaError> {
        let words = bytes.div_ceil(WORD);
        let cells = (0..words).map(|_| 0).chain([GUARD.1; GUARD.0]).map(Cell::new);
        Ok(Memory { words: cells.collect(), bytes })
    }

    fn write(&mut self, memory: &mut Memory, bytes: &[u8]) -> Result<(), CudaError> {
        for (cell, chunk) in memory.words.iter().zip(bytes[..bytes.len().min(memory.bytes)].chunks(WORD)) {
            let mut word = cell.get().to_ne_bytes();
            word[..chunk.len()].copy_from_slice(chunk);
            cell.set(Word::from_ne_bytes(word));
        }
        Ok(())
    }

    fn clear(&mut self, memory: &mut Memory) -> Result<(), CudaError> {
        memory.words.iter().take(memory.bytes.div_ceil(WORD)).for_each(|cell| cell.set(0));
        Ok(())
    }

    fn read(&mut self, memory: &Memory, bytes: &mut [u8]) -> Result<(), CudaError> {
        for (cell, chunk) in memory.words.iter().zip(bytes.chunks_mut(WORD)) {
            let length = chunk.len();
            chunk.copy_from_slice(&cell.get().to_ne_bytes()[..length]);
        }
        Ok(())
    }

    fn launch(
        &mut self,
        kernel: &'static str,
        threads: usize,
        arguments: &[Argument<'_, Memory>],
    ) -> Result<(), CudaError> {
        assert!(self.kernels.contains(&kernel), "{kernel}");
        let mut values: Vec<u64> = arguments
            .iter()
            .map(|argument| match argument {
                Argument::Memory(memory, offset) => memory.words.as_ptr() as u64 + *offset as u64,
                Argument::Int(value) => u64::from(*value as u32),
                Argument::Double(value) => value.to_bits(),
            })
            .collect();
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let name = std::ffi::CString::new(kernel).unwrap();
        // SAFETY: the signature is that of emulated.cpp; memories outlive the call and may be written through.
        #[allow(unsafe_code)]
        let failed = unsafe {
            type Launch = unsafe extern "C" fn(*const std::ffi::c_char, i32, i32, *mut *mut c_void) -> i32;
            let launch: libloading::Symbol<'_, Launch> = self.library.get(b"launch").unwrap();
            launch(name.as_ptr(), threads as i32, i32::from(self.backwards), pointers.as_mut_ptr())
        };
        assert_eq!(failed, 0, "{kernel}");
        for argument in arguments {
            if let Argument::Memory(memory, _) = argument {
                let mut guard = memory.words.iter().rev().take(GUARD.0);
                assert!(guard.all(|cell| cell.get() == GUARD.1), "{kernel} wrote past a memory");
            }
        }
        Ok(())
    }
}
