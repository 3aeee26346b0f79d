//! One video through GStreamer: decoder, the chain of elements, results.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use ferroflow_vision::face::FrameFaces;
use gst::prelude::*;
use gstferroflow::{
    frame,
    message::describe,
    meta::{FaceReader, FrameSize},
};
use indicatif::ProgressBar;

use super::{Settings, chain::chain, upright::upright};
use crate::stream::{
    launch,
    length::{Length, is_demuxer},
    matroska,
    stats::PipelineStats,
    tracer::Watched,
};

const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// Ticks without a byte read, a frame decoded or a frame written after which a video is given up: damaged
/// files can stop a demuxer without a word. Ticks, because time also passes while the whole program is
/// stopped.
const PATIENCE: u32 = 300;

/// Such ticks after which a demuxer that has stopped without any stream is given up: `decodebin` keeps to
/// itself what it says while it is being added.
const PATIENCE_WITH_NONE: u32 = 30;

/// The share of its bytes that a file may not lack; behind the pictures lies an index.
const LEAST_SHARE: f64 = 0.95;

/// What went through.
#[derive(Clone, Debug)]
pub struct Processed {
    /// Frames that the decoder gave.
    pub frames_decoded: u64,
    /// Length of what was decoded.
    pub seconds: f64,
    /// Time it took.
    pub elapsed: Duration,
}

/// Why a video has no result.
#[derive(Debug)]
pub enum Failure {
    /// This video's fault; others may go on.
    Video(anyhow::Error),
    /// Results cannot be written, which will not be better with the next video.
    Output(anyhow::Error),
    /// Stopped from outside.
    Interrupted,
}

/// What becomes of each frame.
pub trait Take: Send {
    /// Takes a frame's faces; the pixels are there to look at. An error is a failure to write results.
    fn frame(
        &mut self,
        faces: &FrameFaces,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> anyhow::Result<()>;

    /// Where the annotated video is written to, where there is to be one.
    fn annotated(&self) -> Option<PathBuf> {
        None
    }
}

/// Until it is taken out: an element that has been stopped may be let go of a little later.
impl<T: Take> Take for Option<T> {
    fn frame(
        &mut self,
        faces: &FrameFaces,
        buffer: &gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> anyhow::Result<()> {
        self.as_mut().context("a bug: a frame comes after the end")?.frame(faces, buffer, info)
    }

    fn annotated(&self) -> Option<PathBuf> {
        self.as_ref()?.annotated()
    }
}

/// State that GStreamer's threads share with the one that waits.
#[derive(Default)]
struct Shared {
    decoded: AtomicU64,
    /// Goes up whenever something moves.
    activity: AtomicU64,
    length: Arc<Length>,
    output_error: Mutex<Option<anyhow::Error>>,
}

/// Runs a video and hands each frame with its faces to `results`.
pub fn process<T: Take + 'static>(
    input: &Path,
    settings: &Settings,
    job: &str,
    results: &Arc<Mutex<T>>,
    bar: &ProgressBar,
    interrupted: &AtomicBool,
) -> Result<Processed, Failure> {
    let started = Instant::now();
    let shared = Arc::<Shared>::default();
    let pipeline = build(input, settings, job, results, &shared).map_err(Failure::Video)?;
    let stats = PipelineStats::new(job);
    let _watched = stats.as_ref().map(|stats| Watched::new(&pipeline, stats));
    let outcome = play(&pipeline, &shared, bar, interrupted, PATIENCE);
    let promised = pipeline.query_duration::<gst::ClockTime>();
    if let Some(stats) = &stats {
        stats.publish();
    }
    // Stopping cannot fail in a way that matters here: the pipeline is dropped next.
    let _ = pipeline.set_state(gst::State::Null);
    if let Some(error) = shared.output_error.lock().ok().and_then(|mut error| error.take()) {
        return Err(Failure::Output(error));
    }
    outcome?;
    let frames_decoded = shared.decoded.load(Ordering::SeqCst);
    if frames_decoded == 0 {
        return Err(Failure::Video(anyhow!("no frame could be decoded")));
    }
    // Where bytes are counted, times need not be believed.
    let promised = match matroska::share(input) {
        Some(share) if share < LEAST_SHARE => {
            let percent = share * 100.0;
            return Err(Failure::Video(anyhow!(
                "cut short or damaged: it has {percent:.0} % of the bytes that it says it has ({frames_decoded} frames)"
            )));
        }
        Some(_) => {
            // A cut out of a recording promises the recording's length.
            if let Some(reason) = shared.length.cut_short(promised) {
                tracing::warn!("{}: all its bytes are there, yet {reason}", input.display());
            }
            None
        }
        None => promised,
    };
    shared.length.check(promised, frames_decoded).map_err(Failure::Video)?;
    if let Some(reason) = shared.length.undecoded(frames_decoded) {
        tracing::warn!("{}: {reason}; the result has the others", input.display());
    }
    let seconds = shared.length.decoded.seconds();
    Ok(Processed { frames_decoded, seconds, elapsed: started.elapsed() })
}

fn build<T: Take + 'static>(
    input: &Path,
    settings: &Settings,
    job: &str,
    results: &Arc<Mutex<T>>,
    shared: &Arc<Shared>,
) -> anyhow::Result<gst::Pipeline> {
    let pipeline = gst::Pipeline::with_name(job);
    let make = |factory: &str| {
        gst::ElementFactory::make(factory)
            .build()
            .with_context(|| launch::missing_elements(&[factory.into()]))
    };
    let (source, decoder, queue, convert) =
        (make("filesrc")?, make("decodebin")?, make("queue")?, make("videoconvert")?);
    let upright = upright(input).with_context(|| launch::missing_elements(&["videoflip".into()]))?;
    let (scale, square) = (make("videoscale")?, make("capsfilter")?);
    square.set_property("caps", frame::square(&gst::Caps::new_empty_simple("video/x-raw")));
    source.set_property("location", input);
    set_queue(&queue);
    let chain = chain(&settings.launch, job, settings.jobs)?;
    let sink = faces_sink(input, results, shared);
    pipeline.add_many([
        &source,
        &decoder,
        &queue,
        &convert,
        &upright,
        &scale,
        &square,
        chain.upcast_ref(),
        sink.upcast_ref(),
    ])?;
    source.link(&decoder)?;
    let reading = Arc::clone(shared);
    source.static_pad("src").context("the source has no src pad")?.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::PULL | gst::PadProbeType::PUSH,
        move |_, _| {
            reading.activity.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        },
    );
    gst::Element::link_many([&queue, &convert, &upright, &scale, &square, chain.upcast_ref()])?;
    let annotated = results.lock().map_err(|_| anyhow!("results are gone"))?.annotated();
    if let Some(annotated) = annotated.filter(|_| settings.annotate) {
        let tee = make("tee")?;
        let faces_queue = make("queue")?;
        let branch = annotated_branch(&annotated)?;
        set_queue(&faces_queue);
        pipeline.add_many([&tee, &faces_queue, branch.upcast_ref()])?;
        gst::Element::link_many([chain.upcast_ref(), &tee, &faces_queue, sink.upcast_ref()])?;
        tee.link(&branch)?;
    } else {
        chain.link(&sink)?;
    }
    if let Some(decoder) = decoder.downcast_ref::<gst::Bin>() {
        shared.length.watch(decoder);
    }
    link_first_video(&decoder, &queue, shared)?;
    Ok(pipeline)
}

/// Few frames, whatever their size: enough to keep both sides busy.
fn set_queue(queue: &gst::Element) {
    queue.set_property("max-size-buffers", 4u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
}

fn annotated_branch(path: &Path) -> anyhow::Result<gst::Bin> {
    // Colours are shared by four pixels, and x264 takes no odd number of those.
    let description = "queue max-size-buffers=4 max-size-bytes=0 max-size-time=0 ! feroverlay fps=false ! videoconvert ! videoscale ! \
         video/x-raw,width=[16,16384,2],height=[16,16384,2],pixel-aspect-ratio=1/1 ! x264enc speed-preset=veryfast quantizer=23 pass=qual ! h264parse ! mp4mux ! filesink name=annotated async=false";
    let branch = gst::parse::bin_from_description(description, true)
        .context("the annotated video needs x264enc and mp4mux")?;
    let sink = branch.by_name("annotated").context("the branch has no sink")?;
    sink.set_property("location", path);
    if let Some(pad) = branch.static_pad("sink") {
        takes_any_size(&pad);
    }
    Ok(branch)
}

/// Says of a pad that it takes frames of any size, as it does: what is before it would else give it the size that the
/// encoder likes best, and faces would be found, and told of, in that.
fn takes_any_size(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        let Some(gst::QueryViewMut::Caps(query)) = info.query_mut().map(gst::QueryRef::view_mut) else {
            return gst::PadProbeReturn::Ok;
        };
        let any = match query.filter_owned() {
            Some(filter) => filter.intersect_with_mode(&frame::CAPS, gst::CapsIntersectMode::First),
            None => frame::CAPS.clone(),
        };
        query.set_result(&any);
        gst::PadProbeReturn::Handled
    });
}

/// Links the decoder's first video pad to the queue and counts what comes out of it. A file without one is an error.
fn link_first_video(
    decoder: &gst::Element,
    queue: &gst::Element,
    shared: &Arc<Shared>,
) -> anyhow::Result<()> {
    let target = queue.static_pad("sink").context("the queue has no sink pad")?;
    let (linked, shared) = (target.clone(), Arc::clone(shared));
    decoder.connect_pad_added(move |_, pad| {
        let is_video =
            pad.current_caps().and_then(|caps| Some(caps.structure(0)?.name().as_str() == "video/x-raw"));
        if is_video != Some(true) || linked.is_linked() {
            return;
        }
        let shared = Arc::clone(&shared);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                shared.decoded.fetch_add(1, Ordering::SeqCst);
                shared.activity.fetch_add(1, Ordering::Relaxed);
                shared.length.decoded.add(buffer, pad);
            }
            gst::PadProbeReturn::Ok
        });
        // A failure to link is reported by the decoder as not-linked.
        let _ = pad.link(&linked);
    });
    decoder.connect_no_more_pads(move |decoder| {
        if !target.is_linked() {
            gst::element_error!(decoder, gst::StreamError::WrongType, ("the file has no video stream"));
        }
    });
    Ok(())
}

/// The end of the chain: reads each frame's faces and hands them on.
fn faces_sink<T: Take + 'static>(
    input: &Path,
    results: &Arc<Mutex<T>>,
    shared: &Arc<Shared>,
) -> gst_app::AppSink {
    let (results, shared) = (Arc::clone(results), Arc::clone(shared));
    let mut reader = FaceReader::default();
    let source = input.to_string_lossy().as_ref().into();
    let mut record = FrameFaces { source, frame: 0, pts: None, width: 0, height: 0, faces: Vec::new() };
    let mut caps_seen: Option<(gst::Caps, gst_video::VideoInfo)> = None;
    let take = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        if caps_seen.as_ref().is_none_or(|(known, _)| *known != caps) {
            let info = gst_video::VideoInfo::from_caps(&caps).map_err(|_| gst::FlowError::NotNegotiated)?;
            caps_seen = Some((caps, info));
        }
        let Some((_, info)) = &caps_seen else { return Err(gst::FlowError::NotNegotiated) };
        (record.width, record.height) = (info.width(), info.height());
        let time = sample.segment().and_then(|segment| frame::stream_time(buffer, segment));
        record.pts = time.map(gst::ClockTime::nseconds);
        reader.read(buffer, FrameSize::of(info), &mut record.faces);
        let written = results.lock().map_err(|_| gst::FlowError::Error)?.frame(&record, buffer, info);
        record.frame += 1;
        shared.activity.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = written {
            if let Ok(mut slot) = shared.output_error.lock() {
                *slot = Some(error);
            }
            gst::element_error!(sink, gst::ResourceError::Write, ("results cannot be written"));
            return Err(gst::FlowError::Error);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    let sink = gst_app::AppSink::builder()
        .sync(false)
        .max_buffers(2)
        .enable_last_sample(false)
        .callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build())
        .build();
    if let Some(pad) = sink.static_pad("sink") {
        frame::take_as_they_lie(&pad);
    }
    sink
}

fn play(
    pipeline: &gst::Pipeline,
    shared: &Shared,
    bar: &ProgressBar,
    interrupted: &AtomicBool,
    patience: u32,
) -> Result<(), Failure> {
    let bus = pipeline.bus().context("the pipeline has no bus").map_err(Failure::Video)?;
    let began = Instant::now();
    // A failure here is on the bus with its reason.
    let _ = pipeline.set_state(gst::State::Playing);
    let (mut last_activity, mut idle_ticks) = (0, 0);
    loop {
        if interrupted.load(Ordering::SeqCst) {
            return Err(Failure::Interrupted);
        }
        if bar.length() == Some(0)
            && let Some(duration) = pipeline.query_duration::<gst::ClockTime>()
        {
            bar.set_length(duration.mseconds());
        }
        let frames = shared.decoded.load(Ordering::Relaxed);
        bar.set_position((shared.length.decoded.seconds() * 1e3) as u64);
        bar.set_message(format!(
            "{frames} frames, {:.0}/s",
            frames as f64 / began.elapsed().as_secs_f64().max(1e-3)
        ));
        let Some(message) = bus.timed_pop_filtered(TICK, &[gst::MessageType::Error, gst::MessageType::Eos])
        else {
            let activity = shared.activity.load(Ordering::Relaxed);
            idle_ticks = if activity == last_activity { idle_ticks + 1 } else { 0 };
            last_activity = activity;
            if idle_ticks == PATIENCE_WITH_NONE && has_stopped_without_streams(pipeline) {
                let reason = "no stream was found in it: the file is damaged or cut short";
                return Err(Failure::Video(anyhow!(reason)));
            }
            if idle_ticks >= patience {
                let seconds = u64::from(patience) * TICK.mseconds() / 1000;
                return Err(Failure::Video(anyhow!(
                    "nothing has moved for {seconds} s, after {frames} frames: the file is damaged, or an element waits for ever"
                )));
            }
            continue;
        };
        return match message.view() {
            gst::MessageView::Error(error) => {
                let full = error.error().matches(gst::ResourceError::NoSpaceLeft);
                let reason = anyhow!("{}", describe(error));
                Err(if full { Failure::Output(reason) } else { Failure::Video(reason) })
            }
            _ => Ok(()),
        };
    }
}

/// Whether there is a demuxer that reads no more and has found nothing.
fn has_stopped_without_streams(pipeline: &gst::Pipeline) -> bool {
    pipeline.iterate_recurse().into_iter().flatten().any(|element| {
        let has_stopped =
            |pad: &gst::Pad| pad.mode() == gst::PadMode::Pull && pad.task_state() != gst::TaskState::Started;
        is_demuxer(&element) && element.src_pads().is_empty() && element.sink_pads().iter().any(has_stopped)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_pipeline_in_which_nothing_moves_is_given_up() {
        gst::init().unwrap();
        let pipeline = gst::parse::launch("appsrc ! fakesink").unwrap().downcast::<gst::Pipeline>().unwrap();
        let (bar, never) = (ProgressBar::hidden(), AtomicBool::new(false));
        let outcome = play(&pipeline, &Shared::default(), &bar, &never, 10);
        pipeline.set_state(gst::State::Null).unwrap();
        let Err(Failure::Video(error)) = outcome else { panic!("{outcome:?}") };
        assert!(error.to_string().contains("nothing has moved for 1 s, after 0 frames"), "{error}");
    }
}
