use std::{
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use ferroflow_vision::{
    face::Face,
    inference::{MOST_IMAGES, MOST_THREADS},
    model::ModelError,
    translation::{FaceTranslator, TranslationError},
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::{
    frame,
    lock::lock,
    meta::{FaceReader, FrameSize},
    session::{self, UsesModels},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("fertranslate", gst::DebugColorFlags::empty(), Some("Expression translation"))
});

#[derive(Clone, Debug)]
struct Settings {
    model: Option<String>,
    device: Option<String>,
    model_instance_id: Option<String>,
    threads: u32,
    batch_size: u32,
    batch_timeout: u32,
    strength: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            device: None,
            model_instance_id: None,
            threads: 1,
            batch_size: 32,
            batch_timeout: 0,
            strength: 1.0,
        }
    }
}

impl Settings {
    /// The generator, if one is named.
    fn model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| !model.is_empty())
    }

    fn open(&self, model: &str) -> Result<FaceTranslator, TranslationError> {
        let options = session::options(
            self.device.as_deref(),
            self.threads,
            self.model_instance_id.as_deref(),
            self.batch_size,
            self.batch_timeout,
        )?;
        FaceTranslator::open(Path::new(model), &options, self.batch_size as usize)
    }
}

/// Alive from `start` to `stop`.
struct State {
    translator: FaceTranslator,
    info: Option<VideoInfo>,
    reader: FaceReader,
    faces: Vec<Face>,
}

impl State {
    /// Repaints the buffer's faces and answers how many. A buffer without faces is not even mapped.
    fn translate(
        &mut self,
        buffer: &mut gst::BufferRef,
        info: &VideoInfo,
        strength: f32,
    ) -> Result<usize, String> {
        self.reader.read(buffer, FrameSize::of(info), &mut self.faces);
        if self.faces.is_empty() || strength <= 0.0 {
            return Ok(0);
        }
        let (translator, faces) = (&mut self.translator, &self.faces);
        frame::with_frame_mut(buffer, info, |frame| {
            translator.translate(frame, faces.iter().map(|face| &face.detection), strength)
        })
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
    }
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Translate)]
pub struct Translate {
    #[property(name = "model", get, set, type = Option<String>, member = model, mutable_ready,
        nick = "Model", blurb = "The ONNX file of a CycleGAN's generator: gray faces (N, 1, H, W) in -1..1 in and out; must be set")]
    #[property(name = "device", get, set, type = Option<String>, member = device, mutable_ready,
        nick = "Device", blurb = "auto (the default), cpu, cuda or cuda:N; a device that is asked for and missing is an error")]
    #[property(name = "model-instance-id", get, set, type = Option<String>, member = model_instance_id, mutable_ready,
        nick = "Model instance", blurb = "Elements with the same id, model, device and threads share one loaded model")]
    #[property(name = "threads", get, set, type = u32, member = threads, mutable_ready, maximum = MOST_THREADS,
        default = Settings::default().threads,
        nick = "Threads", blurb = "CPU threads of one inference; 0 takes one for each core")]
    #[property(name = "batch-size", get, set, type = u32, member = batch_size, mutable_ready, maximum = MOST_IMAGES, minimum = 1,
        default = Settings::default().batch_size,
        nick = "Batch size", blurb = "Most faces, of a frame and of all streams that share the model, in one inference; the first element to open a model decides")]
    #[property(name = "batch-timeout", get, set, type = u32, member = batch_timeout, mutable_ready, maximum = 60_000,
        default = Settings::default().batch_timeout,
        nick = "Batch timeout", blurb = "Milliseconds that faces may wait for others until the batch is full; 0 never waits and takes what came during the inference before")]
    #[property(name = "strength", get, set, type = f32, member = strength, mutable_playing, minimum = 0.0, maximum = 1.0,
        default = Settings::default().strength,
        nick = "Strength", blurb = "Share of the translated face in what is shown; 0 leaves faces as they are and runs no inference")]
    settings: Mutex<Settings>,
    #[property(name = "translated-frames", get = |this: &Self| lock(&this.stats).translated_frames, type = u64,
        nick = "Translated frames", blurb = "Frames in which faces were repainted, since the start")]
    #[property(name = "translated-faces", get = |this: &Self| lock(&this.stats).translated_faces, type = u64,
        nick = "Translated faces", blurb = "Faces that were repainted, since the start")]
    stats: Mutex<Stats>,
    state: Mutex<Option<State>>,
}

/// Counts since the start; kept after `stop`, so that they can be read when a stream has ended.
#[derive(Clone, Copy, Default)]
struct Stats {
    translated_frames: u64,
    translated_faces: u64,
}

#[glib::object_subclass]
impl ObjectSubclass for Translate {
    const NAME: &'static str = "GstFerTranslate";
    type Type = super::Translate;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Translate {}

impl GstObjectImpl for Translate {}

impl ElementImpl for Translate {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Expression translator",
                "Filter/Effect/Video",
                "Shows faces with another expression, by an ONNX generator of a CycleGAN",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl UsesModels for Translate {
    /// A generator needs no card, and without one the element does not start.
    fn model_files(&self) -> Result<Vec<PathBuf>, ModelError> {
        Ok(lock(&self.settings).model().map(PathBuf::from).into_iter().collect())
    }
}

impl BaseTransformImpl for Translate {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let model = settings.model().ok_or_else(|| {
            gst::error_msg!(
                gst::ResourceError::Settings,
                ("no generator: set the property `model` to the ONNX file of a CycleGAN's generator")
            )
        })?;
        let translator = settings
            .open(model)
            .map_err(|error| gst::error_msg!(gst::ResourceError::NotFound, ("{error}")))?;
        *lock(&self.stats) = Stats::default();
        gst::info!(CAT, imp = self, "translating with {}", translator.describe());
        let (info, reader, faces) = Default::default();
        *lock(&self.state) = Some(State { translator, info, reader, faces });
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
        if let Some(state) = &mut *lock(&self.state) {
            state.info = Some(info);
        }
        Ok(())
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let strength = lock(&self.settings).strength;
        let mut state = lock(&self.state);
        let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let info = state.info.take().ok_or(gst::FlowError::NotNegotiated)?;
        let result = state.translate(buffer, &info, strength);
        state.info = Some(info);
        match result {
            Ok(faces) => {
                let mut stats = lock(&self.stats);
                stats.translated_frames += u64::from(faces > 0);
                stats.translated_faces += faces as u64;
                Ok(gst::FlowSuccess::Ok)
            }
            Err(error) => {
                gst::element_imp_error!(self, gst::LibraryError::Failed, ("{error}"));
                Err(gst::FlowError::Error)
            }
        }
    }
}
