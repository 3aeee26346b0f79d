use std::sync::{LazyLock, Mutex};

use ferroflow_vision::{
    face::{Emotion, Face},
    smooth::{Smoother, SmootherConfig},
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::{
    frame,
    lock::lock,
    meta::{self, FaceReader, FrameSize},
};

/// Seconds after which a track that has not been seen is forgotten.
const FORGET_AFTER: f64 = 30.0;

/// Alive from `start` to `stop`.
struct State {
    smoother: Smoother,
    info: Option<VideoInfo>,
    reader: FaceReader,
    faces: Vec<Face>,
    /// Presentation time of the last frame, in seconds.
    time: f64,
    forgot: f64,
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Smooth)]
pub struct Smooth {
    #[property(name = "time-constant", get, set, type = f32, member = time_constant, mutable_ready, minimum = 0.0, maximum = 60.0,
        default = SmootherConfig::default().time_constant,
        nick = "Time constant", blurb = "Seconds after which a lasting change has shown by 63 %; 0 smooths nothing")]
    #[property(name = "switch-margin", get, set, type = f32, member = switch_margin, mutable_ready, minimum = 0.0, maximum = 1.0,
        default = SmootherConfig::default().switch_margin,
        nick = "Switch margin", blurb = "By how much another class must lead the present label")]
    #[property(name = "switch-time", get, set, type = f32, member = switch_time, mutable_ready, minimum = 0.0, maximum = 60.0,
        default = SmootherConfig::default().switch_time,
        nick = "Switch time", blurb = "For how many seconds it must lead before the label changes")]
    settings: Mutex<SmootherConfig>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Smooth {
    const NAME: &'static str = "GstFerSmooth";
    type Type = super::Smooth;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Smooth {}

impl GstObjectImpl for Smooth {}

impl ElementImpl for Smooth {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Expression smoother",
                "Filter/Analyzer/Video",
                "Steadies the scores and the label of each tracked face",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl BaseTransformImpl for Smooth {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let smoother = Smoother::new(lock(&self.settings).clone())
            .map_err(|error| gst::error_msg!(gst::LibraryError::Settings, ("{error}")))?;
        let (info, reader, faces) = Default::default();
        *lock(&self.state) = Some(State { smoother, info, reader, faces, time: 0.0, forgot: 0.0 });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
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
        let State { smoother, info, reader, faces, time, forgot } =
            state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let info = info.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let size = FrameSize::of(info);
        *time = frame::time(buffer, info, *time);
        if *time - *forgot > FORGET_AFTER {
            smoother.forget(*time, FORGET_AFTER);
            *forgot = *time;
        }
        reader.read(buffer, size, faces);
        let mut faces = faces.iter();
        meta::retain_faces(buffer, |region| {
            if let Some(Face { track_id: Some(id), emotion: Some(emotion), .. }) = faces.next() {
                let (scores, label_id) = smoother.update(*id, &emotion.scores, *time);
                let smoothed = Emotion { scores: scores.to_vec(), label_id, ..emotion.clone() };
                meta::add_emotion(region, "smoothed", &smoothed);
            }
            true
        });
        meta::keep(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
    }
}
