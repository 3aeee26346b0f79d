//! Makes errors of what goes wrong on a device.
//!
//! CubeCL, which runs Burn's kernels, works on a thread of its own. What fails there panics there; whoever waits for a result
//! sees only that there is none, and panics in turn. So the first panic of the runtime is kept, and is what is told.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use crate::error::LearnError;

/// Parts of the names of crates that belong to the runtime, as they stand in paths of sources.
const RUNTIME: [&str; 4] = ["burn-", "cubecl", "cubek", "cudarc"];
/// What CubeCL's and CUDA's messages say where memory is short.
const NO_MEMORY: [&str; 3] = ["can't allocate buffer", "out_of_memory", "out of memory"];
/// Characters of a message that are told.
const LONGEST: usize = 400;

/// Guarded work under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// The first panic of the runtime since work began.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Does work on a device; a panic of its runtime becomes an error and is not printed.
///
/// # Errors
/// Those of `work`; [`LearnError::DeviceMemory`] if the device's memory does not suffice, [`LearnError::DeviceFailed`]
/// if it fails otherwise, [`LearnError::Panicked`] if something else panics.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, LearnError>) -> Result<T, LearnError> {
    listen();
    if UNDER_WAY.fetch_add(1, Ordering::SeqCst) == 0 {
        keep(None);
    }
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    match (outcome, first) {
        (Ok(Err(LearnError::DeviceFailed(_))) | Err(_), Some(first)) => Err(failure(&first)),
        (Ok(Err(LearnError::DeviceFailed(message))), None) => Err(failure(&message)),
        (Ok(outcome), _) => outcome,
        (Err(_), None) => Err(LearnError::Panicked),
    }
}

/// Listens to panics, once for the whole process.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let of_runtime = panic.location().is_some_and(|location| is_of_runtime(location.file()));
            if of_runtime && UNDER_WAY.load(Ordering::SeqCst) > 0 {
                keep(Some(panic.payload_as_str().unwrap_or("no message")));
            } else {
                before(panic);
            }
        }));
    });
}

/// Keeps a message, unless there is one already; `None` forgets it.
fn keep(message: Option<&str>) {
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    match message {
        Some(message) => {
            first.get_or_insert_with(|| message.to_owned());
        }
        None => *first = None,
    }
}

/// Whether a file is a source of the runtime.
fn is_of_runtime(file: &str) -> bool {
    file.split(['/', '\\']).any(|part| RUNTIME.iter().any(|name| part.starts_with(name)))
}

/// The error for a message of the runtime.
fn failure(message: &str) -> LearnError {
    let lower = message.to_lowercase();
    if NO_MEMORY.iter().any(|sign| lower.contains(sign)) {
        return LearnError::DeviceMemory;
    }
    LearnError::DeviceFailed(gist(message))
}

/// A message in one line, without the frames of a backtrace.
fn gist(message: &str) -> String {
    let is_frame = |line: &str| {
        line.starts_with("at ")
            || line.split_once(": ").is_some_and(|(number, _)| number.parse::<usize>().is_ok())
    };
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && !is_frame(line));
    lines.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn messages_of_a_lack_of_memory_become_an_error_that_says_what_to_lower() {
        // As CubeCL 0.10 words them: where a buffer is made (`CudaServer::initialize_memory`), and where a kernel's
        // arguments are.
        let texts = [
            "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 1073741824\n   0: std::backtrace",
            "An error happened during execution\nCaused by:\n  CUDA allocation error: DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
        ];
        for text in texts {
            let error = failure(text);
            assert!(matches!(error, LearnError::DeviceMemory), "{error}");
            let error = error.to_string();
            let places = ["`batch_size`", "`generator.width`"].map(|name| error.find(name));
            assert!(matches!(places, [Some(first), Some(then)] if first < then), "{error}");
        }
    }

    #[test]
    fn other_messages_are_told_in_one_line_without_backtraces() {
        let text = "called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)\n\n   0: std::x\n             at /src/lib.rs:1\n   12: main\n";
        let LearnError::DeviceFailed(message) = failure(text) else { panic!("another error") };
        assert_eq!(
            message,
            "called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS)"
        );
    }

    #[test]
    fn panics_of_the_runtime_are_told_from_our_own() {
        assert!(is_of_runtime("/root/.cargo/registry/src/index/cubecl-cuda-0.10.0/src/compute/server.rs"));
        assert!(is_of_runtime(
            "/home/me/.cargo/registry/src/index/burn-tensor-0.21.0/src/tensor/api/base.rs"
        ));
        assert!(!is_of_runtime("plugins/learn/src/cyclegan/train.rs"));
        assert!(!is_of_runtime("/home/burn/ferroflow/src/cubic.rs"));
    }

    #[test]
    fn what_panics_or_fails_within_guarded_work_becomes_an_error() {
        let panicked = guarded::<()>(|| panic!("ours"));
        assert!(matches!(panicked, Err(LearnError::Panicked)), "{panicked:?}");
        // Burn's own check of shapes stands for a panic of the runtime.
        let of_runtime = guarded(|| {
            let device = Default::default();
            let numbers = |count| burn::tensor::Tensor::<burn::backend::Flex, 1>::zeros([count], &device);
            Ok(numbers(2) + numbers(3))
        });
        assert!(matches!(of_runtime, Err(LearnError::DeviceFailed(_))), "{of_runtime:?}");
        let failed = guarded::<()>(|| Err(LearnError::DeviceFailed("cuda: out of memory".to_owned())));
        assert!(matches!(failed, Err(LearnError::DeviceMemory)), "{failed:?}");
        assert!(matches!(guarded(|| Ok(1)), Ok(1)));
        let own = guarded::<()>(|| Err(LearnError::Cancelled));
        assert!(matches!(own, Err(LearnError::Cancelled)), "{own:?}");
    }
}
