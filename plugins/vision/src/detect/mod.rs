//! Face detectors behind one trait. [`open`] makes the one that a configuration names.

pub mod haar;
mod letterbox;
mod mtcnn;
pub mod nms;
#[cfg(feature = "opencv")]
pub mod opencv;
mod scrfd;
mod ssd;
mod yunet;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use haar::Haar;
pub use mtcnn::Mtcnn;
pub use scrfd::Scrfd;
pub use ssd::Ssd;
pub use yunet::YuNet;

use ferroflow_cuda::CudaError;

use crate::{
    face::Detection,
    frame::{Frame, FrameError},
    inference::{Device, InferenceError, SessionOptions},
    model::{self, ModelError, ModelFile},
};

/// Finds the faces of a frame.
pub trait FaceDetector: Send {
    /// Replaces the contents of `faces` with the faces of this frame, the most confident first.
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError>;

    /// Model and device, for logs: "yunet on cpu".
    fn describe(&self) -> String;
}

/// The detectors there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// Haar cascade.
    Haar,
    /// ResNet-10 SSD at 300x300.
    Ssd,
    /// MTCNN's three networks.
    Mtcnn,
    /// SCRFD at any size.
    Scrfd,
    /// YuNet at any size.
    YuNet,
}

impl DetectorKind {
    /// Every kind, for help texts and tests.
    pub const ALL: [Self; 5] = [Self::Haar, Self::Ssd, Self::Mtcnn, Self::Scrfd, Self::YuNet];

    /// The name in pipeline files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haar => "haar",
            Self::Ssd => "ssd",
            Self::Mtcnn => "mtcnn",
            Self::Scrfd => "scrfd",
            Self::YuNet => "yunet",
        }
    }

    /// The manifest's model for this kind; of MTCNN the beginning of three names.
    pub fn default_model(self) -> &'static str {
        match self {
            Self::Haar => "haar-frontalface-default",
            Self::Ssd => "ssd-resnet10",
            Self::Mtcnn => "mtcnn",
            Self::Scrfd => "scrfd",
            Self::YuNet => "yunet",
        }
    }

    /// The confidence below which faces are dropped unless told otherwise: the paper's 0.5 for the SSD,
    /// InsightFace's 0.5 for SCRFD, 0.8 for
    /// MTCNN's last network as in the package `mtcnn`, 0.6 for YuNet where OpenCV's samples take 0.6 to 0.9, nothing
    /// for Haar whose `min-neighbors` decides.
    pub fn default_threshold(self) -> f32 {
        match self {
            Self::Haar => 0.0,
            Self::Ssd | Self::Scrfd => 0.5,
            Self::YuNet => 0.6,
            Self::Mtcnn => 0.8,
        }
    }

    /// Suppression overlap unless told otherwise: 0.45 in the SSD's `deploy.prototxt`, 0.3 in OpenCV's `FaceDetectorYN`,
    /// 0.4 in InsightFace. MTCNN has its own, one a network.
    pub fn default_iou_threshold(self) -> f32 {
        match self {
            Self::Haar | Self::Mtcnn | Self::YuNet => 0.3,
            Self::Ssd => 0.45,
            Self::Scrfd => 0.4,
        }
    }
}

impl FromStr for DetectorKind {
    type Err = DetectError;

    fn from_str(name: &str) -> Result<Self, DetectError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| DetectError::UnknownDetector(name.to_owned()))
    }
}

/// Whose code detects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Ours, or ONNX Runtime.
    #[default]
    Native,
    /// OpenCV, the reference for Haar and SSD, on the CPU.
    OpenCv,
}

/// How to detect. Each detector reads the settings that concern it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorConfig {
    /// Which detector.
    pub kind: DetectorKind,
    /// Whose code.
    pub backend: Backend,
    /// A manifest name or a file; empty takes the kind's default.
    pub model: String,
    /// Device, threads and sharing.
    pub session: SessionOptions,
    /// Least confidence, 0 to 1.
    pub threshold: f32,
    /// Overlap above which the weaker of two boxes goes, 0 to 1.
    pub iou_threshold: f32,
    /// Most faces a frame.
    pub max_detections: usize,
    /// Longest side of the network's input in pixels for detectors of any size; 0 takes the frame's own.
    pub input_size: usize,
    /// Haar: ratio between two searched sizes, above 1.
    pub scale_factor: f64,
    /// Haar: raw windows that must agree on a face.
    pub min_neighbors: u32,
    /// Haar, MTCNN: smallest face in pixels; 0 for the cascade's own, and 20.
    pub min_size: u32,
    /// Haar, MTCNN: largest face in pixels; 0 for no limit.
    pub max_size: u32,
}

impl DetectorConfig {
    /// The defaults of a kind.
    pub fn new(kind: DetectorKind) -> Self {
        Self {
            kind,
            backend: Backend::default(),
            model: String::new(),
            session: SessionOptions::default(),
            threshold: kind.default_threshold(),
            iou_threshold: kind.default_iou_threshold(),
            max_detections: 200,
            input_size: 640,
            scale_factor: 1.1,
            min_neighbors: 5,
            min_size: 0,
            max_size: 0,
        }
    }
}

/// Why a detector could not be opened or failed.
#[derive(Debug, Error)]
pub enum DetectError {
    /// No such detector.
    #[error("unknown detector `{0}`: use haar, ssd, mtcnn, scrfd or yunet")]
    UnknownDetector(String),
    /// The model cannot be found.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be loaded or failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Not a cascade.
    #[error("the cascade {} could not be read: {reason}", path.display())]
    Cascade {
        /// The XML file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A picture whose pixels are not what its size promises.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A setting that cannot be meant.
    #[error("{name} is {found}: {expected}")]
    Setting {
        /// As pipeline files name it.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A CUDA device that cannot be used.
    #[error("{0}; or use device=cpu")]
    Cuda(#[from] CudaError),
    /// No threads to search with.
    #[error("the threads that search for faces could not be started: {0}")]
    Threads(String),
    /// A pyramid that would never end.
    #[error("scale-factor is {0}: it must be above 1, or the search would never end")]
    ScaleFactor(f64),
    /// OpenCV's own words.
    #[cfg(feature = "opencv")]
    #[error("OpenCV: {0}")]
    OpenCv(#[from] ::opencv::Error),
    /// OpenCV's SSD without what it was published as.
    #[error(
        "OpenCV reads `{model}` from Caffe's files, and {} is not here: run `ferroflow models fetch --force {model}`",
        path.display()
    )]
    NoCaffe {
        /// The model's name.
        model: String,
        /// The missing file.
        path: PathBuf,
    },
    /// OpenCV was asked for in a build without it.
    #[error("this build has no OpenCV (feature `opencv`): use backend=native")]
    NoOpenCv,
    /// OpenCV was asked for what it has no reference for.
    #[error("backend=opencv goes with detector=haar and detector=ssd, and not with {0}")]
    NoReference(&'static str),
    /// OpenCV was asked for on another device than the CPU.
    #[error("backend=opencv runs on the CPU, and not on {0}")]
    OpenCvDevice(Device),
}

/// The files of a detector: one, or the three networks of MTCNN, which are named after it or lie in a folder as
/// `pnet.onnx`, `rnet.onnx` and `onet.onnx`. An empty name stands for the kind's own.
pub fn models(kind: DetectorKind, name: &str) -> Result<Vec<ModelFile>, ModelError> {
    let name = if name.is_empty() { kind.default_model() } else { name };
    match kind {
        DetectorKind::Mtcnn => NETWORKS
            .iter()
            .map(|network| match Path::new(name).is_dir() {
                true => model::resolve_model(
                    &Path::new(name).join(network).with_extension("onnx").to_string_lossy(),
                ),
                false => model::resolve_model(&format!("{name}-{network}")),
            })
            .collect(),
        _ => Ok(vec![model::resolve_model(name)?]),
    }
}

/// MTCNN's networks in the order they run.
const NETWORKS: [&str; 3] = ["pnet", "rnet", "onet"];

/// Opens the detector that the configuration names.
pub fn open(config: &DetectorConfig) -> Result<Box<dyn FaceDetector>, DetectError> {
    if config.scale_factor.is_nan() || config.scale_factor <= 1.0 {
        return Err(DetectError::ScaleFactor(config.scale_factor));
    }
    let models = models(config.kind, &config.model)?;
    if config.backend == Backend::OpenCv {
        return open_reference(config, &models);
    }
    Ok(match (config.kind, models.as_slice()) {
        (DetectorKind::Haar, [model]) => haar::open(model, config)?,
        (DetectorKind::Ssd, [model]) => Box::new(Ssd::open(model, config)?),
        (DetectorKind::Scrfd, [model]) => Box::new(Scrfd::open(model, config)?),
        (DetectorKind::YuNet, [model]) => Box::new(YuNet::open(model, config)?),
        (DetectorKind::Mtcnn, models) => {
            let networks = models.try_into().map_err(|_| ModelError::Unknown {
                name: config.model.clone(),
                known: NETWORKS.join(", "),
            })?;
            Box::new(Mtcnn::open(networks, config)?)
        }
        (kind, _) => return Err(DetectError::UnknownDetector(kind.name().to_owned())),
    })
}

/// Opens OpenCV's detector.
#[cfg(feature = "opencv")]
fn open_reference(
    config: &DetectorConfig,
    models: &[ModelFile],
) -> Result<Box<dyn FaceDetector>, DetectError> {
    if let Device::Cuda(_) = config.session.device {
        return Err(DetectError::OpenCvDevice(config.session.device));
    }
    match (config.kind, models) {
        (DetectorKind::Haar, [model]) => Ok(Box::new(opencv::OpenCvHaar::open(model, config)?)),
        (DetectorKind::Ssd, [model]) => Ok(Box::new(opencv::OpenCvSsd::open(model, config)?)),
        (kind, _) => Err(DetectError::NoReference(kind.name())),
    }
}

#[cfg(not(feature = "opencv"))]
fn open_reference(_: &DetectorConfig, _: &[ModelFile]) -> Result<Box<dyn FaceDetector>, DetectError> {
    Err(DetectError::NoOpenCv)
}

/// OpenCV's version, if this build has it.
pub fn opencv_version() -> Option<String> {
    #[cfg(feature = "opencv")]
    return ::opencv::core::get_version_string().ok();
    #[cfg(not(feature = "opencv"))]
    return None;
}
