//! What is counted while a pipeline runs.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use hdrhistogram::Histogram;

/// Frames whose latency can be under measurement at once.
const IN_FLIGHT: usize = 1024;

/// Counts of one element.
#[derive(Debug)]
pub struct ElementStats {
    /// The element's name.
    pub name: String,
    /// Its kind: `ferfacedetect`, `queue` ...
    pub factory: String,
    /// Buffers that came in.
    pub buffers_in: AtomicU64,
    /// Buffers that went out.
    pub buffers_out: AtomicU64,
    /// Nanoseconds inside the element, without what it pushed into others.
    pub nanoseconds: AtomicU64,
    /// Buffers and nanoseconds that the metrics know of.
    published: [AtomicU64; 2],
    /// For queues: the sum of all looks at their depth, how many looks there were, and the deepest.
    depth: [AtomicU64; 3],
    element: gst::glib::WeakRef<gst::Element>,
}

impl ElementStats {
    fn is_queue(&self) -> bool {
        matches!(self.factory.as_str(), "queue" | "queue2" | "multiqueue")
    }

    /// Buffers that wait in a queue now.
    fn queued(&self) -> Option<u64> {
        let element =
            self.element.upgrade().filter(|_| matches!(self.factory.as_str(), "queue" | "queue2"))?;
        Some(u64::from(element.property::<u32>("current-level-buffers")))
    }

    /// A count that the element keeps itself; 0 where it keeps none of this name.
    fn own_count(&self, name: &str) -> u64 {
        let element =
            self.element.upgrade().filter(|element| element.has_property_with_type(name, u64::static_type()));
        element.map_or(0, |element| element.property(name))
    }

    /// Mean and greatest depth of a queue that was looked at.
    fn depth(&self) -> Option<(f64, u64)> {
        let [sum, looks, deepest] = self.depth.each_ref().map(|count| count.load(Ordering::Relaxed));
        (looks > 0).then(|| (sum as f64 / looks as f64, deepest))
    }

    /// Buffers that were lost inside: dropped by a leaky queue, or by a source whose downstream was late.
    fn dropped(&self) -> u64 {
        let Some(element) = self.element.upgrade() else { return 0 };
        match self.factory.as_str() {
            "queue"
                if element
                    .property_value("leaky")
                    .transform::<i32>()
                    .is_ok_and(|leaky| leaky.get() != Ok(0)) =>
            {
                let (gone_in, gone_out) =
                    (self.buffers_in.load(Ordering::Relaxed), self.buffers_out.load(Ordering::Relaxed));
                gone_in.saturating_sub(gone_out + self.queued().unwrap_or(0))
            }
            "fersource" => element.property::<u64>("dropped"),
            _ => 0,
        }
    }
}

/// What has come since the metrics were last told. Streams of one name add up: the videos that a worker reads, one after
/// the other, say.
fn news(published: &AtomicU64, now: &AtomicU64) -> u64 {
    let now = now.load(Ordering::Relaxed);
    now.saturating_sub(published.swap(now, Ordering::Relaxed))
}

/// Counts of one pipeline, from its start.
pub struct PipelineStats {
    /// The stream's name.
    pub stream: String,
    started: Instant,
    elements: Mutex<Vec<Arc<ElementStats>>>,
    latency: Mutex<Latency>,
    last: Mutex<Option<Summary>>,
}

struct Latency {
    entered: VecDeque<(gst::ClockTime, Instant)>,
    microseconds: Histogram<u64>,
}

impl PipelineStats {
    /// Starts counting for the stream of this name.
    pub fn new(stream: &str) -> Option<Arc<Self>> {
        // One microsecond to one minute, three digits.
        let microseconds = Histogram::new_with_bounds(1, 60_000_000, 3).ok()?;
        let latency = Mutex::new(Latency { entered: VecDeque::with_capacity(IN_FLIGHT), microseconds });
        let (elements, started) = (Mutex::default(), Instant::now());
        let (stream, last) = (stream.to_owned(), Mutex::default());
        Some(Arc::new(Self { stream, started, elements, latency, last }))
    }

    /// Begins to count an element.
    pub fn add(&self, element: &gst::Element) -> Arc<ElementStats> {
        let stats = Arc::new(ElementStats {
            name: element.name().to_string(),
            factory: element.factory().map(|factory| factory.name().to_string()).unwrap_or_default(),
            buffers_in: AtomicU64::new(0),
            buffers_out: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            published: Default::default(),
            depth: Default::default(),
            element: element.downgrade(),
        });
        self.lock_elements().push(Arc::clone(&stats));
        stats
    }

    fn lock_elements(&self) -> std::sync::MutexGuard<'_, Vec<Arc<ElementStats>>> {
        self.elements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A decoded frame has entered the part that is measured.
    pub fn entered(&self, pts: gst::ClockTime) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if latency.entered.len() == IN_FLIGHT {
            latency.entered.pop_front();
        }
        latency.entered.push_back((pts, Instant::now()));
    }

    /// A frame has reached a sink.
    pub fn arrived(&self, pts: gst::ClockTime) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entered) = latency.entered.iter().rev().find(|(entered, _)| *entered == pts) else { return };
        let elapsed = entered.1.elapsed();
        latency.microseconds.saturating_record(elapsed.as_micros() as u64);
        drop(latency);
        metrics::histogram!("ferroflow_latency_seconds", "stream" => self.stream.clone()).record(elapsed);
    }

    /// Looks at the depth of every queue. Called several times a second.
    pub fn sample(&self) {
        for element in self.lock_elements().iter() {
            if let Some(queued) = element.queued() {
                let [sum, looks, deepest] = &element.depth;
                sum.fetch_add(queued, Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
                deepest.fetch_max(queued, Ordering::Relaxed);
            }
        }
    }

    /// Brings the metrics up to what has been counted.
    pub fn publish(&self) {
        for element in self.lock_elements().iter() {
            let labels = [("stream", self.stream.clone()), ("element", element.name.clone())];
            let [buffers, nanoseconds] = &element.published;
            metrics::counter!("ferroflow_buffers_total", &labels)
                .increment(news(buffers, &element.buffers_in));
            metrics::gauge!("ferroflow_element_busy_seconds", &labels)
                .increment(news(nanoseconds, &element.nanoseconds) as f64 / 1e9);
            if let Some(queued) = element.queued() {
                metrics::gauge!("ferroflow_queue_depth", &labels).set(queued as f64);
            }
        }
        let summary = self.count();
        let labels = [("stream", self.stream.clone())];
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (frames, dropped) = last.as_ref().map_or((0, 0), |last| (last.frames, last.dropped));
        metrics::counter!("ferroflow_frames_total", &labels).increment(summary.frames.saturating_sub(frames));
        metrics::counter!("ferroflow_frames_dropped_total", &labels)
            .increment(summary.dropped.saturating_sub(dropped));
        *last = Some(summary);
    }

    /// All counts as they were last published: the elements that hold some of them go with their pipeline.
    pub fn summary(&self) -> Option<Summary> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> Summary {
        let elements = self.lock_elements();
        let frames = elements
            .iter()
            .filter(|element| element.factory.starts_with("fer") && element.factory != "fersource")
            .map(|element| element.buffers_in.load(Ordering::Relaxed))
            .max();
        let busiest = || elements.iter().map(|element| element.buffers_in.load(Ordering::Relaxed)).max();
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let percentile = |quantile| Duration::from_micros(latency.microseconds.value_at_quantile(quantile));
        Summary {
            stream: self.stream.clone(),
            elapsed: self.started.elapsed(),
            frames: frames.or_else(busiest).unwrap_or(0),
            dropped: elements.iter().map(|element| element.dropped()).sum(),
            faces: elements.iter().map(|element| element.own_count("faces")).sum(),
            batch_size: {
                let sum = |name: &str| elements.iter().map(|element| element.own_count(name)).sum::<u64>();
                let (faces, frames) = (sum("classified-faces"), sum("classified-frames"));
                (frames > 0).then(|| faces as f64 / frames as f64)
            },
            latency: (!latency.microseconds.is_empty()).then(|| [0.5, 0.95, 0.99].map(percentile)),
            elements: elements
                .iter()
                .map(|element| ElementSummary {
                    name: element.name.clone(),
                    waits: element.is_queue(),
                    depth: element.depth(),
                    buffers: element.buffers_in.load(Ordering::Relaxed),
                    busy: Duration::from_nanos(element.nanoseconds.load(Ordering::Relaxed)),
                })
                .filter(|element| element.buffers > 0)
                .collect(),
        }
    }
}

/// One element's line of the summary.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ElementSummary {
    /// Its name.
    pub name: String,
    /// Buffers that came in.
    pub buffers: u64,
    /// Time inside, without what it pushed into others.
    pub busy: Duration,
    /// True for queues, whose time is spent waiting for room.
    pub waits: bool,
    /// Buffers that waited in a queue: on average, and at most.
    pub depth: Option<(f64, u64)>,
}

/// What a run counted.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Summary {
    /// The stream's name.
    pub stream: String,
    /// Since its start.
    pub elapsed: Duration,
    /// Frames that came to the first of our elements.
    pub frames: u64,
    /// Frames dropped because something was late.
    pub dropped: u64,
    /// Faces that detectors found.
    pub faces: u64,
    /// Faces in one run of the classifier, on average.
    pub batch_size: Option<f64>,
    /// Median, 95th and 99th percentile from decoded frame to sink.
    pub latency: Option<[Duration; 3]>,
    /// Elements that saw buffers, in the order they were first seen.
    pub elements: Vec<ElementSummary>,
}

impl Summary {
    /// Frames a second over the whole run.
    pub fn fps(&self) -> f64 {
        self.frames as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, fps) = (self.elapsed.as_secs_f64(), self.fps());
        write!(
            f,
            "{}: {} frames in {seconds:.1} s, {fps:.1} frames/s, {} dropped",
            self.stream, self.frames, self.dropped
        )?;
        if let Some([median, p95, p99]) = self.latency {
            let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
            write!(
                f,
                "\n  latency      {:.1} ms median, {:.1} ms p95, {:.1} ms p99",
                ms(median),
                ms(p95),
                ms(p99)
            )?;
        }
        write!(f, "\n  faces        {} found", self.faces)?;
        if let Some(batch_size) = self.batch_size {
            write!(f, ", {batch_size:.2} in a batch of the classifier")?;
        }
        for element in &self.elements {
            let each = element.busy.as_secs_f64() * 1e3 / element.buffers.max(1) as f64;
            let share = element.busy.as_secs_f64() / seconds.max(1e-9) * 100.0;
            // Time in a queue is waiting for what comes after it, not work.
            let what = if element.waits { "waiting" } else { "working" };
            let (name, buffers) = (&element.name, element.buffers);
            write!(
                f,
                "\n  {name:<20} {buffers:>7} buffers {each:>8.3} ms each, {what} {share:>5.1} % of the time"
            )?;
            if let Some((mean, deepest)) = element.depth {
                write!(f, ", {mean:.1} queued, at most {deepest}")?;
            }
        }
        Ok(())
    }
}
