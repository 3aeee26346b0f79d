//! A real RTSP server that comes late, dies, freezes and changes its picture: the stream goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::wait_until;
use gst::{glib, prelude::*};
use gst_rtsp_server::prelude::*;

const ENCODED: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0";

/// A camera at `rtsp://127.0.0.1:port/cam`; it goes away when dropped.
struct Camera {
    main_loop: glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Camera {
    /// `freeze` makes a camera that stays connected and sends nothing once it is raised.
    fn start(port: u16, width: u32, height: u32, freeze: &Arc<AtomicBool>) -> Self {
        ferroflow::stream::init().unwrap();
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let (ready, started) = std::sync::mpsc::channel();
        let (inner, freeze) = (main_loop.clone(), Arc::clone(freeze));
        let thread = std::thread::spawn(move || {
            let server = gst_rtsp_server::RTSPServer::new();
            server.set_address("127.0.0.1");
            server.set_service(&port.to_string());
            let factory = gst_rtsp_server::RTSPMediaFactory::new();
            let source = format!(
                "videotestsrc is-live=true name=src ! video/x-raw,width={width},height={height},framerate=15/1 ! {ENCODED}"
            );
            factory.set_launch(&source);
            factory.set_shared(true);
            factory.connect_media_configure(move |_, media| {
                let freeze = Arc::clone(&freeze);
                let source = media.element().downcast::<gst::Bin>().unwrap().by_name("src").unwrap();
                source.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    if freeze.load(Ordering::SeqCst) {
                        gst::PadProbeReturn::Drop
                    } else {
                        gst::PadProbeReturn::Ok
                    }
                });
            });
            server.mount_points().unwrap().add_factory("/cam", factory);
            let id = server.attach(Some(&context)).unwrap();
            ready.send(()).unwrap();
            inner.run();
            server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
            if let Some(source) = context.find_source_by_id(&id) {
                source.destroy();
            }
        });
        started.recv().unwrap();
        Self { main_loop, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.main_loop.quit();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A watched camera: the pipeline under test, and the sizes of the frames that came out of it.
struct Watch {
    pipeline: gst::Pipeline,
    sizes: Arc<std::sync::Mutex<Vec<(i32, i32)>>>,
}

impl Watch {
    fn of(uri: &str) -> Self {
        ferroflow::stream::init().unwrap();
        let chain = format!(
            "fersource name=cam uri={uri} timeout=1500 retry-delay=100 max-retry-delay=400 latency=0 ! \
             ferfacedetect input-size=320 ! fertrack ! fakesink name=out signal-handoffs=true sync=false"
        );
        let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&sizes);
        let sink = pipeline.by_name("out").unwrap().static_pad("sink").unwrap();
        sink.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            let caps = pad.current_caps().unwrap();
            let structure = caps.structure(0).unwrap();
            seen.lock().unwrap().push((structure.get("width").unwrap(), structure.get("height").unwrap()));
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, sizes }
    }

    fn frames(&self) -> usize {
        self.sizes.lock().unwrap().len()
    }

    fn last_size(&self) -> Option<(i32, i32)> {
        self.sizes.lock().unwrap().last().copied()
    }

    fn restarts(&self) -> u64 {
        self.pipeline.by_name("cam").unwrap().property("restarts")
    }

    /// Waits for `more` frames than there are now.
    fn goes_on(&self, more: usize) -> bool {
        let before = self.frames();
        wait_until(Duration::from_secs(20), || self.frames() >= before + more)
    }

    /// The pipeline has neither ended nor failed.
    fn is_alive(&self) -> bool {
        let bad = [gst::MessageType::Error, gst::MessageType::Eos];
        self.pipeline.bus().unwrap().pop_filtered(&bad).is_none()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// A port that nobody listens at.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_camera_that_comes_late_dies_and_comes_back_with_another_picture_is_followed() {
    let port = free_port();
    let watch = Watch::of(&format!("rtsp://127.0.0.1:{port}/cam"));
    std::thread::sleep(Duration::from_millis(800));
    assert!(watch.is_alive() && watch.frames() == 0 && watch.restarts() >= 1);

    let never = Arc::<AtomicBool>::default();
    let camera = Camera::start(port, 320, 240, &never);
    assert!(watch.goes_on(10), "{} frames", watch.frames());
    assert_eq!(watch.last_size(), Some((320, 240)));

    let before = watch.restarts();
    drop(camera);
    assert!(wait_until(Duration::from_secs(10), || watch.restarts() > before));
    assert!(watch.is_alive());

    let _camera = Camera::start(port, 480, 272, &never);
    assert!(
        wait_until(Duration::from_secs(20), || watch.last_size() == Some((480, 272))),
        "{:?}",
        watch.last_size()
    );
    assert!(watch.goes_on(10) && watch.is_alive());
}

#[test]
fn a_camera_that_freezes_is_restarted() {
    let freeze = Arc::<AtomicBool>::default();
    let port = free_port();
    let _camera = Camera::start(port, 320, 240, &freeze);
    let watch = Watch::of(&format!("rtsp://127.0.0.1:{port}/cam"));
    assert!(watch.goes_on(10), "{} frames", watch.frames());
    let before = watch.restarts();
    freeze.store(true, Ordering::SeqCst);
    assert!(wait_until(Duration::from_secs(10), || watch.restarts() > before));
    freeze.store(false, Ordering::SeqCst);
    assert!(watch.goes_on(10) && watch.is_alive());
}

#[test]
fn after_a_pause_frames_come_at_their_time() {
    let never = Arc::<AtomicBool>::default();
    let port = free_port();
    let _camera = Camera::start(port, 320, 240, &never);
    let watch = Watch::of(&format!("rtsp://127.0.0.1:{port}/cam"));
    assert!(watch.goes_on(10), "{} frames", watch.frames());
    watch.pipeline.set_state(gst::State::Paused).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    watch.pipeline.set_state(gst::State::Playing).unwrap();
    let ahead = Arc::new(std::sync::Mutex::new(None));
    let (last, pipeline) = (Arc::clone(&ahead), watch.pipeline.downgrade());
    let sink = watch.pipeline.by_name("out").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let seconds = |time: Option<gst::ClockTime>| time.unwrap().nseconds() as f64 / 1e9;
        let now = seconds(pipeline.upgrade().unwrap().current_running_time());
        *last.lock().unwrap() = Some(seconds(info.buffer().unwrap().pts()) - now);
        gst::PadProbeReturn::Ok
    });
    assert!(watch.goes_on(10) && watch.is_alive());
    let ahead = ahead.lock().unwrap().unwrap();
    assert!((-1.0..0.5).contains(&ahead), "{ahead} s ahead of the clock");
}

#[test]
fn a_paused_source_that_begins_again_is_no_dead_one() {
    ferroflow::stream::init().unwrap();
    let uri = format!("file://{}", common::asset("speech.mp4").display());
    let chain = format!(
        "fersource name=cam uri={uri} retry-delay=1 max-retry-delay=1 max-restarts=1 ! fakesink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let source = pipeline.by_name("cam").unwrap();
    let restarts = || source.property::<u64>("restarts");
    assert!(wait_until(Duration::from_secs(60), || restarts() >= 1));
    pipeline.set_state(gst::State::Paused).unwrap();
    let before = restarts();
    assert!(wait_until(Duration::from_secs(60), || restarts() >= before + 4));
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn time_does_not_go_back_when_a_file_begins_again() {
    ferroflow::stream::init().unwrap();
    let uri = format!("file://{}", common::asset("speech.mp4").display());
    let chain = format!(
        "fersource name=cam uri={uri} retry-delay=1 max-retry-delay=1 ! fakesink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let sink = pipeline.by_name("out").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        seen.lock().unwrap().extend(info.buffer().unwrap().pts());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let source = pipeline.by_name("cam").unwrap();
    assert!(wait_until(Duration::from_secs(60), || source.property::<u64>("restarts") >= 4));
    pipeline.set_state(gst::State::Null).unwrap();
    let times = times.lock().unwrap();
    // Four lives of more than eight seconds each, however fast they were read.
    assert!(times.last() >= Some(&gst::ClockTime::from_seconds(25)), "{:?}", times.last());
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn what_was_filmed_sideways_is_played_upright() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("upright.mp4");
    common::filmed_sideways(&common::asset("speech.mp4"), &video);
    let watch = Watch::of(&format!("file://{}", video.display()));
    assert!(watch.goes_on(10));
    let size = watch.last_size().unwrap();
    assert!(size.0 > size.1, "{size:?}");
}

#[test]
fn a_restart_budget_ends_in_an_error_that_names_the_reason() {
    let chain = "fersource uri=rtsp://127.0.0.1:1/none retry-delay=10 max-restarts=2 ! fakesink";
    let (code, _, stderr) = common::text(&common::run(["launch", chain]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("gave up after the restart budget"), "{stderr}");
}
