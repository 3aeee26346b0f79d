use std::{
    sync::{Arc, LazyLock, Mutex, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::{
    event::Event,
    supervisor::{self, Counters, Plan, Stop},
};
use crate::{address::without_credentials, frame, lock::lock};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("fersource", gst::DebugColorFlags::empty(), Some("Supervised source"))
});

#[derive(Clone, Debug)]
struct Settings {
    uri: Option<String>,
    latency: u32,
    tcp: bool,
    timeout: u32,
    retry_delay: u32,
    max_retry_delay: u32,
    max_restarts: i32,
    max_buffers: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            latency: 200,
            tcp: true,
            timeout: 5_000,
            retry_delay: 500,
            max_retry_delay: 30_000,
            max_restarts: -1,
            max_buffers: 4,
        }
    }
}

impl Settings {
    fn plan(&self) -> Option<Plan> {
        let ms = |value: u32| Duration::from_millis(u64::from(value));
        Some(Plan {
            uri: self.uri.clone()?,
            latency: ms(self.latency),
            tcp: self.tcp,
            timeout: ms(self.timeout),
            retry_delay: ms(self.retry_delay),
            max_retry_delay: ms(self.max_retry_delay),
            max_restarts: u32::try_from(self.max_restarts).ok(),
            max_buffers: u64::from(self.max_buffers),
        })
    }
}

/// Alive from PAUSED to READY.
struct Running {
    stop: Arc<Stop>,
    supervisor: JoinHandle<()>,
}

/// The element's private part.
#[derive(glib::Properties)]
#[properties(wrapper_type = super::Source)]
pub struct Source {
    #[property(name = "uri", get, set, type = Option<String>, member = uri, mutable_ready,
        nick = "Address", blurb = "What to play: rtsp://, http://, file://, v4l2:// or any address uridecodebin takes")]
    #[property(name = "latency", get, set, type = u32, member = latency, mutable_ready, maximum = 60_000, default = Settings::default().latency,
        nick = "Latency", blurb = "RTSP: milliseconds of jitter buffer")]
    #[property(name = "tcp", get, set, type = bool, member = tcp, mutable_ready, default = Settings::default().tcp,
        nick = "TCP", blurb = "RTSP: carry the stream over TCP; false tries UDP first")]
    #[property(name = "timeout", get, set, type = u32, member = timeout, mutable_ready, maximum = 86_400_000, minimum = 100, default = Settings::default().timeout,
        nick = "Timeout", blurb = "Milliseconds without a frame after which the source counts as frozen and is restarted")]
    #[property(name = "retry-delay", get, set, type = u32, member = retry_delay, mutable_ready, maximum = 86_400_000, default = Settings::default().retry_delay,
        nick = "Retry delay", blurb = "Milliseconds before the first restart; doubled with each that brings no frame")]
    #[property(name = "max-retry-delay", get, set, type = u32, member = max_retry_delay, mutable_ready, maximum = 86_400_000, default = Settings::default().max_retry_delay,
        nick = "Longest retry delay", blurb = "Milliseconds that the delay between restarts does not exceed")]
    #[property(name = "max-restarts", get, set, type = i32, member = max_restarts, mutable_ready, minimum = -1, default = Settings::default().max_restarts,
        nick = "Restart budget", blurb = "Restarts in a row without a single frame before the element gives up with an error; -1 never gives up")]
    #[property(name = "max-buffers", get, set, type = u32, member = max_buffers, mutable_ready, maximum = 10_000, minimum = 1, default = Settings::default().max_buffers,
        nick = "Waiting frames", blurb = "Frames that may wait for downstream; beyond that the oldest is dropped and counted")]
    settings: Mutex<Settings>,
    #[property(name = "frames", get = |this: &Self| this.counters.frames.load(Ordering::Relaxed), type = u64,
        nick = "Frames", blurb = "Frames received so far")]
    #[property(name = "dropped", get = |this: &Self| this.counters.dropped.load(Ordering::Relaxed), type = u64,
        nick = "Dropped", blurb = "Frames dropped because downstream was late")]
    #[property(name = "restarts", get = |this: &Self| this.counters.restarts.load(Ordering::Relaxed), type = u64,
        nick = "Restarts", blurb = "Times the source was restarted")]
    counters: Arc<Counters>,
    outlet: gst_app::AppSrc,
    running: Mutex<Option<Running>>,
}

impl Default for Source {
    fn default() -> Self {
        let outlet = gst_app::AppSrc::builder()
            .is_live(true)
            .format(gst::Format::Time)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            // Frames are counted, whatever their size: its default would hold less than one of a large picture.
            .max_bytes(0)
            .build();
        Self { settings: Mutex::default(), counters: Arc::default(), outlet, running: Mutex::default() }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Source {
    const NAME: &'static str = "GstFerSource";
    type Type = super::Source;
    type ParentType = gst::Bin;
}

#[glib::derived_properties]
impl ObjectImpl for Source {
    fn constructed(&self) {
        self.parent_constructed();
        let bin = self.obj();
        bin.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
        bin.set_element_flags(gst::ElementFlags::SOURCE);
        let template = bin.pad_template("src");
        let inner = self.outlet.static_pad("src");
        if let (Ok(()), Some(template), Some(inner)) = (bin.add(&self.outlet), template, inner)
            && let Ok(pad) = gst::GhostPad::from_template_with_target(&template, &inner)
        {
            // Adding the only pad of a new element cannot collide with another.
            let _ = bin.add_pad(&pad);
        }
    }
}

impl GstObjectImpl for Source {}

impl BinImpl for Source {}

impl ElementImpl for Source {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Supervised video source",
                "Source/Network/Video",
                "Plays a camera's address and restarts it when it fails, ends or freezes",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let always = gst::PadPresence::Always;
            gst::PadTemplate::new("src", gst::PadDirection::Src, always, &frame::CAPS).into_iter().collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.counters.is_paused.store(transition == gst::StateChange::PlayingToPaused, Ordering::SeqCst);
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            gst::StateChange::PausedToReady => self.raise_stop(),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.join();
        }
        Ok(success)
    }
}

impl Source {
    fn start(&self) -> Result<(), gst::StateChangeError> {
        let Some(plan) = lock(&self.settings).plan() else {
            gst::element_imp_error!(
                self,
                gst::ResourceError::NotFound,
                ("no address: set the property `uri`")
            );
            return Err(gst::StateChangeError);
        };
        // An address that can never work is no camera that may come back.
        if gst::Element::make_from_uri(gst::URIType::Src, &plan.uri, None).is_err() {
            let advice = "write rtsp://, http://, file:// or another that GStreamer has an element for";
            gst::element_imp_error!(
                self,
                gst::ResourceError::NotFound,
                ("`{}` is no address that can be played: {advice}", without_credentials(&plan.uri))
            );
            return Err(gst::StateChangeError);
        }
        self.outlet.set_max_buffers(plan.max_buffers);
        let (stop, counters, outlet) =
            (Arc::<Stop>::default(), Arc::clone(&self.counters), self.outlet.clone());
        let element = self.obj().downgrade();
        let supervisor = {
            let stop = Arc::clone(&stop);
            let run = move || {
                let tell = |event| {
                    if let Some(element) = element.upgrade() {
                        element.imp().report(&event);
                    }
                };
                supervisor::supervise(&plan, &outlet, &counters, &stop, &tell);
            };
            std::thread::Builder::new().name(format!("{}:supervisor", self.obj().name())).spawn(run)
        };
        let supervisor = supervisor.map_err(|error| {
            gst::element_imp_error!(self, gst::ResourceError::Failed, ("no thread for the source: {error}"));
            gst::StateChangeError
        })?;
        *lock(&self.running) = Some(Running { stop, supervisor });
        Ok(())
    }

    fn raise_stop(&self) {
        if let Some(running) = &*lock(&self.running) {
            running.stop.raise();
        }
    }

    fn join(&self) {
        let running = lock(&self.running).take();
        // A supervisor that panicked has nothing left to clean up that its pipeline's drop does not.
        let _ = running.map(|running| running.supervisor.join());
    }

    /// Tells the log, the metrics and the bus.
    fn report(&self, event: &Event) {
        let name = self.obj().name().to_string();
        let up = metrics::gauge!("ferroflow_source_up", "element" => name.clone());
        match event {
            Event::Playing => {
                gst::info!(CAT, imp = self, "frames are coming");
                up.set(1.0);
            }
            Event::Retrying { reason, delay } => {
                gst::warning!(CAT, imp = self, "{reason}; trying again in {delay:?}");
                up.set(0.0);
                metrics::counter!("ferroflow_source_restarts_total", "element" => name).increment(1);
            }
            Event::GaveUp { reason } => {
                up.set(0.0);
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::OpenRead,
                    ("gave up after the restart budget: {reason}")
                );
            }
        }
        let message = gst::message::Element::builder(event.to_structure()).src(&*self.obj()).build();
        // Without a bus there is nobody to tell.
        let _ = self.obj().post_message(message);
    }
}
