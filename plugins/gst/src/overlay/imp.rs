use std::{
    fmt::Write,
    sync::{LazyLock, Mutex},
    time::Instant,
};

use ferroflow_vision::face::Face;
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use super::{
    canvas::Canvas,
    panel::{self, Parts},
    text::Text,
};
use crate::{
    frame,
    lock::lock,
    meta::{FaceReader, FrameSize},
};

#[derive(Clone, Debug)]
struct Settings {
    labels: bool,
    scores: bool,
    fps: bool,
    font_size: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { labels: true, scores: true, fps: true, font_size: 0 }
    }
}

/// Frames a second over the last whole second or so.
struct Rate {
    since: Instant,
    frames: u32,
    shown: String,
}

impl Rate {
    fn tick(&mut self) -> &str {
        self.frames += 1;
        let elapsed = self.since.elapsed().as_secs_f32();
        if elapsed >= 1.0 {
            self.shown.clear();
            let _ = write!(self.shown, "{:.1} fps", self.frames as f32 / elapsed);
            (self.since, self.frames) = (Instant::now(), 0);
        }
        &self.shown
    }
}

/// Alive from `set_caps` to `stop`.
struct State {
    info: VideoInfo,
    reader: FaceReader,
    faces: Vec<Face>,
    text: Text,
    title: String,
    rate: Rate,
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Overlay)]
pub struct Overlay {
    #[property(name = "labels", get, set, type = bool, member = labels, mutable_playing, default = Settings::default().labels,
        nick = "Labels", blurb = "Write identity, expression and confidence above each box")]
    #[property(name = "scores", get, set, type = bool, member = scores, mutable_playing, default = Settings::default().scores,
        nick = "Scores", blurb = "Draw the score of every class as a bar")]
    #[property(name = "fps", get, set, type = bool, member = fps, mutable_playing, default = Settings::default().fps,
        nick = "Frames a second", blurb = "Write how many frames a second pass here")]
    #[property(name = "font-size", get, set, type = u32, member = font_size, mutable_ready, maximum = 200,
        default = Settings::default().font_size,
        nick = "Font size", blurb = "Height of a line of text in pixels; 0 takes a thirtieth of the frame's height")]
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Overlay {
    const NAME: &'static str = "GstFerOverlay";
    type Type = super::Overlay;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Overlay {}

impl GstObjectImpl for Overlay {}

impl ElementImpl for Overlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face overlay",
                "Filter/Effect/Video",
                "Draws boxes, identities, expressions and scores into the frame",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl BaseTransformImpl for Overlay {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

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
        let size = match lock(&self.settings).font_size {
            0 => (info.height() as f32 / 30.0).clamp(9.0, 60.0),
            size => size as f32,
        };
        let rate = Rate { since: Instant::now(), frames: 0, shown: String::new() };
        let (reader, faces, title) = Default::default();
        *lock(&self.state) = Some(State { info, reader, faces, text: Text::new(size), title, rate });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        Ok(())
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = lock(&self.settings).clone();
        let mut state = lock(&self.state);
        let State { info, reader, faces, text, title, rate } =
            state.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        reader.read(buffer, FrameSize::of(info), faces);
        let drawn = frame::with_frame_mut(buffer, info, |frame| {
            let mut canvas = Canvas::new(frame);
            for face in faces.iter() {
                let parts = Parts { labels: settings.labels, scores: settings.scores };
                panel::draw(&mut canvas, text, face, parts, title);
            }
            let fps = rate.tick();
            if settings.fps && !fps.is_empty() {
                let row = text.line_height();
                let width = text.width(fps);
                canvas.fill(0, 0, width + row / 2, row + 2, [16, 18, 24], 150);
                text.draw(&mut canvas, row / 4, 1, fps, [255, 255, 255]);
            }
        });
        if let Err(error) = drawn {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            return Err(gst::FlowError::Error);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
