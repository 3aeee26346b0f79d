//! What can go wrong between a model's file and its answer.

use std::path::PathBuf;

use thiserror::Error;

use super::Device;

/// Why a model cannot be loaded or has no answer. All who wait for one run get the same error.
#[derive(Clone, Debug, Error)]
pub enum InferenceError {
    /// Not a device name.
    #[error(transparent)]
    UnknownDevice(#[from] ferroflow_cuda::UnknownDevice),
    /// ONNX Runtime itself cannot be had.
    #[error("ONNX Runtime could not be loaded: {0}")]
    Runtime(String),
    /// ONNX Runtime is there, and cannot use the device.
    #[error("ONNX Runtime has no provider for the device: {0}")]
    NoProvider(String),
    /// The file cannot be loaded as a model.
    #[error("the model {} could not be loaded on {device}: {reason}", path.display())]
    Load {
        /// The ONNX file.
        path: PathBuf,
        /// Device asked for.
        device: Device,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The model's inputs or outputs are not what its use needs.
    #[error("the model {} does not fit: {reason}", path.display())]
    Shape {
        /// The ONNX file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A run failed.
    #[error("the model `{model}` failed while running on {device}: {reason}")]
    Run {
        /// The model's name.
        model: String,
        /// The device that ran it.
        device: Device,
        /// What ONNX Runtime said.
        reason: String,
    },
}
