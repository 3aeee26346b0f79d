//! Frames to measure speed on, in the format that decoders give.

use anyhow::{Context, bail};
use ferroflow_vision::model;
use gst::prelude::*;
use gst_video::VideoInfo;

use crate::stream;

/// The demo's clip that has a face in every frame.
const CLIP: &str = "woman.mp4";

/// Frames that are decoded; measuring goes round them.
const FRAMES: usize = 30;

/// Decoded frames of one size.
pub struct Frames {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// What they show, for the report.
    pub source: String,
    /// Buffers and what they hold.
    pub buffers: Vec<(gst::Buffer, VideoInfo)>,
}

impl Frames {
    /// Frames of the demo's clip, scaled to this size; where it has not been fetched, of a test pattern.
    pub fn of_size(width: usize, height: usize) -> anyhow::Result<Self> {
        stream::init()?;
        let (source, begin) = match model::asset_path(CLIP) {
            Ok(path) => (CLIP, format!("filesrc location=\"{}\" ! decodebin", path.display())),
            Err(_) => ("a test pattern", "videotestsrc".to_owned()),
        };
        let chain = format!(
            "{begin} ! videoconvert ! videoscale ! video/x-raw,format=I420,width={width},height={height} ! appsink name=out sync=false max-buffers=2"
        );
        let pipeline = stream::launch::parse("frames", &chain)?;
        let buffers = decode(&pipeline);
        pipeline.set_state(gst::State::Null)?;
        let buffers = buffers?;
        if buffers.is_empty() {
            bail!("no frame could be decoded of {source}");
        }
        Ok(Self { width, height, source: source.to_owned(), buffers })
    }
}

fn decode(pipeline: &gst::Pipeline) -> anyhow::Result<Vec<(gst::Buffer, VideoInfo)>> {
    let sink = pipeline
        .by_name("out")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .context("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut buffers = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            bail!("an empty sample")
        };
        // A decoder has few buffers of its own; a copy lets it go on.
        buffers.push((buffer.copy_deep()?, VideoInfo::from_caps(&caps)?));
        if buffers.len() == FRAMES {
            break;
        }
    }
    Ok(buffers)
}
