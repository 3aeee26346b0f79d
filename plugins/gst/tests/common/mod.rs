//! What the tests of the elements share: frames of real pictures, elements in a harness.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Once;

use ferroflow_vision::face::Face;
use gst::prelude::*;
use gst_check::Harness;
use gstferroflow::meta::{FaceReader, FrameSize};

/// Starts GStreamer with our elements, once.
pub fn init() {
    static START: Once = Once::new();
    START.call_once(|| {
        gst::init().unwrap();
        gstferroflow::plugin_register_static().unwrap();
    });
}

/// A file of the model manifest.
pub fn asset(name: &str) -> String {
    let path =
        ferroflow_vision::model::asset_path(name).unwrap_or_else(|error| panic!("{error}: run `make setup`"));
    path.to_string_lossy().into_owned()
}

/// Runs a pipeline whose sink is `appsink name=out` to its end and answers all samples.
pub fn samples(description: &str) -> Vec<gst::Sample> {
    init();
    let pipeline = gst::parse::launch(description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    sink.set_property("sync", false);
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        samples.push(sample);
    }
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// The sheet of sixteen faces as one frame.
pub fn sheet(format: &str, width: u32, height: u32) -> gst::Sample {
    let path = asset("expressions.jpg");
    let caps = format!("video/x-raw,format={format},width={width},height={height}");
    let description =
        format!("filesrc location={path} ! jpegdec ! videoconvertscale ! {caps} ! appsink name=out");
    samples(&description).remove(0)
}

/// A test picture of any size and format.
pub fn pattern(format: &str, width: u32, height: u32) -> gst::Sample {
    let caps = format!("video/x-raw,format={format},width={width},height={height}");
    samples(&format!("videotestsrc num-buffers=1 ! videoconvert ! {caps} ! appsink name=out")).remove(0)
}

/// A harness around a chain of elements, ready for frames like `sample`.
pub fn harness(chain: &str, sample: &gst::Sample) -> Harness {
    init();
    let mut harness = Harness::new_parse(chain);
    harness.set_src_caps(sample.caps_owned().unwrap());
    harness
}

/// Sends a frame through a chain of elements.
pub fn through(chain: &str, sample: &gst::Sample) -> gst::Buffer {
    harness(chain, sample).push_and_pull(sample.buffer_owned().unwrap()).unwrap()
}

/// The faces on a frame.
pub fn faces(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Vec<Face> {
    let info = gst_video::VideoInfo::from_caps(caps).unwrap();
    let mut faces = Vec::new();
    FaceReader::default().read(buffer, FrameSize::of(&info), &mut faces);
    faces
}

/// Starts an element that must not start, and answers what it says.
pub fn refusal(description: &str) -> String {
    init();
    let chain = format!("videotestsrc num-buffers=3 ! {description} ! fakesink");
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let message = bus
        .timed_pop_filtered(
            gst::ClockTime::from_seconds(20),
            &[gst::MessageType::Error, gst::MessageType::Eos],
        )
        .unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error().message().to_owned(),
        _ => panic!("`{description}` ran to the end"),
    }
}
