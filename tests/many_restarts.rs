//! A source that fails for days does not grow. Alone in its process, whose memory it measures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::wait_until;
use gst::prelude::*;

#[test]
fn many_restarts_lose_no_memory() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    ferroflow::stream::init().unwrap();
    // A file that ends after a few frames: each end is a restart.
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    common::launch(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,framerate=100/1 ! x264enc ! mp4mux ! filesink location={}",
        clip.display()
    ));
    let uri = format!("file://{}", clip.display());
    let chain = format!("fersource name=cam uri={uri} retry-delay=1 max-retry-delay=1 ! fakesink sync=false");
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let source = pipeline.by_name("cam").unwrap();
    let restarts =
        |least: u64| wait_until(Duration::from_secs(60), || source.property::<u64>("restarts") >= least);
    assert!(restarts(40));
    let early = resident();
    assert!(restarts(160));
    let late = resident();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(late < early * 1.05, "{early} KiB after 40 restarts, {late} KiB after 160");
}
