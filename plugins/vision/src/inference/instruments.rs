//! What one session is called, what is counted of it, and whether it still works.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{Gauge, Histogram};

use super::{Device, InferenceError};

/// Name, device and metrics of one session. Sessions of one model add up. The metrics' handles are made once, so that
/// counting allocates nothing.
#[derive(Debug)]
pub(super) struct Instruments {
    /// The model's name.
    pub model: String,
    /// The device that runs it.
    pub device: Device,
    run: Histogram,
    wait: Histogram,
    batch_size: Histogram,
    depth: Gauge,
    loaded: Gauge,
    waiting: AtomicUsize,
    /// Why nothing can run any more: nothing can be said of a network's state after a panic.
    pub broken: OnceLock<String>,
}

impl Instruments {
    /// Counts the session as loaded until this is dropped.
    pub fn new(model: String, device: Device) -> Self {
        let loaded = metrics::gauge!("ferroflow_model_loaded", "model" => model.clone(), "device" => device.to_string());
        loaded.increment(1.0);
        Self {
            run: metrics::histogram!("ferroflow_inference_seconds", "model" => model.clone()),
            wait: metrics::histogram!("ferroflow_inference_wait_seconds", "model" => model.clone()),
            batch_size: metrics::histogram!("ferroflow_inference_batch_size", "model" => model.clone()),
            depth: metrics::gauge!("ferroflow_inference_queue_depth", "model" => model.clone()),
            loaded,
            waiting: AtomicUsize::new(0),
            broken: OnceLock::new(),
            model,
            device,
        }
    }

    /// An error of this session.
    pub fn failed(&self, reason: impl Into<String>) -> InferenceError {
        InferenceError::Run { model: self.model.clone(), device: self.device, reason: reason.into() }
    }

    /// A run of so many items is done.
    pub fn ran(&self, items: usize, took: Duration) {
        self.run.record(took);
        self.batch_size.record(items as f64);
    }

    /// A request gets in line.
    pub fn enter(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.depth.increment(1.0);
    }

    /// A request leaves the line, after this time.
    pub fn leave(&self, waited: Duration) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.depth.decrement(1.0);
        self.wait.record(waited);
    }

    /// A request found no line.
    pub fn pass(&self) {
        self.wait.record(0.0);
    }

    /// Requests in line.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

impl Drop for Instruments {
    fn drop(&mut self) {
        self.loaded.decrement(1.0);
    }
}
