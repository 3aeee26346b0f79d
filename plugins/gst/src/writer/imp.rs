use std::{
    path::Path,
    sync::{LazyLock, Mutex},
};

use ferroflow_vision::{face::FrameFaces, record};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use gst_video::VideoInfo;

use super::outlet::Outlet;
use crate::{
    address::without_credentials,
    frame,
    lock::lock,
    meta::{FaceReader, FrameSize},
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("fermeta", gst::DebugColorFlags::empty(), Some("Face metadata writer"))
});

/// How faces are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFerMetaFormat")]
pub enum Format {
    /// One JSON object a frame, in DL Streamer's layout.
    #[default]
    #[enum_value(name = "JSON lines, one a frame", nick = "json-lines")]
    JsonLines,
    /// One row a face, with a header.
    #[enum_value(name = "CSV, one row a face", nick = "csv")]
    Csv,
    /// One element message `ferroflow-faces` a frame, its field `json` as in json-lines.
    #[enum_value(name = "A bus message a frame", nick = "message")]
    Message,
}

#[derive(Clone, Debug)]
struct Settings {
    format: Format,
    location: Option<String>,
    fd: i32,
    source: Option<String>,
    skip_empty: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::default(), location: None, fd: -1, source: None, skip_empty: false }
    }
}

/// Alive from `start` to `stop`.
struct State {
    format: Format,
    skip_empty: bool,
    /// `None` for messages, and after the stream has been completed.
    outlet: Option<Outlet>,
    info: Option<VideoInfo>,
    reader: FaceReader,
    record: FrameFaces,
    line: Vec<u8>,
    /// What was written is complete; frames that come all the same, after a seek, begin anew.
    has_ended: bool,
    /// What was written will never be complete.
    has_failed: bool,
}

/// The element's private part.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::Meta)]
pub struct Meta {
    #[property(name = "format", get, set, type = Format, member = format,
        nick = "Format", blurb = "How faces are written", builder(Format::default()).mutable_ready())]
    #[property(name = "location", get, set, type = Option<String>, member = location, mutable_ready,
        nick = "Location", blurb = "File to write, or - for standard output; it appears under this name when the stream has ended, and replaces an older one")]
    #[property(name = "fd", get, set, type = i32, member = fd, mutable_ready, minimum = -1, default = Settings::default().fd,
        nick = "File descriptor", blurb = "Open descriptor to write to where no location is set; -1 for standard output")]
    #[property(name = "source", get, set, type = Option<String>, member = source, mutable_ready,
        nick = "Source", blurb = "Name of the video or camera in each record; unset takes the pipeline's name")]
    #[property(name = "skip-empty", get, set, type = bool, member = skip_empty, mutable_ready, default = Settings::default().skip_empty,
        nick = "Skip empty", blurb = "Write nothing for frames without a face")]
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Meta {
    const NAME: &'static str = "GstFerMeta";
    type Type = super::Meta;
    type ParentType = gst_base::BaseTransform;
}

#[glib::derived_properties]
impl ObjectImpl for Meta {}

impl GstObjectImpl for Meta {}

impl ElementImpl for Meta {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face metadata writer",
                "Filter/Metadata/Video",
                "Writes the faces of each frame as JSON lines, CSV or bus messages",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        frame::pad_templates()
    }
}

impl Meta {
    fn open(&self, settings: &Settings) -> Result<Option<Outlet>, gst::ErrorMessage> {
        if settings.format == Format::Message {
            return Ok(None);
        }
        let (opened, what) = match (&settings.location, settings.fd) {
            (Some(location), _) if location == "-" => (Ok(Outlet::stdout()), String::new()),
            (Some(location), _) => (Outlet::open(Path::new(location)), location.clone()),
            (None, -1) => (Ok(Outlet::stdout()), String::new()),
            (None, fd) => (Outlet::descriptor(fd), format!("file descriptor {fd}")),
        };
        let opened = opened.and_then(|mut outlet| {
            if settings.format == Format::Csv {
                outlet.write_header(record::csv::HEADER.as_bytes())?;
            }
            let ending = Path::new(&what).extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            if settings.format == Format::JsonLines && ["csv", "parquet"].contains(&ending) {
                gst::element_imp_warning!(
                    self,
                    gst::LibraryError::Settings,
                    ("{what} gets JSON lines; format=csv writes CSV, and `ferroflow batch` Parquet")
                );
            }
            if let Some(older) = outlet.older() {
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::OpenWrite,
                    ("{what} was not completed before: what was written then stays in {}", older.display())
                );
            }
            Ok(outlet)
        });
        opened.map(Some).map_err(|error| {
            gst::error_msg!(gst::ResourceError::OpenWrite, ("{what} cannot be written: {error}"))
        })
    }

    /// Opens what is written to once more: frames come after the end. Who hears of a failure on the bus may ask the
    /// element something at once, so that nothing is locked while it is told.
    fn begin_again(&self) -> Result<(), gst::FlowError> {
        let settings = lock(&self.settings).clone();
        let outlet = self.open(&settings).map_err(|error| {
            self.post_error_message(error);
            gst::FlowError::Error
        })?;
        if let Some(state) = &mut *lock(&self.state) {
            (state.outlet, state.record.frame, state.has_ended) = (outlet, 0, false);
        }
        Ok(())
    }

    /// See [`super::Meta::abandon`].
    pub fn abandon(&self) {
        if let Some(state) = &mut *lock(&self.state) {
            state.has_failed = true;
        }
    }

    /// Completes what has been written. A failure is told on the bus.
    fn finish(&self) {
        let outlet = lock(&self.state).as_mut().filter(|state| !state.has_failed).and_then(|state| {
            state.has_ended = true;
            state.outlet.take()
        });
        if let Some(Err(error)) = outlet.map(Outlet::finish) {
            self.fail(&error, None);
        }
    }

    /// Tells on the bus that no more can be written, and where what was written lies.
    fn fail(&self, error: &std::io::Error, part: Option<&Path>) {
        let target = lock(&self.settings).location.clone().unwrap_or_else(|| "its output".to_owned());
        let kind = if error.kind() == std::io::ErrorKind::StorageFull {
            gst::ResourceError::NoSpaceLeft
        } else {
            gst::ResourceError::Write
        };
        let part = part.map(|part| format!("; what was written before is in {}", part.display()));
        gst::element_imp_error!(
            self,
            kind,
            ("{target} cannot be written: {error}{}", part.unwrap_or_default())
        );
    }
}

impl BaseTransformImpl for Meta {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let source = settings.source.clone().unwrap_or_else(|| {
            let mut top = self.obj().clone().upcast::<gst::Object>();
            while let Some(parent) = top.parent() {
                top = parent;
            }
            top.name().to_string()
        });
        let source = without_credentials(&source).into_owned();
        let record =
            FrameFaces { source: source.into(), frame: 0, pts: None, width: 0, height: 0, faces: Vec::new() };
        *lock(&self.state) = Some(State {
            format: settings.format,
            skip_empty: settings.skip_empty,
            outlet: self.open(&settings)?,
            info: None,
            reader: FaceReader::default(),
            record,
            line: Vec::new(),
            has_ended: false,
            has_failed: false,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Without an end of the stream the file is not whole, and stays under its temporary name.
        if let Some(part) = lock(&self.state).take().and_then(|state| state.outlet?.abandon()) {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Close,
                ("the stream did not come to its end: what was written is in {}", part.display())
            );
        }
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = frame::parse_caps(incaps)?;
        if let Some(state) = &mut *lock(&self.state) {
            (state.record.width, state.record.height) = (info.width(), info.height());
            state.info = Some(info);
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos {
            // Before the event goes on: who sees the end of the stream finds the file complete.
            self.finish();
        }
        self.parent_sink_event(event)
    }

    fn transform_ip_passthrough(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if lock(&self.state).as_ref().is_some_and(|state| state.has_ended) {
            self.begin_again()?;
        }
        let mut guard = lock(&self.state);
        let State { format, skip_empty, outlet, info, reader, record, line, .. } =
            guard.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let info = info.as_ref().ok_or(gst::FlowError::NotNegotiated)?;
        reader.read(buffer, FrameSize::of(info), &mut record.faces);
        record.pts = frame::stream_time(buffer, &self.obj().segment()).map(gst::ClockTime::nseconds);
        line.clear();
        if !(*skip_empty && record.faces.is_empty()) {
            match format {
                Format::JsonLines | Format::Message => record::json::write_line(record, line),
                Format::Csv => record::csv::write_rows(record, line),
            }
        }
        record.frame += 1;
        if line.is_empty() {
            return Ok(gst::FlowSuccess::Ok);
        }
        if *format == Format::Message {
            let json = String::from_utf8_lossy(line).trim_end().to_owned();
            drop(guard);
            let structure = gst::Structure::builder("ferroflow-faces").field("json", json).build();
            let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
            if self.obj().post_message(message).is_err() {
                gst::debug!(CAT, imp = self, "nobody listens on the bus");
            }
            return Ok(gst::FlowSuccess::Ok);
        }
        if let Some(Err(error)) = outlet.as_mut().map(|outlet| outlet.write(line)) {
            // Who reads standard output has seen enough, as `head` has.
            if error.kind() == std::io::ErrorKind::BrokenPipe
                && outlet.as_ref().is_some_and(Outlet::is_stdout)
            {
                *outlet = None;
                return Err(gst::FlowError::Eos);
            }
            // What was written is left as `.part`: it is not whole and must not look so.
            let part = outlet.take().and_then(|outlet| outlet.abandon());
            drop(guard);
            self.fail(&error, part.as_deref());
            return Err(gst::FlowError::Error);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
