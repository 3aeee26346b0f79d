//! Measures the time in each element through GStreamer's tracing hooks, without touching the pipeline.
//!
//! The time of an element is that of its chain function less that of the chain functions it calls by pushing. Work
//! that an element does in threads of its own (a decoder's, for one) is not seen.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc, LazyLock, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::stats::{ElementStats, PipelineStats};

/// An element as the hooks know it.
#[derive(Clone)]
struct Entry {
    pipeline: Arc<PipelineStats>,
    stats: Arc<ElementStats>,
    /// Decoded frames enter here: latency is measured from it.
    is_entry: bool,
    is_sink: bool,
}

#[derive(Default)]
struct Registry {
    /// By address of the pipeline.
    pipelines: HashMap<usize, (Arc<PipelineStats>, bool)>,
    /// By address of the element, with that of its pipeline; `None` for bins.
    elements: HashMap<usize, (usize, Option<Entry>)>,
}

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(RwLock::default);
/// Spares the hooks any work while nothing is watched.
static WATCHING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Chain functions that this thread is in: when each began and what its callees took.
    static STACK: RefCell<Vec<(Instant, u64)>> = const { RefCell::new(Vec::new()) };
}

fn address(object: &impl IsA<gst::Object>) -> usize {
    object.as_ref().as_ptr() as usize
}

/// Counts a pipeline as long as it lives.
pub struct Watched {
    address: usize,
}

impl Watched {
    /// Begins to count what goes on in `pipeline`.
    pub fn new(pipeline: &gst::Pipeline, stats: &Arc<PipelineStats>) -> Self {
        let address = address(pipeline);
        if let Ok(mut registry) = REGISTRY.write() {
            registry.pipelines.insert(address, (Arc::clone(stats), false));
        }
        WATCHING.store(true, Ordering::Relaxed);
        Self { address }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(mut registry) = REGISTRY.write() {
            registry.pipelines.remove(&self.address);
            registry.elements.retain(|_, (pipeline, _)| *pipeline != self.address);
            WATCHING.store(!registry.pipelines.is_empty(), Ordering::Relaxed);
        }
    }
}

/// The element that a pad belongs to, counted from its first buffer on.
fn entry(pad: &gst::Pad) -> Option<Entry> {
    let element = pad.parent_element()?;
    let key = address(&element);
    if let Some((_, entry)) = REGISTRY.read().ok()?.elements.get(&key) {
        return entry.clone();
    }
    let mut top = element.clone().upcast::<gst::Object>();
    while let Some(parent) = top.parent() {
        top = parent;
    }
    let root = address(&top);
    // Elements of pipelines that nobody watches are not remembered: their addresses may be used again. So
    // they come here with each buffer, and must not shut out those that are watched.
    if !REGISTRY.read().ok()?.pipelines.contains_key(&root) {
        return None;
    }
    let mut registry = REGISTRY.write().ok()?;
    // Another thread of the same element may have been faster.
    if let Some((_, entry)) = registry.elements.get(&key) {
        return entry.clone();
    }
    let watched = registry.pipelines.get_mut(&root).filter(|_| !element.is::<gst::Bin>());
    let entry = watched.map(|(pipeline, has_entry)| {
        let factory = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        let is_entry = !*has_entry && factory.starts_with("fer");
        *has_entry |= is_entry;
        Entry {
            pipeline: Arc::clone(pipeline),
            stats: pipeline.add(&element),
            is_entry,
            is_sink: element.element_flags().contains(gst::ElementFlags::SINK),
        }
    });
    // The watch may have ended just now.
    if registry.pipelines.contains_key(&root) {
        registry.elements.insert(key, (root, entry.clone()));
    }
    entry
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Tracer;

    #[glib::object_subclass]
    impl ObjectSubclass for Tracer {
        const NAME: &'static str = "FerroflowTracer";
        type Type = super::Tracer;
        type ParentType = gst::Tracer;
    }

    impl ObjectImpl for Tracer {
        fn constructed(&self) {
            self.parent_constructed();
            self.register_hook(TracerHook::PadChainPre);
            self.register_hook(TracerHook::PadChainPost);
            self.register_hook(TracerHook::PadPushPre);
        }
    }

    impl GstObjectImpl for Tracer {}

    impl TracerImpl for Tracer {
        fn pad_chain_pre(&self, _ts: u64, pad: &gst::Pad, buffer: &gst::Buffer) {
            if !WATCHING.load(Ordering::Relaxed) {
                return;
            }
            if let Some(entry) = entry(pad) {
                entry.stats.buffers_in.fetch_add(1, Ordering::Relaxed);
                if let Some(pts) = buffer.pts() {
                    if entry.is_entry {
                        entry.pipeline.entered(pts);
                    }
                    if entry.is_sink {
                        entry.pipeline.arrived(pts);
                    }
                }
            }
            STACK.with_borrow_mut(|stack| stack.push((Instant::now(), 0)));
        }

        fn pad_chain_post(
            &self,
            _ts: u64,
            pad: &gst::Pad,
            _result: Result<gst::FlowSuccess, gst::FlowError>,
        ) {
            // A frame that entered before the watch began has nothing on the stack.
            let Some((began, inside)) = STACK.with_borrow_mut(Vec::pop) else { return };
            let total = began.elapsed().as_nanos() as u64;
            STACK.with_borrow_mut(|stack| {
                if let Some((_, callees)) = stack.last_mut() {
                    *callees += total;
                }
            });
            if let Some(entry) = entry(pad) {
                entry.stats.nanoseconds.fetch_add(total.saturating_sub(inside), Ordering::Relaxed);
            }
        }

        fn pad_push_pre(&self, _ts: u64, pad: &gst::Pad, _buffer: &gst::Buffer) {
            if WATCHING.load(Ordering::Relaxed)
                && let Some(entry) = entry(pad)
            {
                entry.stats.buffers_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

glib::wrapper! {
    /// The tracer object; one lives as long as the program.
    pub struct Tracer(ObjectSubclass<imp::Tracer>) @extends gst::Tracer, gst::Object;
}

/// Installs the hooks for the rest of the program's life.
pub fn install() -> anyhow::Result<()> {
    let tracer: Tracer = glib::Object::new();
    // GStreamer keeps no reference of its own for hooks registered this way.
    std::mem::forget(tracer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwatched_pipeline_shuts_nobody_out() {
        crate::stream::init().unwrap();
        let pipeline = |chain| gst::parse::launch(chain).unwrap().downcast::<gst::Pipeline>().unwrap();
        let watched = pipeline("fakesrc ! fakesink");
        let _watched = Watched::new(&watched, &PipelineStats::new("watched").unwrap());
        // While somebody reads, who wants to write waits.
        let reading = REGISTRY.read().unwrap();
        let unwatched = pipeline("fakesrc num-buffers=5 ! fakesink");
        unwatched.set_state(gst::State::Playing).unwrap();
        let patience = gst::ClockTime::from_seconds(10);
        let end = unwatched.bus().unwrap().timed_pop_filtered(patience, &[gst::MessageType::Eos]);
        drop(reading);
        unwatched.set_state(gst::State::Null).unwrap();
        assert!(end.is_some(), "its buffers waited for the registry");
    }
}
