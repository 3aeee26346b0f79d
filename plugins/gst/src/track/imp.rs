use std::sync::{LazyLock, Mutex};

use ferroflow_vision::{
    face::{Detection, Face},
    geometry::Rect,
    track::{SceneCutDetector, Tracker, TrackerConfig},
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use crate::{
    frame,
    lock::lock,
    meta::{self, FaceReader, FrameSize},
};

#[derive(Clone, Debug)]
struct Settings {
    config: TrackerConfig,
    keep_untracked: bool,
    cuts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { config: TrackerConfig::default(), keep_untracked: false, cuts: true }
    }
}

/// A gap in the stream, in seconds, after which what is seen has nothing to do with what was, where frames
/// came faster before.
const GAP: f64 = 2.0;

/// Alive from `start` to `stop`.
struct State {
    tracker: Tracker,
    /// Presentation time of the last frame, and how long after the one before that, in seconds.
    time: Option<(f64, f64)>,
    /// Which stream the frames are of.
    stream: Option<String>,
    /// Looks for cuts, where that is wanted.
    cuts: Option<SceneCutDetector>,
    keep_untracked: bool,
    info: Option<VideoInfo>,
    reader: FaceReader,
    faces: Vec<Face>,
    detections: Vec<(Rect, f32)>,
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Track)]
pub struct Track {
    #[property(name = "track-threshold", get = |this: &Self| lock(&this.settings).config.track_threshold, set = |this: &Self, v| lock(&this.settings).config.track_threshold = v,
        type = f32, mutable_ready, minimum = 0.0, maximum = 1.0, default = Settings::default().config.track_threshold,
        nick = "Track threshold", blurb = "Confidence from which a detection is matched first and may begin a track")]
    #[property(name = "low-threshold", get = |this: &Self| lock(&this.settings).config.low_threshold, set = |this: &Self, v| lock(&this.settings).config.low_threshold = v,
        type = f32, mutable_ready, minimum = 0.0, maximum = 1.0, default = Settings::default().config.low_threshold,
        nick = "Low threshold", blurb = "Confidence below which a detection is ignored; those between keep tracks alive")]
    #[property(name = "iou-threshold", get = |this: &Self| lock(&this.settings).config.match_iou, set = |this: &Self, v| lock(&this.settings).config.match_iou = v,
        type = f32, mutable_ready, minimum = 0.0, maximum = 1.0, default = Settings::default().config.match_iou,
        nick = "IoU threshold", blurb = "Least overlap of a strong detection with a track's predicted box")]
    #[property(name = "low-iou-threshold", get = |this: &Self| lock(&this.settings).config.low_match_iou, set = |this: &Self, v| lock(&this.settings).config.low_match_iou = v,
        type = f32, mutable_ready, minimum = 0.0, maximum = 1.0, default = Settings::default().config.low_match_iou,
        nick = "Low IoU threshold", blurb = "Least overlap of a weak detection with a track's predicted box")]
    #[property(name = "max-lost", get = |this: &Self| lock(&this.settings).config.max_lost, set = |this: &Self, v| lock(&this.settings).config.max_lost = v,
        type = u32, mutable_ready, maximum = 1_000_000, default = Settings::default().config.max_lost,
        nick = "Max lost", blurb = "Frames for which a face out of sight keeps its identity")]
    #[property(name = "min-hits", get = |this: &Self| lock(&this.settings).config.min_hits, set = |this: &Self, v| lock(&this.settings).config.min_hits = v,
        type = u32, mutable_ready, minimum = 1, maximum = 1_000_000, default = Settings::default().config.min_hits,
        nick = "Min hits", blurb = "Detections in a row that a new face needs before it gets an identity")]
    #[property(name = "keep-untracked", get = |this: &Self| lock(&this.settings).keep_untracked, set = |this: &Self, v| lock(&this.settings).keep_untracked = v,
        type = bool, mutable_ready, default = Settings::default().keep_untracked,
        nick = "Keep untracked", blurb = "Leave faces without an identity on the frame")]
    #[property(name = "cuts", get = |this: &Self| lock(&this.settings).cuts, set = |this: &Self, v| lock(&this.settings).cuts = v,
        type = bool, mutable_ready, default = Settings::default().cuts,
        nick = "Cuts", blurb = "Begin anew with each scene, so that no identity passes to whoever is in the same place in the next")]
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Track {
    const NAME: &'static str = "GstFerTrack";
    type Type = super::Track;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Track {}

impl GstObjectImpl for Track {}

impl ElementImpl for Track {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face tracker",
                "Filter/Analyzer/Video",
                "Gives each face an identity across frames (Kalman filter and overlap, after ByteTrack)",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl BaseTransformImpl for Track {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let tracker = Tracker::new(settings.config)
            .map_err(|error| gst::error_msg!(gst::LibraryError::Settings, ("{error}")))?;
        let (info, reader, faces, detections) = Default::default();
        let (keep_untracked, cuts) = (settings.keep_untracked, settings.cuts.then(SceneCutDetector::default));
        *lock(&self.state) = Some(State {
            tracker,
            time: None,
            stream: None,
            cuts,
            keep_untracked,
            info,
            reader,
            faces,
            detections,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = frame::parse_caps(incaps)?;
        if let Some(state) = &mut *lock(&self.state) {
            let size = |info: &VideoInfo| (info.width(), info.height());
            if state.info.as_ref().is_some_and(|before| size(before) != size(&info)) {
                state.tracker.reset();
            }
            state.info = Some(info);
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if let Some(state) = &mut *lock(&self.state) {
            let is_another = match event.view() {
                gst::EventView::FlushStop(_) => true,
                // Another camera, where an `input-selector` stands before.
                gst::EventView::StreamStart(start) => {
                    let before = state.stream.replace(start.stream_id().to_owned());
                    before.is_some() && before != state.stream
                }
                _ => false,
            };
            if is_another {
                state.tracker.reset();
                state.time = None;
            }
        }
        self.parent_sink_event(event)
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        meta::restore(buffer);
        let mut state = lock(&self.state);
        let State { tracker, time, cuts, keep_untracked, info, reader, faces, detections, .. } =
            state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let info = info.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        let size = FrameSize::of(info);
        let (before, interval) = time.unwrap_or_default();
        let now = frame::time(buffer, info, before);
        if time.is_some() && !(0.0..GAP.max(10.0 * interval)).contains(&(now - before)) {
            tracker.reset();
        }
        // A frame that cannot be looked at is the next element's to complain about.
        let is_cut = |cuts: &mut SceneCutDetector| {
            frame::with_frame(buffer, info, |frame| cuts.is_cut(frame)).unwrap_or_default()
        };
        if cuts.as_mut().is_some_and(is_cut) {
            tracker.reset();
        }
        *time = Some((now, if time.is_some() { (now - before).max(0.0) } else { 0.0 }));
        if meta::is_skipped(buffer) {
            for &(id, predicted) in tracker.skip() {
                let inside = predicted.clamped(size.width, size.height);
                if inside.is_valid() {
                    let detection =
                        Detection { box_in_frame: predicted, confidence: 0.0, landmarks_in_frame: None };
                    meta::set_track_id(&mut meta::add_face(buffer, &detection, size), id);
                }
            }
            return meta::keep(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error);
        }
        reader.read(buffer, size, faces);
        detections.clear();
        detections.extend(faces.iter().map(|face| (face.detection.box_in_frame, face.detection.confidence)));
        let mut ids = tracker.update(detections).iter();
        meta::retain_faces(buffer, |face| match ids.next() {
            Some(Some(id)) => {
                meta::set_track_id(face, *id);
                true
            }
            _ => *keep_untracked,
        });
        meta::keep(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Error)
    }
}
