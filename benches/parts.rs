//! Detection and classification of a clip's frames by themselves, without a pipeline: milliseconds of CPU and of wall
//! clock a frame. Frames are decoded into memory first, which is not timed.
//!
//! `cargo bench --bench parts -- clip.mp4 ssd`

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ferroflow_vision::{
    detect::{self, DetectorConfig},
    expression::ExpressionClassifier,
    face::Detection,
    inference::SessionOptions,
    model,
};
use gst::prelude::*;
use gst_video::VideoInfo;
use gstferroflow::frame::with_frame;

fn main() -> anyhow::Result<()> {
    // cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [clip, detector] = arguments.as_slice() else {
        println!("usage: cargo bench --bench parts -- CLIP haar|ssd|yunet");
        return Ok(());
    };
    let frames = decode(clip)?;
    let mut detector = detect::open(&DetectorConfig::new(detector.parse()?))?;
    let options = SessionOptions { threads: 1, ..SessionOptions::default() };
    // As in benches/overhead.py, whatever the default is.
    let model = model::resolve_model("mini-xception")?;
    let mut classifier = ExpressionClassifier::open(&model, &options, 32)?;
    let (mut faces, mut emotions) = (Vec::new(), Vec::new());
    let mut found: Vec<Vec<Detection>> = Vec::new();
    let detect = measure(frames.len(), || {
        found.clear();
        for (buffer, info) in &frames {
            with_frame(buffer, info, |frame| detector.detect(frame, &mut faces))
                .map_err(|e| anyhow::anyhow!("{e}"))??;
            found.push(faces.clone());
        }
        Ok(())
    })?;
    let classify = measure(frames.len(), || {
        for ((buffer, info), faces) in frames.iter().zip(&found) {
            emotions.clear();
            with_frame(buffer, info, |frame| classifier.classify(frame, faces, &mut emotions))
                .map_err(|e| anyhow::anyhow!("{e}"))??;
        }
        Ok(())
    })?;
    let count: usize = found.iter().map(Vec::len).sum();
    println!(
        "{{\"frames\": {}, \"faces\": {count}, \"detect_cpu_ms\": {:.3}, \"detect_wall_ms\": {:.3}, \"classify_cpu_ms\": {:.3}, \"classify_wall_ms\": {:.3}}}",
        frames.len(),
        detect.0,
        detect.1,
        classify.0,
        classify.1
    );
    Ok(())
}

/// Milliseconds of CPU and of wall clock a frame, after one run to warm up.
fn measure(frames: usize, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<(f64, f64)> {
    run()?;
    let (cpu, wall) = (cpu_time()?, Instant::now());
    run()?;
    let a_frame = |duration: Duration| duration.as_secs_f64() * 1e3 / frames.max(1) as f64;
    Ok((a_frame(cpu_time()? - cpu), a_frame(wall.elapsed())))
}

/// User and system time of this process, all threads, in steps of a hundredth of a second.
fn cpu_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    // Fields 14 and 15 of proc(5), counted from the one behind the name, which is the third.
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/self/stat has another layout")?;
    Ok(Duration::from_millis((user + system) * 10))
}

fn decode(clip: &str) -> anyhow::Result<Vec<(gst::Buffer, VideoInfo)>> {
    ferroflow::stream::init()?;
    let chain = format!(
        "filesrc location=\"{clip}\" ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false"
    );
    let pipeline = ferroflow::stream::launch::parse("decode", &chain)?;
    let sink = pipeline
        .by_name("out")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .context("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            bail!("an empty sample")
        };
        // A decoder has few buffers of its own; a copy lets it go on.
        frames.push((buffer.copy_deep()?, VideoInfo::from_caps(&caps)?));
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(frames)
}
