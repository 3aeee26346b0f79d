//! The process's one ONNX Runtime, loaded at run time ([`crate::model::onnxruntime_library`]), and its providers.

use std::sync::OnceLock;

use ort::{
    environment::Environment,
    ep::{ArenaExtendStrategy, CUDA, ExecutionProviderDispatch, cuda::ConvAlgorithmSearch},
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::Session,
};

use super::InferenceError;
use crate::model;

/// The process's one ONNX Runtime environment, loaded where it is not yet. There can be no second one, so
/// that whoever uses ort beside us needs this one.
pub fn environment() -> Result<&'static Environment, InferenceError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let loaded = ENVIRONMENT.get_or_init(|| {
        let library = model::onnxruntime_library().map_err(|error| error.to_string())?;
        let builder = ort::init_from(&library).map_err(|error| format!("{}: {error}", library.display()))?;
        builder.with_name("ferroflow").with_telemetry(false).build().map_err(|error| error.to_string())
    });
    loaded.as_ref().map_err(|reason| InferenceError::Runtime(reason.clone()))
}

/// Loads ONNX Runtime and returns its build description, for `ferroflow doctor`.
pub fn runtime_version() -> Result<String, InferenceError> {
    environment().map(|_| ort::info().to_owned())
}

/// Says why ONNX Runtime's CUDA provider does not load, or that it does.
pub fn cuda_provider() -> Result<(), InferenceError> {
    let mut builder = Session::builder(environment()?).map_err(|e| InferenceError::Runtime(e.to_string()))?;
    cuda(0).register(&mut builder).map_err(|error| InferenceError::NoProvider(error.to_string()))
}

/// The CUDA provider on this device. That it cannot be registered is an error, which is not ort's default.
/// Convolutions are chosen by cuDNN's heuristics: trying all, which is ONNX Runtime's default, takes a second
/// and more for each new shape of input.
pub(super) fn cuda(index: u32) -> ExecutionProviderDispatch {
    CUDA::default()
        .with_device_id(number(index))
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // What one shape needs, for each session sees one: not the next power of two.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .build()
        .error_on_failure()
}

/// True when a loaded session really has the CUDA provider of this device: only then has it an allocator for
/// the device's memory.
pub(super) fn has_cuda(session: &Session, index: u32) -> bool {
    MemoryInfo::new(AllocationDevice::CUDA, number(index), AllocatorType::Device, MemoryType::Default)
        .and_then(|memory| Allocator::new(session, memory))
        .is_ok()
}

fn number(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
