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
use gst::{GenericFormattedValue, glib, prelude::*};
use gstferroflow::{message::describe, source, writer};

use super::{
    launch::{self, LaunchError},
    length::Length,
    stats::{PipelineStats, Summary},
    tracer::Watched,
};
use crate::{exit, graph::StreamTable};

/// How often a stream looks at the interrupt flag and publishes its metrics.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Looks, a second apart, until which something must come out of the files that a stream reads: damaged ones
/// can stop a demuxer without a word. Looks, because time also passes while the whole program is stopped.
const STANDSTILL: u32 = 30;
/// How long a stream may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a stream ended.
pub struct Outcome {
    /// What was counted.
    pub summary: Option<Summary>,
    /// What went wrong, if anything.
    pub result: anyhow::Result<()>,
}

/// A stream that is ready to run.
pub struct Stream<'a> {
    name: &'a str,
    table: &'a StreamTable,
    first_life: gst::Pipeline,
}

/// Builds all streams: one that cannot be built stops all of them before they start.
pub fn build(streams: &BTreeMap<String, StreamTable>) -> Result<Vec<Stream<'_>>, LaunchError> {
    let streams = streams.iter();
    streams
        .map(|(name, table)| Ok(Stream { name, table, first_life: launch::parse(name, &table.launch)? }))
        .collect()
}

/// Runs all streams until each has ended, or `interrupted` is raised; an outcome for each, in their order.
pub fn run<'a>(streams: Vec<Stream<'a>>, interrupted: &Arc<AtomicBool>) -> Vec<Outcome> {
    // Of several, a failure is told when it happens and not when all the others have ended as well: cameras
    // run for days.
    let are_several = streams.len() > 1;
    let tell = |outcome: Outcome| {
        if let Some(error) = outcome.result.as_ref().err().filter(|_| are_several) {
            tracing::error!("{error:#}");
        }
        outcome
    };
    let has_ended = Arc::<AtomicBool>::default();
    leave_in_time(Arc::clone(interrupted), Arc::clone(&has_ended));
    let outcomes = std::thread::scope(|scope| {
        let start = |stream: Stream<'a>| {
            let panicked = anyhow::anyhow!("stream `{}` panicked", stream.name);
            (scope.spawn(move || tell(run_stream(stream, interrupted))), panicked)
        };
        let running: Vec<_> = streams.into_iter().map(start).collect();
        let end = |(thread, panicked): (std::thread::ScopedJoinHandle<'_, Outcome>, anyhow::Error)| {
            thread.join().unwrap_or(Outcome { summary: None, result: Err(panicked) })
        };
        running.into_iter().map(end).collect()
    });
    has_ended.store(true, Ordering::SeqCst);
    outcomes
}

/// Leaves the program where streams have not ended long after they were asked to: an element that waits for another
/// program, such as the reader of a pipe, cannot be stopped.
fn leave_in_time(interrupted: Arc<AtomicBool>, has_ended: Arc<AtomicBool>) {
    let guard = move || {
        let mut asked: Option<Instant> = None;
        while !has_ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(200));
            if interrupted.load(Ordering::SeqCst)
                && asked.get_or_insert_with(Instant::now).elapsed() > 2 * PATIENCE
            {
                tracing::error!(
                    "a stream cannot be stopped: it waits for another program; its output may be incomplete"
                );
                std::process::exit(exit::INTERRUPTED.into());
            }
        }
    };
    std::thread::spawn(guard);
}

fn run_stream(Stream { name, table, first_life }: Stream<'_>, interrupted: &AtomicBool) -> Outcome {
    let Some(stats) = PipelineStats::new(name) else {
        return Outcome { summary: None, result: Err(anyhow::anyhow!("stream `{name}`: no histogram")) };
    };
    let (mut restarts, mut pipeline) = (0, Ok(first_life));
    let result = loop {
        let played =
            pipeline.map_err(Into::into).and_then(|pipeline| play(name, &pipeline, &stats, interrupted));
        match played {
            Err(error) if restarts < table.restarts && !interrupted.load(Ordering::SeqCst) => {
                restarts += 1;
                tracing::warn!(stream = name, "{error:#}; restart {restarts} of {}", table.restarts);
                std::thread::sleep(Duration::from_millis(500));
                pipeline = launch::parse(name, &table.launch);
            }
            result => break result,
        }
    };
    Outcome { summary: stats.summary(), result }
}

/// Why a stream has ended.
#[derive(PartialEq)]
enum Ended {
    /// It was at its end.
    Itself,
    /// It was asked to.
    Asked,
}

/// One life of a stream.
fn play(
    name: &str,
    pipeline: &gst::Pipeline,
    stats: &Arc<PipelineStats>,
    interrupted: &AtomicBool,
) -> anyhow::Result<()> {
    let watched = Watched::new(pipeline, stats);
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    abandon_on_error(pipeline, &bus);
    let length = Arc::<Length>::default();
    length.watch(pipeline.upcast_ref());
    let result = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => watch(name, pipeline, &bus, stats, interrupted).inspect(|ended| {
            let promised = pipeline.query_duration::<gst::ClockTime>();
            if let Some(reason) = length.cut_short(promised).filter(|_| *ended == Ended::Itself) {
                tracing::warn!(stream = name, "a file is {reason}");
            }
        }),
        Err(_) => Err(first_error(name, &bus)),
    };
    // On its way to nothing a pipeline throws away what its elements say while they close.
    let closed = pipeline.set_state(gst::State::Ready);
    let said = last_words(name, &bus);
    let stopped = closed.and(pipeline.set_state(gst::State::Null));
    bus.unset_sync_handler();
    drop(watched);
    stats.end_life();
    result?;
    if let Some(error) = said {
        bail!("stream `{name}`: {error}");
    }
    stopped.map(drop).with_context(|| format!("stream `{name}` could not be stopped"))
}

/// Tells what elements say while they close, and answers the first error of a sink: a file that cannot be
/// completed, say. That a camera does not say goodbye is no failure.
fn last_words(name: &str, bus: &gst::Bus) -> Option<String> {
    let mut first = None;
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]) {
        let element = message.src().and_then(|source| source.downcast_ref::<gst::Element>());
        let is_sink =
            element.is_some_and(|element| element.element_flags().contains(gst::ElementFlags::SINK));
        match message.view() {
            gst::MessageView::Error(error) if is_sink => first = first.or_else(|| Some(describe(error))),
            gst::MessageView::Error(error) => tracing::warn!(stream = name, "{}", describe(error)),
            gst::MessageView::Warning(warning) => tracing::warn!(stream = name, "{}", warning.error()),
            _ => {}
        }
    }
    first
}

/// Has what `fermeta` wrote stay a part when something fails. A source sends the end of its stream behind its
/// error, and in the same thread: only who sees the error as it is posted is in time.
fn abandon_on_error(pipeline: &gst::Pipeline, bus: &gst::Bus) {
    let elements = pipeline.iterate_recurse().into_iter().flatten();
    let writers: Vec<_> =
        elements.filter_map(|element| Some(element.downcast_ref::<writer::Meta>()?.downgrade())).collect();
    bus.set_sync_handler(move |_, message| {
        if message.type_() == gst::MessageType::Error {
            writers.iter().filter_map(glib::WeakRef::upgrade).for_each(|writer| writer.abandon());
        }
        gst::BusSyncReply::Pass
    });
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

/// Says how a camera is.
fn tell_of_source(name: &str, event: &source::Event) {
    match event {
        source::Event::Playing => tracing::info!(stream = name, "the source is playing"),
        source::Event::Retrying { reason, delay } => {
            let seconds = delay.as_secs_f64();
            tracing::warn!(stream = name, "the source is down, tried again in {seconds:.1} s: {reason}");
        }
        // That it gave up is an error of its own.
        source::Event::GaveUp { .. } => {}
    }
}

/// Whether it reads files and nothing else: then something moves at all times.
fn reads_files(pipeline: &gst::Pipeline) -> bool {
    let mut elements = pipeline.iterate_recurse().into_iter().flatten().peekable();
    let is_source = |element: &gst::Element| element.element_flags().contains(gst::ElementFlags::SOURCE);
    let is_file =
        |element: &gst::Element| element.factory().is_some_and(|factory| factory.name() == "filesrc");
    elements.peek().is_some() && elements.filter(is_source).all(|element| is_file(&element))
}

fn watch(
    name: &str,
    pipeline: &gst::Pipeline,
    bus: &gst::Bus,
    stats: &PipelineStats,
    interrupted: &AtomicBool,
) -> anyhow::Result<Ended> {
    let wanted = [
        gst::MessageType::Error,
        gst::MessageType::Eos,
        gst::MessageType::Warning,
        gst::MessageType::Qos,
        gst::MessageType::Element,
    ];
    let mut asked_to_end: Option<Instant> = None;
    let mut published = Instant::now();
    let (reads_files, mut looks) = (reads_files(pipeline), 0);
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
            looks += 1;
            if reads_files && looks == STANDSTILL && stats.buffers() == 0 {
                bail!(
                    "stream `{name}`: nothing has come out of its files for {STANDSTILL} s: they are damaged"
                );
            }
        }
        let Some(message) = bus.timed_pop_filtered(TICK, &wanted) else { continue };
        match message.view() {
            gst::MessageView::Eos(_) => {
                return Ok(if asked_to_end.is_some() { Ended::Asked } else { Ended::Itself });
            }
            gst::MessageView::Error(error) => bail!("stream `{name}`: {}", describe(error)),
            gst::MessageView::Warning(warning) => {
                tracing::warn!(stream = name, "{}", warning.error());
            }
            gst::MessageView::Qos(late) => {
                if let (Some(element), (_, GenericFormattedValue::Buffers(Some(dropped)))) =
                    (message.src(), late.stats())
                {
                    stats.late(element, *dropped);
                }
            }
            gst::MessageView::Element(element) => {
                if let Some(event) = element.structure().and_then(source::Event::from_structure) {
                    tell_of_source(name, &event);
                }
            }
            _ => {}
        }
    }
}
