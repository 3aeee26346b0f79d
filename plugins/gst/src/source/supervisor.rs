//! The thread that keeps a source's own pipeline running.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gst::{glib, prelude::*};

use super::{backoff::Backoff, event::Event, restamp::Restamper};
use crate::{address::without_credentials, lock::lock, message::describe};

/// How long `rtspsrc` waits for packets over UDP before it asks for TCP, at most: its own default.
const UDP_PATIENCE: Duration = Duration::from_secs(5);

/// How often the supervisor looks whether frames still come.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// What to play and how patiently.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Any address that `uridecodebin` takes.
    pub uri: String,
    /// RTSP jitter buffer.
    pub latency: Duration,
    /// RTSP over TCP rather than UDP.
    pub tcp: bool,
    /// Time without a frame after which the source counts as frozen.
    pub timeout: Duration,
    /// First delay before a restart.
    pub retry_delay: Duration,
    /// Longest delay before a restart.
    pub max_retry_delay: Duration,
    /// Restarts in a row without a frame that are tried; `None` for ever.
    pub max_restarts: Option<u32>,
    /// Frames that may wait for downstream.
    pub max_buffers: u64,
}

/// What the supervisor tells of itself.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames received.
    pub frames: AtomicU64,
    /// Frames dropped because downstream was late.
    pub dropped: AtomicU64,
    /// Times the pipeline was built again.
    pub restarts: AtomicU64,
    /// The element has been paused: nobody takes frames, and the outer clock stands still.
    pub is_paused: AtomicBool,
}

/// A flag that can be waited for.
#[derive(Default)]
pub struct Stop {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Raises the flag and wakes who waits.
    pub fn raise(&self) {
        *lock(&self.raised) = true;
        self.changed.notify_all();
    }

    fn is_raised(&self) -> bool {
        *lock(&self.raised)
    }

    /// Waits until the flag is raised, for `delay` at most; true when it was raised.
    fn wait(&self, delay: Duration) -> bool {
        let raised = lock(&self.raised);
        let waited = self.changed.wait_timeout_while(raised, delay, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Why one life of the pipeline ended.
enum End {
    Stopped,
    Failed(String),
}

/// Runs lives of the pipeline one after the other until it is stopped or the budget is spent.
pub fn supervise(
    plan: &Plan,
    outlet: &gst_app::AppSrc,
    counters: &Arc<Counters>,
    stop: &Stop,
    tell: &dyn Fn(Event),
) {
    let mut backoff = Backoff::new(plan.retry_delay, plan.max_retry_delay);
    let end_of_frames = Arc::<Mutex<gst::ClockTime>>::default();
    while !stop.is_raised() {
        let before = counters.frames.load(Ordering::Relaxed);
        let end = run_once(plan, outlet, counters, &end_of_frames, stop, tell)
            .unwrap_or_else(|error| End::Failed(error.to_string()));
        let End::Failed(reason) = end else { return };
        if counters.frames.load(Ordering::Relaxed) > before {
            backoff.succeed();
        }
        if plan.max_restarts.is_some_and(|budget| backoff.failures() >= budget) {
            tell(Event::GaveUp { reason });
            return;
        }
        let delay = backoff.fail();
        tell(Event::Retrying { reason, delay });
        if stop.wait(delay) {
            return;
        }
        counters.restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// One life: builds the pipeline, plays it, watches it, takes it down.
fn run_once(
    plan: &Plan,
    outlet: &gst_app::AppSrc,
    counters: &Arc<Counters>,
    end_of_frames: &Arc<Mutex<gst::ClockTime>>,
    stop: &Stop,
    tell: &dyn Fn(Event),
) -> Result<End, glib::BoolError> {
    let pipeline = gst::Pipeline::new();
    let decoder = gst::ElementFactory::make("uridecodebin").property("uri", &plan.uri).build()?;
    if let Ok(pads) = "video/x-raw(ANY)".parse::<gst::Caps>() {
        decoder.set_property("caps", pads);
    }
    let (latency, tcp) = (plan.latency, plan.tcp);
    // Before the source counts as frozen, which would have it ask for UDP again.
    let udp_patience = UDP_PATIENCE.min(plan.timeout / 2);
    decoder.connect("source-setup", false, move |values| {
        let source = values.get(1)?.get::<gst::Element>().ok()?;
        if source.factory().is_some_and(|factory| factory.name() == "rtspsrc") {
            source.set_property("latency", u32::try_from(latency.as_millis()).unwrap_or(u32::MAX));
            source.set_property_from_str("protocols", if tcp { "tcp" } else { "udp+tcp" });
            source.set_property("timeout", u64::try_from(udp_patience.as_micros()).unwrap_or(u64::MAX));
        }
        None
    });
    let last_frame = Arc::new(Mutex::new(Instant::now()));
    let sink = frame_sink(plan, outlet, counters, &last_frame, Restamper::new(Arc::clone(end_of_frames)));
    // All three pass on as it is what our elements take, what was not filmed on its side, and what has square pixels.
    let convert = gst::ElementFactory::make("videoconvert").build()?;
    let upright =
        gst::ElementFactory::make("videoflip").property_from_str("video-direction", "auto").build()?;
    let square = gst::ElementFactory::make("videoscale").build()?;
    pipeline.add_many([&decoder, &convert, &upright, &square, sink.upcast_ref()])?;
    gst::Element::link_many([&convert, &upright, &square, sink.upcast_ref()])?;
    let convert_to =
        convert.static_pad("sink").ok_or_else(|| glib::bool_error!("videoconvert has no sink pad"))?;
    decoder.connect_pad_added(move |_, pad| {
        let is_video =
            pad.current_caps().and_then(|caps| Some(caps.structure(0)?.name().starts_with("video/")));
        if is_video == Some(true) && !convert_to.is_linked() {
            // A failure to link ends in a not-linked error on the bus, which is where it is reported.
            let _ = pad.link(&convert_to);
        }
    });
    let bus = pipeline.bus().ok_or_else(|| glib::bool_error!("the pipeline has no bus"))?;
    let end = match pipeline.set_state(gst::State::Playing) {
        Err(_) => End::Failed(
            first_error(&bus)
                .unwrap_or_else(|| format!("{} cannot be played", without_credentials(&plan.uri))),
        ),
        Ok(_) => watch(plan, &bus, counters, &last_frame, stop, tell),
    };
    // The sink may wait inside the outlet; a pipeline that cannot be stopped would keep its threads and memory.
    pipeline
        .set_state(gst::State::Null)
        .map_err(|_| glib::bool_error!("a source's pipeline could not be stopped"))?;
    Ok(end)
}

fn watch(
    plan: &Plan,
    bus: &gst::Bus,
    counters: &Counters,
    last_frame: &Mutex<Instant>,
    stop: &Stop,
    tell: &dyn Fn(Event),
) -> End {
    let before = counters.frames.load(Ordering::Relaxed);
    let mut playing = false;
    loop {
        if stop.is_raised() {
            return End::Stopped;
        }
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        if let Some(message) = bus.timed_pop_filtered(TICK, &wanted) {
            return End::Failed(match message.view() {
                gst::MessageView::Error(error) => describe(error),
                _ => "the stream ended".to_owned(),
            });
        }
        if !playing && counters.frames.load(Ordering::Relaxed) > before {
            playing = true;
            tell(Event::Playing);
        }
        let silence = lock(last_frame).elapsed();
        if silence > plan.timeout {
            return End::Failed(format!("no frames for {:.1} s", silence.as_secs_f32()));
        }
    }
}

fn first_error(bus: &gst::Bus) -> Option<String> {
    let message = bus.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(describe(error)),
        _ => None,
    }
}

/// The end of the source's pipeline: stamps each frame with the outer running time and hands it on.
fn frame_sink(
    plan: &Plan,
    outlet: &gst_app::AppSrc,
    counters: &Arc<Counters>,
    last_frame: &Arc<Mutex<Instant>>,
    mut stamps: Restamper,
) -> gst_app::AppSink {
    let (outlet, counters, last_frame) = (outlet.clone(), Arc::clone(counters), Arc::clone(last_frame));
    let max_buffers = plan.max_buffers;
    let deliver = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (mut buffer, Some(caps)) =
            (sample.buffer_owned().ok_or(gst::FlowError::Error)?, sample.caps_owned())
        else {
            return Err(gst::FlowError::NotNegotiated);
        };
        *lock(&last_frame) = Instant::now();
        // Also while nobody takes it: the source is alive.
        counters.frames.fetch_add(1, Ordering::Relaxed);
        if counters.is_paused.load(Ordering::SeqCst) {
            stamps.pause();
            counters.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(gst::FlowSuccess::Ok);
        }
        // Where a file is trimmed by its container, presentation times jump and running times go on.
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let time =
            buffer.pts().map(|pts| segment.and_then(|segment| segment.to_running_time(pts)).unwrap_or(pts));
        let now = outlet.current_running_time().unwrap_or_default();
        let pts = stamps.stamp(time, now, buffer.duration());
        let frame = buffer.make_mut();
        frame.set_pts(pts);
        frame.set_dts(gst::ClockTime::NONE);
        if outlet.current_level_buffers() >= max_buffers {
            counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let frame = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
        // While downstream flushes or stops there is nobody to hand frames to; the supervisor ends this life.
        outlet.push_sample(&frame)
    };
    let sink = gst_app::AppSink::builder()
        .caps(&crate::frame::square(&crate::frame::CAPS))
        .sync(is_recording(&plan.uri))
        .max_buffers(1)
        .enable_last_sample(false)
        .callbacks(gst_app::AppSinkCallbacks::builder().new_sample(deliver).build())
        .build();
    sink.set_property("qos", false);
    sink
}

/// Whether it is played at the pace of the clock, as a camera would film it: read as fast as it can be, most of it would be dropped.
fn is_recording(uri: &str) -> bool {
    let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme);
    ["file", "http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}
