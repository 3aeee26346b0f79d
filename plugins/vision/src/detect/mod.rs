//! Face detectors behind one trait. [`open`] makes the one that a configuration names.

pub mod haar;
mod letterbox;
pub mod nms;
#[cfg(feature = "opencv")]
pub mod opencv;
mod scrfd;
mod ssd;
mod yunet;

use std::{path::PathBuf, str::FromStr};

use thiserror::Error;

pub use haar::Haar;
pub use scrfd::Scrfd;
pub use ssd::Ssd;
pub use yunet::YuNet;

use crate::{
    cuda::CudaError,
    face::Detection,
    frame::Frame,
    inference::{InferenceError, SessionOptions},
    model::{self, ModelError},
};

/// Finds the faces of a frame.
pub trait FaceDetector: Send {
    /// Replaces the contents of `faces` with the faces of this frame, the most confident first.
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError>;

    /// Model and device, for logs: "yunet on cpu".
    fn describe(&self) -> String;
}

/// The detectors there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetectorKind {
    /// Haar cascade through OpenCV.
    Haar,
    /// ResNet-10 SSD at 300x300.
    Ssd,
    /// SCRFD at any size.
    Scrfd,
    /// YuNet at any size.
    YuNet,
}

impl DetectorKind {
    /// Every kind, for help texts and tests.
    pub const ALL: [Self; 4] = [Self::Haar, Self::Ssd, Self::Scrfd, Self::YuNet];

    /// The name in pipeline files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haar => "haar",
            Self::Ssd => "ssd",
            Self::Scrfd => "scrfd",
            Self::YuNet => "yunet",
        }
    }

    /// The manifest's model for this kind.
    pub fn default_model(self) -> &'static str {
        match self {
            Self::Haar => "haar-frontalface-default",
            Self::Ssd => "ssd-resnet10",
            Self::Scrfd => "scrfd",
            Self::YuNet => "yunet",
        }
    }

    /// The confidence below which faces are dropped unless told otherwise: the paper's 0.5 for the SSD,
    /// InsightFace's 0.5 for SCRFD, 0.6 for YuNet where OpenCV's samples take 0.6 to 0.9, nothing for Haar whose `min-neighbors` decides.
    pub fn default_threshold(self) -> f32 {
        match self {
            Self::Haar => 0.0,
            Self::Ssd | Self::Scrfd => 0.5,
            Self::YuNet => 0.6,
        }
    }

    /// Suppression overlap unless told otherwise: 0.45 in the SSD's `deploy.prototxt`, 0.3 in OpenCV's `FaceDetectorYN`,
    /// 0.4 in InsightFace.
    pub fn default_iou_threshold(self) -> f32 {
        match self {
            Self::Haar | Self::YuNet => 0.3,
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

/// How to detect. Each detector reads the settings that concern it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorConfig {
    /// Which detector.
    pub kind: DetectorKind,
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
    /// Haar: smallest face in pixels; 0 for the cascade's own.
    pub min_size: u32,
    /// Haar: largest face in pixels; 0 for no limit.
    pub max_size: u32,
}

impl DetectorConfig {
    /// The defaults of a kind.
    pub fn new(kind: DetectorKind) -> Self {
        Self {
            kind,
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
    #[error("unknown detector `{0}`: use haar, ssd, scrfd or yunet")]
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
    /// A CUDA device that cannot be used.
    #[error(transparent)]
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
    /// Haar without OpenCV.
    #[error("this build has no OpenCV (feature `opencv`), and with it no Haar cascade")]
    NoOpenCv,
}

/// Opens the detector that the configuration names.
pub fn open(config: &DetectorConfig) -> Result<Box<dyn FaceDetector>, DetectError> {
    let name = if config.model.is_empty() { config.kind.default_model() } else { &config.model };
    let model = model::resolve_model(name)?;
    Ok(match config.kind {
        DetectorKind::Haar => haar::open(&model, config)?,
        DetectorKind::Ssd => Box::new(Ssd::open(&model, config)?),
        DetectorKind::Scrfd => Box::new(Scrfd::open(&model, config)?),
        DetectorKind::YuNet => Box::new(YuNet::open(&model, config)?),
    })
}

/// OpenCV's version, if this build has it.
pub fn opencv_version() -> Option<String> {
    #[cfg(feature = "opencv")]
    return ::opencv::core::get_version_string().ok();
    #[cfg(not(feature = "opencv"))]
    return None;
}
