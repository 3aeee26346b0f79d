//! What is counted while a pipeline runs.

use std::{
    collections::{HashMap, VecDeque},
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

/// What has come since the metrics were last told. Streams of one name add up: the videos that a worker
/// reads, one after the other, say.
fn news(published: &AtomicU64, now: &AtomicU64) -> u64 {
    let now = now.load(Ordering::Relaxed);
    now.saturating_sub(published.swap(now, Ordering::Relaxed))
}

/// Counts of one stream, from its start. A stream that is built again has a pipeline for each of its lives.
pub struct PipelineStats {
    /// The stream's name.
    pub stream: String,
    started: Instant,
    /// Of the life that it is in.
    elements: Mutex<Vec<Arc<ElementStats>>>,
    /// Frames that elements of this life dropped for being late, as they say themselves, by the element's path.
    late: Mutex<HashMap<String, u64>>,
    /// Of the lives before.
    earlier: Mutex<Counts>,
    latency: Mutex<Latency>,
    /// The metric of all latencies.
    latency_seconds: metrics::Histogram,
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
        let (elements, late, started) = (Mutex::default(), Mutex::default(), Instant::now());
        let (stream, earlier, last) = (stream.to_owned(), Mutex::default(), Mutex::default());
        let latency_seconds = metrics::histogram!("ferroflow_latency_seconds", "stream" => stream.clone());
        Some(Arc::new(Self { stream, started, elements, late, earlier, latency, latency_seconds, last }))
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

    /// Buffers that all elements of this life have seen.
    pub fn buffers(&self) -> u64 {
        self.lock_elements().iter().map(|element| element.buffers_in.load(Ordering::Relaxed)).sum()
    }

    /// An element says that it has dropped so many late frames, in all: a sink with a clock, or the decoder
    /// that it hurries.
    pub fn late(&self, element: &gst::Object, dropped: u64) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let known = late.entry(element.path_string().into()).or_default();
        *known = dropped.max(*known);
    }

    fn count_life(&self, elements: &[Arc<ElementStats>]) -> Counts {
        let mut counts = Counts::of(elements);
        counts.dropped += self.late.lock().unwrap_or_else(PoisonError::into_inner).values().sum::<u64>();
        counts
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
        self.latency_seconds.record(elapsed);
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
        let mut summary = self.count();
        let labels = [("stream", self.stream.clone())];
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (frames, dropped) = last.as_ref().map_or((0, 0), |last| (last.frames, last.dropped));
        metrics::counter!("ferroflow_frames_total", &labels).increment(summary.frames.saturating_sub(frames));
        // What goes into a queue and what comes out are looked at one after the other: less than before is no news.
        summary.dropped = summary.dropped.max(dropped);
        metrics::counter!("ferroflow_frames_dropped_total", &labels).increment(summary.dropped - dropped);
        *last = Some(summary);
    }

    /// Ends a life: its counts are published and kept, and the next life's come on top. To be called while
    /// its pipeline, whose elements hold some of them, is still there.
    pub fn end_life(&self) {
        self.publish();
        let mut elements = self.lock_elements();
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner).add(self.count_life(&elements));
        elements.clear();
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Times of frames begin anew.
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).entered.clear();
    }

    /// All counts as they were last published: the elements that hold some of them go with their pipeline.
    pub fn summary(&self) -> Option<Summary> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> Summary {
        let elements = self.lock_elements();
        let mut counts = self.earlier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        counts.add(self.count_life(&elements));
        drop(elements);
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let percentile = |quantile| Duration::from_micros(latency.microseconds.value_at_quantile(quantile));
        let [classified_faces, classified_frames] = counts.classified;
        Summary {
            stream: self.stream.clone(),
            elapsed: self.started.elapsed(),
            frames: counts.frames,
            dropped: counts.dropped,
            faces: counts.faces,
            batch_size: (classified_frames > 0).then(|| classified_faces as f64 / classified_frames as f64),
            latency: (!latency.microseconds.is_empty()).then(|| [0.5, 0.95, 0.99].map(percentile)),
            elements: counts.elements.iter().map(ElementCounts::summary).collect(),
        }
    }
}

/// What was counted in one life of a stream, or in several.
#[derive(Clone, Debug, Default)]
struct Counts {
    frames: u64,
    dropped: u64,
    faces: u64,
    /// Faces and frames.
    classified: [u64; 2],
    elements: Vec<ElementCounts>,
}

impl Counts {
    /// Those of a life whose elements are still there.
    fn of(elements: &[Arc<ElementStats>]) -> Self {
        let most = |is: fn(&ElementStats) -> bool| {
            let counted = elements.iter().filter(|element| is(element));
            counted.map(|element| element.buffers_in.load(Ordering::Relaxed)).max()
        };
        let ours = most(|element| element.factory.starts_with("fer") && element.factory != "fersource");
        let sum = |name: &str| elements.iter().map(|element| element.own_count(name)).sum::<u64>();
        Self {
            frames: ours.or_else(|| most(|_| true)).unwrap_or(0),
            dropped: elements.iter().map(|element| element.dropped()).sum(),
            faces: sum("faces"),
            classified: ["classified-faces", "classified-frames"].map(sum),
            elements: ElementCounts::of(elements),
        }
    }

    fn add(&mut self, life: Self) {
        self.frames += life.frames;
        self.dropped += life.dropped;
        self.faces += life.faces;
        for (own, other) in self.classified.iter_mut().zip(life.classified) {
            *own += other;
        }
        for element in life.elements {
            match self.elements.iter_mut().find(|known| known.key == element.key) {
                Some(known) => known.add(&element),
                None => self.elements.push(element),
            }
        }
    }
}

/// What was counted of one element, in one life of its stream or in several.
#[derive(Clone, Debug)]
struct ElementCounts {
    /// By which it is known again in the next life.
    key: String,
    name: String,
    waits: bool,
    buffers: u64,
    nanoseconds: u64,
    depth: [u64; 3],
}

impl ElementCounts {
    /// Those that saw buffers, in the order they were first seen.
    fn of(elements: &[Arc<ElementStats>]) -> Vec<Self> {
        let mut unnamed = HashMap::new();
        let counts = elements.iter().map(|element| {
            // GStreamer counts up in the names that it gives, from life to life: `queue0`, then `queue1` for
            // the same queue.
            let given = element.name.strip_prefix(&element.factory).is_some_and(|rest| {
                !rest.is_empty() && rest.chars().all(|char| char == '-' || char.is_ascii_digit())
            });
            let key = if given {
                let count = unnamed.entry(element.factory.as_str()).or_insert(0);
                *count += 1;
                format!("{} {count}", element.factory)
            } else {
                element.name.clone()
            };
            Self {
                key,
                name: element.name.clone(),
                waits: element.is_queue(),
                buffers: element.buffers_in.load(Ordering::Relaxed),
                nanoseconds: element.nanoseconds.load(Ordering::Relaxed),
                depth: element.depth.each_ref().map(|count| count.load(Ordering::Relaxed)),
            }
        });
        counts.filter(|element| element.buffers > 0).collect()
    }

    fn add(&mut self, life: &Self) {
        self.buffers += life.buffers;
        self.nanoseconds += life.nanoseconds;
        let ([sum, looks, deepest], [more, more_looks, deepest_now]) = (&mut self.depth, life.depth);
        (*sum, *looks, *deepest) = (*sum + more, *looks + more_looks, (*deepest).max(deepest_now));
    }

    fn summary(&self) -> ElementSummary {
        let [sum, looks, deepest] = self.depth;
        ElementSummary {
            name: self.name.clone(),
            buffers: self.buffers,
            busy: Duration::from_nanos(self.nanoseconds),
            waits: self.waits,
            depth: (looks > 0).then(|| (sum as f64 / looks as f64, deepest)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_counted_adds_up() {
        crate::stream::init().unwrap();
        let stats = PipelineStats::new("camera").unwrap();
        let mut seen = Vec::new();
        for frames in [30, 20] {
            let make = |factory| gst::ElementFactory::make(factory).build().unwrap();
            let elements = ["queue", "fertrack", "queue"].map(make);
            for element in &elements {
                stats.add(element).buffers_in.store(frames, Ordering::Relaxed);
            }
            stats.end_life();
            seen.push(stats.summary().unwrap().frames);
        }
        assert_eq!(seen, [30, 50]);
        let elements = stats.summary().unwrap().elements;
        assert_eq!(elements.iter().map(|element| element.buffers).collect::<Vec<_>>(), [50, 50, 50]);
    }
}
