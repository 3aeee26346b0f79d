//! The device's kernels run on the host, one thread after the other: everything but the device itself.

use std::{cell::Cell, ffi::c_void, path::Path, process::Command};

use super::search::{ANSWERS, KERNELS, Search};
use crate::{
    cuda::{Argument, CudaError, Gpu},
    detect::{
        DetectorConfig, DetectorKind, FaceDetector,
        haar::{Haar, answers, shape, xml},
    },
    frame::{Frame, Plane},
    model::{self, ModelFile},
};

/// Words behind each memory, and what they hold.
const GUARD: (usize, u64) = (64, 0xdead_beef_dead_beef);

struct Host {
    library: libloading::Library,
    _folder: tempfile::TempDir,
}

struct Memory {
    words: Box<[Cell<u64>]>,
    bytes: usize,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("emulated.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detect/haar/cuda/emulated.cpp");
        let mut command = Command::new("c++");
        command.args([
            "-O2",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-std=c++17",
            "-Wno-unused-value",
            "-o",
        ]);
        let status = command.arg(&library).arg(source).status().expect("c++ comes with build-essential");
        assert!(status.success());
        // SAFETY: it is what has just been compiled, and has no initialisers.
        #[allow(unsafe_code)]
        let library = unsafe { libloading::Library::new(&library) }.unwrap();
        Self { library, _folder: folder }
    }
}

impl Gpu for Host {
    type Memory = Memory;

    fn reserve(&mut self, bytes: usize) -> Result<Memory, CudaError> {
        let words = bytes.div_ceil(8);
        let cells = (0..words).map(|_| 0).chain([GUARD.1; GUARD.0]).map(Cell::new);
        Ok(Memory { words: cells.collect(), bytes })
    }

    fn write(&mut self, memory: &mut Memory, bytes: &[u8]) -> Result<(), CudaError> {
        for (cell, chunk) in memory.words.iter().zip(bytes[..bytes.len().min(memory.bytes)].chunks(8)) {
            let mut word = cell.get().to_ne_bytes();
            word[..chunk.len()].copy_from_slice(chunk);
            cell.set(u64::from_ne_bytes(word));
        }
        Ok(())
    }

    fn clear(&mut self, memory: &mut Memory) -> Result<(), CudaError> {
        memory.words.iter().take(memory.bytes.div_ceil(8)).for_each(|cell| cell.set(0));
        Ok(())
    }

    fn read(&mut self, memory: &Memory, bytes: &mut [u8]) -> Result<(), CudaError> {
        for (cell, chunk) in memory.words.iter().zip(bytes.chunks_mut(8)) {
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
        assert!(KERNELS.contains(&kernel));
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
            type Launch = unsafe extern "C" fn(*const std::ffi::c_char, i32, *mut *mut c_void) -> i32;
            let launch: libloading::Symbol<'_, Launch> = self.library.get(b"launch").unwrap();
            launch(name.as_ptr(), threads as i32, pointers.as_mut_ptr())
        };
        assert_eq!(failed, 0, "{kernel} is not in emulated.cpp");
        for argument in arguments {
            if let Argument::Memory(memory, _) = argument {
                let mut guard = memory.words.iter().rev().take(GUARD.0);
                assert!(guard.all(|cell| cell.get() == GUARD.1), "{kernel} wrote past a memory");
            }
        }
        Ok(())
    }
}

/// A picture with structure at all sizes, in which cascades find windows: overlapping blobs, and noise.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut state = 9u32;
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let wave = |x: usize, period: f32| (x as f32 / period).sin();
            let light = 128.0 + 60.0 * wave(x, 9.0) * wave(y, 7.0) + 40.0 * wave(x + y, 23.0);
            pixels.push((light + (state % 24) as f32) as u8);
        }
    }
    pixels
}

fn same(host: &mut Host, model: &ModelFile, (width, height): (usize, usize), min_neighbors: u32) -> usize {
    let config = DetectorConfig {
        min_neighbors,
        max_detections: usize::MAX,
        ..DetectorConfig::new(DetectorKind::Haar)
    };
    let pixels = picture(width, height);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let frame = Frame::gray(&pixels, width, height).unwrap();
    Haar::open(model, &config).unwrap().detect(&frame, &mut expected).unwrap();
    let cascade = xml::read(model).unwrap();
    let shape = shape(&cascade, &config, (width, height));
    // Too little room for all windows of late stages changes nothing.
    for room in [ANSWERS, 4000] {
        let mut search = Search::new(host, &cascade, room).unwrap();
        // Twice, for what a run leaves behind must not change the next.
        for _ in 0..2 {
            let luma = Plane { data: &pixels, stride: width };
            search.run(host, &cascade, luma, shape, min_neighbors).unwrap();
        }
        found.clear();
        answers(search.faces(), (width, height), &config, &mut found);
        assert!(found == expected, "{} {width}x{height}: {} of {}", model.name, found.len(), expected.len());
    }
    found.len()
}

#[test]
fn kernels_find_what_the_cpu_finds() {
    let mut host = Host::new();
    let beside = model::asset_path("haar-frontalface-default").unwrap();
    let mut windows = 0;
    for name in
        ["haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml", "haarcascade_smile.xml"]
    {
        let model = ModelFile { name: name.into(), path: beside.with_file_name(name), card: None };
        for size in [(160, 120), (97, 131), (24, 24), (11, 40)] {
            windows += same(&mut host, &model, size, 0);
            same(&mut host, &model, size, 1);
            same(&mut host, &model, size, 3);
        }
    }
    assert!(windows > 100, "{windows}");
}

/// Needs NVRTC, which is a package of its own and needs no device.
#[test]
fn kernels_compile_for_devices() {
    match crate::cuda::compile(super::SOURCE) {
        Ok(ptx) => assert!(KERNELS.iter().all(|kernel| ptx.to_src().contains(&format!(".entry {kernel}(")))),
        Err(CudaError::NoCompiler) => println!("skipped: {}", CudaError::NoCompiler),
        Err(error) => panic!("{error}"),
    }
}
