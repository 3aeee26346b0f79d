use std::{
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use ferroflow_vision::{
    detect::{self, Backend, DetectError, DetectorConfig, DetectorKind, FaceDetector},
    face::Detection,
    inference::{MOST_IMAGES, MOST_THREADS},
    model::{ModelError, ModelFile},
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::{
    frame,
    lock::lock,
    meta,
    session::{self, UsesModels},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("ferfacedetect", gst::DebugColorFlags::empty(), Some("Face detection"))
});

/// The detectors, as the element's property has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFerDetector")]
pub enum Detector {
    /// Viola and Jones' cascade.
    #[enum_value(name = "Haar cascade", nick = "haar")]
    Haar,
    /// ResNet-10 SSD at 300x300.
    #[enum_value(name = "ResNet-10 SSD 300x300", nick = "ssd")]
    Ssd,
    /// MTCNN.
    #[enum_value(name = "MTCNN", nick = "mtcnn")]
    Mtcnn,
    /// SCRFD.
    #[enum_value(name = "SCRFD", nick = "scrfd")]
    Scrfd,
    /// YuNet.
    #[default]
    #[enum_value(name = "YuNet", nick = "yunet")]
    YuNet,
}

impl From<Detector> for DetectorKind {
    fn from(detector: Detector) -> Self {
        match detector {
            Detector::Haar => Self::Haar,
            Detector::Ssd => Self::Ssd,
            Detector::Mtcnn => Self::Mtcnn,
            Detector::Scrfd => Self::Scrfd,
            Detector::YuNet => Self::YuNet,
        }
    }
}

/// Whose code detects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFerDetectorBackend")]
pub enum DetectorBackend {
    /// Ferroflow's own, or ONNX Runtime.
    #[default]
    #[enum_value(name = "Ferroflow and ONNX Runtime", nick = "native")]
    Native,
    /// OpenCV.
    #[enum_value(name = "OpenCV, the reference for haar and ssd", nick = "opencv")]
    OpenCv,
}

impl From<DetectorBackend> for Backend {
    fn from(backend: DetectorBackend) -> Self {
        match backend {
            DetectorBackend::Native => Self::Native,
            DetectorBackend::OpenCv => Self::OpenCv,
        }
    }
}

/// The element's properties. A threshold below zero stands for the detector's own default.
#[derive(Clone, Debug)]
struct Settings {
    detector: Detector,
    backend: DetectorBackend,
    model: Option<String>,
    device: Option<String>,
    model_instance_id: Option<String>,
    threads: u32,
    batch_size: u32,
    batch_timeout: u32,
    threshold: f32,
    iou_threshold: f32,
    max_detections: u32,
    input_size: u32,
    inference_interval: u32,
    scale_factor: f64,
    min_neighbors: u32,
    min_size: u32,
    max_size: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let detector = Detector::default();
        let config = DetectorConfig::new(detector.into());
        Self {
            detector,
            backend: DetectorBackend::default(),
            model: None,
            device: None,
            model_instance_id: None,
            threads: 0,
            batch_size: 1,
            batch_timeout: 0,
            threshold: -1.0,
            iou_threshold: -1.0,
            max_detections: config.max_detections as u32,
            input_size: config.input_size as u32,
            inference_interval: 1,
            scale_factor: config.scale_factor,
            min_neighbors: config.min_neighbors,
            min_size: config.min_size,
            max_size: config.max_size,
        }
    }
}

impl Settings {
    fn config(&self) -> Result<DetectorConfig, DetectError> {
        let kind = DetectorKind::from(self.detector);
        let or = |value: f32, default: f32| if value < 0.0 { default } else { value };
        Ok(DetectorConfig {
            kind,
            backend: self.backend.into(),
            model: self.model.clone().unwrap_or_default(),
            session: session::options(
                self.device.as_deref(),
                self.threads,
                self.model_instance_id.as_deref(),
                self.batch_size,
                self.batch_timeout,
            )?,
            threshold: or(self.threshold, kind.default_threshold()),
            iou_threshold: or(self.iou_threshold, kind.default_iou_threshold()),
            max_detections: self.max_detections as usize,
            input_size: self.input_size as usize,
            scale_factor: self.scale_factor,
            min_neighbors: self.min_neighbors,
            min_size: self.min_size,
            max_size: self.max_size,
        })
    }
}

/// Alive from `start` to `stop`.
struct State {
    detector: Box<dyn FaceDetector>,
    info: Option<VideoInfo>,
    faces: Vec<Detection>,
    /// Frames seen since `start`.
    frames: u64,
    inference_interval: u64,
    found: metrics::Counter,
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::FaceDetect)]
pub struct FaceDetect {
    #[property(name = "detector", get, set, type = Detector, member = detector,
        nick = "Detector", blurb = "Which detector looks for faces", builder(Detector::default()).mutable_ready())]
    #[property(name = "backend", get, set, type = DetectorBackend, member = backend,
        nick = "Backend", blurb = "Whose code detects; opencv is the reference for haar and ssd, on the CPU", builder(DetectorBackend::default()).mutable_ready())]
    #[property(name = "model", get, set, type = Option<String>, member = model, mutable_ready,
        nick = "Model", blurb = "A name in the model manifest or a file (ONNX; a cascade's XML for haar); unset takes the detector's own")]
    #[property(name = "device", get, set, type = Option<String>, member = device, mutable_ready,
        nick = "Device", blurb = "auto (the default), cpu, cuda or cuda:N; a device that is asked for and missing is an error")]
    #[property(name = "model-instance-id", get, set, type = Option<String>, member = model_instance_id, mutable_ready,
        nick = "Model instance", blurb = "Elements with the same id, model, device and threads share one loaded model")]
    #[property(name = "threads", get, set, type = u32, member = threads, mutable_ready, maximum = MOST_THREADS,
        default = Settings::default().threads,
        nick = "Threads", blurb = "CPU threads of one inference; 0 takes one for each core")]
    #[property(name = "batch-size", get, set, type = u32, member = batch_size, mutable_ready, maximum = MOST_IMAGES, minimum = 1,
        default = Settings::default().batch_size,
        nick = "Batch size", blurb = "Most frames, of all streams that share the model, in one inference; the first element to open a model decides. Models that take one image run one by one")]
    #[property(name = "batch-timeout", get, set, type = u32, member = batch_timeout, mutable_ready, maximum = 60_000,
        default = Settings::default().batch_timeout,
        nick = "Batch timeout", blurb = "Milliseconds that a frame may wait for others until the batch is full; 0 never waits and takes what came during the inference before")]
    #[property(name = "threshold", get, set, type = f32, member = threshold, mutable_ready, minimum = -1.0, maximum = 1.0,
        default = Settings::default().threshold,
        nick = "Threshold", blurb = "Least confidence of a face, 0 to 1; -1 takes the detector's own (ssd and scrfd 0.5, yunet 0.6, mtcnn 0.8, haar 0)")]
    #[property(name = "iou-threshold", get, set, type = f32, member = iou_threshold, mutable_ready, minimum = -1.0, maximum = 1.0,
        default = Settings::default().iou_threshold,
        nick = "IoU threshold", blurb = "Overlap above which the weaker of two boxes goes, 0 to 1; -1 takes the detector's own (ssd 0.45, scrfd 0.4, yunet 0.3)")]
    #[property(name = "max-detections", get, set, type = u32, member = max_detections, mutable_ready, maximum = 10_000, minimum = 1,
        default = Settings::default().max_detections,
        nick = "Max detections", blurb = "Most faces of one frame; the most confident are kept")]
    #[property(name = "input-size", get, set, type = u32, member = input_size, mutable_ready, maximum = 16384,
        default = Settings::default().input_size,
        nick = "Input size", blurb = "yunet, scrfd: longest side in pixels of what the network sees, larger frames are reduced to it; 0 takes each frame's own size")]
    #[property(name = "inference-interval", get, set, type = u32, member = inference_interval, mutable_ready, maximum = 1_000_000, minimum = 1,
        default = Settings::default().inference_interval,
        nick = "Inference interval", blurb = "Look at every n-th frame; fertrack carries the faces over those between")]
    #[property(name = "scale-factor", get, set, type = f64, member = scale_factor, mutable_ready, minimum = 1.001, maximum = 10.0,
        default = Settings::default().scale_factor,
        nick = "Scale factor", blurb = "haar: ratio of one searched size to the next")]
    #[property(name = "min-neighbors", get, set, type = u32, member = min_neighbors, mutable_ready, maximum = 1_000,
        default = Settings::default().min_neighbors,
        nick = "Min neighbors", blurb = "haar: windows that must agree on a face")]
    #[property(name = "min-size", get, set, type = u32, member = min_size, mutable_ready, maximum = 16_384,
        default = Settings::default().min_size,
        nick = "Min size", blurb = "haar, mtcnn: side of the smallest face in pixels; 0 takes the cascade's own, and 20")]
    #[property(name = "max-size", get, set, type = u32, member = max_size, mutable_ready, maximum = 16_384,
        default = Settings::default().max_size,
        nick = "Max size", blurb = "haar, mtcnn: side of the largest face in pixels; 0 sets no limit")]
    settings: Mutex<Settings>,
    #[property(name = "frames", get = |this: &Self| lock(&this.stats).frames, type = u64,
        nick = "Frames", blurb = "Frames that came, since the start")]
    #[property(name = "faces", get = |this: &Self| lock(&this.stats).faces, type = u64,
        nick = "Faces", blurb = "Faces that were found, since the start")]
    stats: Mutex<Stats>,
    state: Mutex<Option<State>>,
}

/// Counts since the start; kept after `stop`, so that they can be read when a stream has ended.
#[derive(Clone, Copy, Default)]
struct Stats {
    frames: u64,
    faces: u64,
}

#[glib::object_subclass]
impl ObjectSubclass for FaceDetect {
    const NAME: &'static str = "GstFerFaceDetect";
    type Type = super::FaceDetect;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for FaceDetect {}

impl GstObjectImpl for FaceDetect {}

impl ElementImpl for FaceDetect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face detector",
                "Filter/Analyzer/Video",
                "Finds faces (Haar, SSD, MTCNN, SCRFD, YuNet) and adds them to each frame as regions of interest",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl UsesModels for FaceDetect {
    fn model_files(&self) -> Result<Vec<PathBuf>, ModelError> {
        let Settings { detector, model, .. } = lock(&self.settings).clone();
        let models = detect::models(detector.into(), &model.unwrap_or_default())?;
        Ok(models.iter().flat_map(ModelFile::files).collect())
    }
}

impl BaseTransformImpl for FaceDetect {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let open = || detect::open(&settings.config()?);
        let detector = open().map_err(|error| gst::error_msg!(gst::ResourceError::NotFound, ("{error}")))?;
        *lock(&self.stats) = Stats::default();
        gst::info!(CAT, imp = self, "detecting with {}", detector.describe());
        *lock(&self.state) = Some(State {
            detector,
            info: None,
            faces: Vec::new(),
            frames: 0,
            inference_interval: u64::from(settings.inference_interval),
            found: metrics::counter!("ferroflow_faces_total", "element" => self.obj().name().to_string()),
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        Ok(())
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        self.parent_propose_allocation(decide_query, query)?;
        frame::refuse_crops(query);
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = frame::parse_caps(incaps)?;
        if info.par() != gst::Fraction::new(1, 1) {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                (
                    "pixels are not square ({}), and so are no faces: put `videoscale ! video/x-raw,pixel-aspect-ratio=1/1` before",
                    info.par()
                )
            );
        }
        if let Some(state) = &mut *lock(&self.state) {
            state.info = Some(info);
        }
        Ok(())
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        let Some(State { detector, info: Some(info), faces, frames, inference_interval, found }) =
            &mut *state
        else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let skip = *frames % *inference_interval != 0;
        *frames += 1;
        lock(&self.stats).frames = *frames;
        if skip {
            return match meta::mark_skipped(buffer) {
                Ok(()) => Ok(gst::FlowSuccess::Ok),
                Err(_) => Err(gst::FlowError::Error),
            };
        }
        match frame::with_frame(buffer, info, |frame| detector.detect(frame, faces)) {
            Err(error) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
                return Err(gst::FlowError::Error);
            }
            Ok(Err(error)) => {
                gst::element_imp_error!(self, gst::LibraryError::Failed, ("{error}"));
                return Err(gst::FlowError::Error);
            }
            Ok(Ok(())) => {}
        }
        found.increment(faces.len() as u64);
        lock(&self.stats).faces += faces.len() as u64;
        gst::trace!(CAT, imp = self, "{} faces in frame {frames}", faces.len());
        for face in faces.iter() {
            meta::add_face(buffer, face, meta::FrameSize::of(info));
        }
        meta::keep(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
    }
}
