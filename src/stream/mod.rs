//! Runs graphs live: GStreamer pipelines, their supervision and their statistics.

pub mod directory;
pub mod interrupt;
pub mod launch;
pub mod length;
pub mod live;
mod matroska;
mod order;
mod overwritten;
pub mod plan;
mod refused;
pub mod stats;
pub mod tracer;

use std::sync::OnceLock;

use anyhow::Context;
use gst::prelude::*;

/// Starts GStreamer and makes our elements known, once.
pub fn init() -> anyhow::Result<()> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    let start = || -> anyhow::Result<()> {
        gst::init().context("GStreamer could not be started")?;
        gstferroflow::plugin_register_static()
            .context("the elements of Ferroflow could not be registered")?;
        // Without a display it takes the whole program down, and others that come after it work.
        if let Some(sink) = gst::ElementFactory::find("dfbvideosink") {
            sink.set_rank(gst::Rank::NONE);
        }
        tracer::install()
    };
    let started = STARTED.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    started.clone().map_err(anyhow::Error::msg)
}
