//! ONNX Runtime sessions, loaded once for a model and device and shared by all who ask for the same.
//!
//! The library is loaded at run time ([`crate::model::onnxruntime_library`]). A device that was asked for and is not
//! there is an error; [`Device::Auto`] takes CUDA where it works, and [`SharedSession::device`] tells which it took.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Instant,
};

use ort::{
    ep::{CUDA, ExecutionProviderDispatch},
    session::{Session, builder::GraphOptimizationLevel},
    value::TensorRef,
};
use thiserror::Error;

use crate::model;

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// CUDA where it works, else the CPU.
    #[default]
    Auto,
    /// ONNX Runtime's CPU provider.
    Cpu,
    /// ONNX Runtime's CUDA provider on the device of this number.
    Cuda(u32),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = InferenceError;

    fn from_str(text: &str) -> Result<Self, InferenceError> {
        let unknown = || InferenceError::UnknownDevice(text.to_owned());
        match text.to_ascii_lowercase().as_str() {
            "" | "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

/// What can go wrong between a model's file and its answer.
#[derive(Debug, Error)]
pub enum InferenceError {
    /// Not a device name.
    #[error("unknown device `{0}`: use auto, cpu, cuda or cuda:N")]
    UnknownDevice(String),
    /// ONNX Runtime itself cannot be had.
    #[error("ONNX Runtime could not be loaded: {0}")]
    Runtime(String),
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
    #[error("the model `{model}` failed while running: {reason}")]
    Run {
        /// The model's name.
        model: String,
        /// What ONNX Runtime said.
        reason: String,
    },
}

/// How to open a session. Equal options on one file share one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionOptions {
    /// Where to run.
    pub device: Device,
    /// CPU threads inside one run; 0 takes one for each core.
    pub threads: usize,
    /// Users with the same name share a session, users with different names do not; empty is a name like others.
    pub instance_id: String,
}

/// Name and shape of a model's input or output; -1 stands for a free dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<i64>,
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {:?}", self.name, self.shape)
    }
}

/// One output of a run, borrowed: dimensions and values, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Dimensions, outermost first.
    pub shape: &'a [i64],
    /// The values.
    pub values: &'a [f32],
}

/// A loaded model that several users run in turn.
#[derive(Debug)]
pub struct SharedSession {
    session: Mutex<Session>,
    path: PathBuf,
    name: String,
    device: Device,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

type Key = (PathBuf, SessionOptions);

fn registry() -> &'static Mutex<HashMap<Key, Weak<SharedSession>>> {
    static REGISTRY: OnceLock<Mutex<HashMap<Key, Weak<SharedSession>>>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default)
}

/// The process's one ONNX Runtime environment.
fn environment() -> Result<&'static ort::environment::Environment, InferenceError> {
    static ENVIRONMENT: OnceLock<Result<ort::environment::Environment, String>> = OnceLock::new();
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

/// True when ONNX Runtime's CUDA provider loads and finds a device.
pub fn cuda_provider() -> Result<(), InferenceError> {
    let mut builder = Session::builder(environment()?).map_err(|e| InferenceError::Runtime(e.to_string()))?;
    cuda(0).register(&mut builder).map_err(|error| InferenceError::Runtime(error.to_string()))
}

fn cuda(index: u32) -> ExecutionProviderDispatch {
    CUDA::default().with_device_id(i32::try_from(index).unwrap_or(i32::MAX)).build().error_on_failure()
}

impl SharedSession {
    /// The session of this file and these options: the one in use if there is one, else newly loaded.
    pub fn open(path: &Path, options: &SessionOptions) -> Result<Arc<Self>, InferenceError> {
        let key = (path.canonicalize().unwrap_or_else(|_| path.to_owned()), options.clone());
        // Held while loading, so that two streams that start together do not load the same model twice.
        let mut sessions = registry().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&key).and_then(Weak::upgrade) {
            return Ok(session);
        }
        let session = Arc::new(Self::load(path, options)?);
        sessions.retain(|_, session| session.strong_count() > 0);
        sessions.insert(key, Arc::downgrade(&session));
        Ok(session)
    }

    fn load(path: &Path, options: &SessionOptions) -> Result<Self, InferenceError> {
        let (session, device) = match options.device {
            Device::Auto => match Self::load_on(path, options, Device::Cuda(0)) {
                Ok(session) => (session, Device::Cuda(0)),
                Err(reason) => {
                    tracing::debug!(%reason, "CUDA is not usable, taking the CPU");
                    (Self::load_on(path, options, Device::Cpu)?, Device::Cpu)
                }
            },
            device => (Self::load_on(path, options, device)?, device),
        };
        let info = |outlet: &ort::value::Outlet| TensorInfo {
            name: outlet.name().to_owned(),
            shape: outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default(),
        };
        let (inputs, outputs) =
            (session.inputs().iter().map(info).collect(), session.outputs().iter().map(info).collect());
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        tracing::info!(model = name, %device, "loaded");
        metrics::gauge!("ferroflow_model_loaded", "model" => name.clone(), "device" => device.to_string())
            .set(1.0);
        Ok(Self { session: Mutex::new(session), path: path.to_owned(), name, device, inputs, outputs })
    }

    fn load_on(path: &Path, options: &SessionOptions, device: Device) -> Result<Session, InferenceError> {
        let environment = environment()?;
        let failed = |reason: String| InferenceError::Load { path: path.to_owned(), device, reason };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let build = || -> ort::Result<Session> {
            let threads = match options.threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            };
            // Spinning threads would take the cores from the decoder and the other elements.
            let mut builder = Session::builder(environment)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                .with_intra_op_spinning(false)?;
            if let Device::Cuda(index) = device {
                builder = builder.with_execution_providers([cuda(index)])?;
            }
            builder.commit_from_memory(&bytes)
        };
        build().map_err(|error| failed(error.to_string()))
    }

    /// The model's name: its file's name without extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device that runs it; never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// What it takes.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// What it gives.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// An error that says how this model differs from what its use needs.
    pub fn misfit(&self, reason: impl Into<String>) -> InferenceError {
        InferenceError::Shape { path: self.path.clone(), reason: reason.into() }
    }

    /// Runs the model's only input, `shape` outermost first, and hands the outputs, in the model's order, to `read`.
    pub fn run<R>(
        &self,
        shape: [usize; 4],
        values: &[f32],
        read: impl FnOnce(&[Output<'_>]) -> R,
    ) -> Result<R, InferenceError> {
        let failed =
            |error: ort::Error| InferenceError::Run { model: self.name.clone(), reason: error.to_string() };
        let input = TensorRef::from_array_view((shape, values)).map_err(failed)?;
        let started = Instant::now();
        // A panic while the lock was held cannot have left ONNX Runtime's session half changed: a run does not alter it.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs![input]).map_err(failed)?;
        let mut views = Vec::with_capacity(outputs.len());
        for index in 0..outputs.len() {
            let (shape, values) = outputs[index].try_extract_tensor::<f32>().map_err(failed)?;
            views.push(Output { shape, values });
        }
        metrics::histogram!("ferroflow_inference_seconds", "model" => self.name.clone())
            .record(started.elapsed());
        metrics::histogram!("ferroflow_inference_batch_size", "model" => self.name.clone())
            .record(shape[0] as f64);
        Ok(read(&views))
    }
}
