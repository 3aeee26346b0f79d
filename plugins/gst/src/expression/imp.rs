use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use ferroflow_vision::{
    expression::{ExpressionClassifier, ExpressionError},
    face::{Detection, Emotion, Face},
    inference::{MOST_IMAGES, MOST_THREADS},
    model::{self, ModelError, ModelFile},
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::{
    frame,
    lock::lock,
    meta::{self, FaceReader, FrameSize},
    session::{self, UsesModels},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("ferexpression", gst::DebugColorFlags::empty(), Some("Expression classification"))
});

/// Frames after which the answer for a track that has not been seen is forgotten.
const FORGET_AFTER: u64 = 300;

#[derive(Clone, Debug)]
struct Settings {
    model: Option<String>,
    device: Option<String>,
    model_instance_id: Option<String>,
    threads: u32,
    batch_size: u32,
    batch_timeout: u32,
    reclassify_interval: u32,
    mirrored: bool,
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
            reclassify_interval: 1,
            mirrored: false,
        }
    }
}

impl Settings {
    fn file(&self) -> Result<ModelFile, ModelError> {
        model::resolve_model(self.model.as_deref().unwrap_or(model::DEFAULT_EXPRESSION))
    }

    fn open(&self) -> Result<ExpressionClassifier, ExpressionError> {
        let file = self.file()?;
        let options = session::options(
            self.device.as_deref(),
            self.threads,
            self.model_instance_id.as_deref(),
            self.batch_size,
            self.batch_timeout,
        )?;
        let classifier = ExpressionClassifier::open(&file, &options, self.batch_size as usize)?;
        Ok(classifier.with_mirrored(self.mirrored))
    }
}

/// The last answer for a track.
struct Answer {
    frame: u64,
    emotion: Emotion,
}

/// Alive from `start` to `stop`.
struct State {
    classifier: ExpressionClassifier,
    info: Option<VideoInfo>,
    reader: FaceReader,
    reclassify_interval: u64,
    frame: u64,
    answers: HashMap<u64, Answer>,
    faces: Vec<Face>,
    /// Faces without an answer that still holds.
    unread: Vec<Detection>,
    emotions: Vec<Emotion>,
}

impl State {
    /// The answer that still holds for this face, if its track was classified recently enough: on an earlier
    /// frame, since trackers of others may give two faces of a frame one identity.
    fn held_answer(&self, face: &Face) -> Option<&Emotion> {
        let answer = self.answers.get(&face.track_id?)?;
        let age = self.frame.saturating_sub(answer.frame);
        let holds = age > 0 && (self.reclassify_interval == 0 || age < self.reclassify_interval);
        holds.then_some(&answer.emotion)
    }

    /// Reads the expressions of the buffer's faces into `emotions`, one for each of `faces`.
    fn classify(&mut self, buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), String> {
        self.reader.read(buffer, FrameSize::of(info), &mut self.faces);
        self.frame += 1;
        self.unread.clear();
        self.emotions.clear();
        for index in 0..self.faces.len() {
            if self.held_answer(&self.faces[index]).is_none() {
                self.unread.push(self.faces[index].detection.clone());
            }
        }
        if !self.unread.is_empty() {
            let (classifier, unread, emotions) = (&mut self.classifier, &self.unread, &mut self.emotions);
            frame::with_frame(buffer, info, |frame| classifier.classify(frame, unread, emotions))
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
        }
        let mut fresh = std::mem::take(&mut self.emotions).into_iter();
        for face in &self.faces {
            let emotion = match self.held_answer(face) {
                Some(emotion) => emotion.clone(),
                None => {
                    let Some(emotion) = fresh.next() else { break };
                    if let Some(id) = face.track_id.filter(|_| self.reclassify_interval != 1) {
                        self.answers.insert(id, Answer { frame: self.frame, emotion: emotion.clone() });
                    }
                    emotion
                }
            };
            self.emotions.push(emotion);
        }
        if self.frame.is_multiple_of(FORGET_AFTER) {
            let (seen, frame) = (&self.faces, self.frame);
            self.answers.retain(|id, answer| {
                frame - answer.frame < FORGET_AFTER || seen.iter().any(|face| face.track_id == Some(*id))
            });
        }
        Ok(())
    }
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Expression)]
pub struct Expression {
    #[property(name = "model", get, set, type = Option<String>, member = model, mutable_ready,
        nick = "Model", blurb = "A name in the model manifest or an ONNX file with its card beside it; unset takes the manifest's default")]
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
    #[property(name = "reclassify-interval", get, set, type = u32, member = reclassify_interval, mutable_ready, maximum = 1_000_000,
        default = Settings::default().reclassify_interval,
        nick = "Reclassify interval", blurb = "Classify a tracked face on every n-th frame and repeat the answer between; 0 classifies a track once. Faces without a track are classified always")]
    #[property(name = "mirrored", get, set, type = bool, member = mirrored, mutable_ready, default = Settings::default().mirrored,
        nick = "Mirrored", blurb = "Look at the mirror image of each face too and take the mean of both: a little better, at twice the time")]
    settings: Mutex<Settings>,
    #[property(name = "classified-frames", get = |this: &Self| lock(&this.stats).classified_frames, type = u64,
        nick = "Classified frames", blurb = "Frames on which faces were classified, each in one batch, since the start")]
    #[property(name = "classified-faces", get = |this: &Self| lock(&this.stats).classified_faces, type = u64,
        nick = "Classified faces", blurb = "Faces that were classified, since the start")]
    stats: Mutex<Stats>,
    state: Mutex<Option<State>>,
}

/// Counts since the start; kept after `stop`, so that they can be read when a stream has ended.
#[derive(Clone, Copy, Default)]
struct Stats {
    classified_frames: u64,
    classified_faces: u64,
}

#[glib::object_subclass]
impl ObjectSubclass for Expression {
    const NAME: &'static str = "GstFerExpression";
    type Type = super::Expression;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Expression {}

impl GstObjectImpl for Expression {}

impl ElementImpl for Expression {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Expression classifier",
                "Filter/Analyzer/Video",
                "Reads the expression of each face with an ONNX classifier",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl UsesModels for Expression {
    fn model_files(&self) -> Result<Vec<PathBuf>, ModelError> {
        let file = lock(&self.settings).file()?;
        Ok(file.files().collect())
    }
}

impl BaseTransformImpl for Expression {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let classifier =
            settings.open().map_err(|error| gst::error_msg!(gst::ResourceError::NotFound, ("{error}")))?;
        *lock(&self.stats) = Stats::default();
        gst::info!(CAT, imp = self, "classifying with {}", classifier.describe());
        *lock(&self.state) = Some(State {
            classifier,
            info: None,
            reader: FaceReader::default(),
            reclassify_interval: u64::from(settings.reclassify_interval),
            frame: 0,
            answers: HashMap::new(),
            faces: Vec::new(),
            unread: Vec::new(),
            emotions: Vec::new(),
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
        if let Some(state) = &mut *lock(&self.state) {
            state.info = Some(info);
        }
        Ok(())
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        meta::restore(buffer);
        let mut state = lock(&self.state);
        let state = state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let info = state.info.take().ok_or(gst::FlowError::NotNegotiated)?;
        let result = state.classify(buffer, &info);
        state.info = Some(info);
        if let Err(error) = result {
            gst::element_imp_error!(self, gst::LibraryError::Failed, ("{error}"));
            return Err(gst::FlowError::Error);
        }
        {
            let mut stats = lock(&self.stats);
            stats.classified_frames += u64::from(!state.unread.is_empty());
            stats.classified_faces += state.unread.len() as u64;
        }
        let mut emotions = state.emotions.iter();
        meta::retain_faces(buffer, |face| {
            if let Some(emotion) = emotions.next() {
                meta::add_emotion(face, "emotion", emotion);
            }
            true
        });
        meta::keep(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
    }
}
