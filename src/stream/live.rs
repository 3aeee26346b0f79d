//! Runs the live streams of a pipeline file, each in a thread of its own, so that one's failure is not another's.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use gst::prelude::*;
use gstferroflow::message::describe;

use super::{
    launch,
    stats::{PipelineStats, Summary},
    tracer::Watched,
};
use crate::graph::StreamTable;

/// How often a stream looks at the interrupt flag and publishes its metrics.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How long a stream may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a stream ended.
pub struct Outcome {
    /// What was counted.
    pub summary: Option<Summary>,
    /// What went wrong, if anything.
    pub result: anyhow::Result<()>,
}

/// Runs all streams until each has ended, or `interrupted` is raised; an outcome for each, by name.
pub fn run(streams: &BTreeMap<String, StreamTable>, interrupted: &Arc<AtomicBool>) -> Vec<(String, Outcome)> {
    std::thread::scope(|scope| {
        let running: Vec<_> = streams
            .iter()
            .map(|(name, table)| (name, scope.spawn(move || run_stream(name, table, interrupted))))
            .collect();
        running
            .into_iter()
            .map(|(name, thread)| {
                let panicked =
                    || Outcome { summary: None, result: Err(anyhow::anyhow!("stream `{name}` panicked")) };
                (name.clone(), thread.join().unwrap_or_else(|_| panicked()))
            })
            .collect()
    })
}

fn run_stream(name: &str, table: &StreamTable, interrupted: &AtomicBool) -> Outcome {
    let Some(stats) = PipelineStats::new(name) else {
        return Outcome { summary: None, result: Err(anyhow::anyhow!("stream `{name}`: no histogram")) };
    };
    let mut restarts = 0;
    let result = loop {
        match play(name, &table.launch, &stats, interrupted) {
            Err(error) if restarts < table.restarts && !interrupted.load(Ordering::SeqCst) => {
                restarts += 1;
                tracing::warn!(stream = name, "{error:#}; restart {restarts} of {}", table.restarts);
                std::thread::sleep(Duration::from_millis(500));
            }
            result => break result,
        }
    };
    Outcome { summary: stats.summary(), result }
}

/// One life of a stream.
fn play(
    name: &str,
    description: &str,
    stats: &Arc<PipelineStats>,
    interrupted: &AtomicBool,
) -> anyhow::Result<()> {
    let pipeline = launch::parse(name, description)?;
    let watched = Watched::new(&pipeline, stats);
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    let result = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => watch(name, &pipeline, &bus, stats, interrupted),
        Err(_) => Err(first_error(name, &bus)),
    };
    let stopped = pipeline.set_state(gst::State::Null);
    // What an element could only say while closing, such as a file that cannot be completed.
    let late = bus.pop_filtered(&[gst::MessageType::Error]).filter(|_| result.is_ok());
    drop(watched);
    stats.end_life();
    result?;
    if let Some(gst::MessageView::Error(error)) = late.as_ref().map(|message| message.view()) {
        bail!("stream `{name}`: {}", describe(error));
    }
    stopped.map(drop).with_context(|| format!("stream `{name}` could not be stopped"))
}

fn first_error(name: &str, bus: &gst::Bus) -> anyhow::Error {
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(1), &[gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => {
            anyhow::anyhow!("stream `{name}`: {}", describe(error))
        }
        _ => anyhow::anyhow!("stream `{name}` cannot be played"),
    }
}

fn watch(
    name: &str,
    pipeline: &gst::Pipeline,
    bus: &gst::Bus,
    stats: &PipelineStats,
    interrupted: &AtomicBool,
) -> anyhow::Result<()> {
    let wanted = [
        gst::MessageType::Error,
        gst::MessageType::Eos,
        gst::MessageType::Warning,
        gst::MessageType::Element,
    ];
    let mut asked_to_end: Option<Instant> = None;
    let mut published = Instant::now();
    loop {
        if asked_to_end.is_none() && interrupted.load(Ordering::SeqCst) {
            asked_to_end = Some(Instant::now());
            pipeline.send_event(gst::event::Eos::new());
        }
        if asked_to_end.is_some_and(|asked| asked.elapsed() > PATIENCE) {
            bail!(
                "stream `{name}` did not end within {PATIENCE:?} of being asked to; its last output may be incomplete"
            );
        }
        stats.sample();
        if published.elapsed() >= Duration::from_secs(1) {
            stats.publish();
            published = Instant::now();
        }
        let Some(message) = bus.timed_pop_filtered(TICK, &wanted) else { continue };
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Error(error) => bail!("stream `{name}`: {}", describe(error)),
            gst::MessageView::Warning(warning) => {
                tracing::warn!(stream = name, "{}", warning.error());
            }
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure().filter(|s| s.name() == "ferroflow-source") {
                    tracing::warn!(stream = name, "source: {structure}");
                }
            }
            _ => {}
        }
    }
}
