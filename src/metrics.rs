//! Metrics for others to read. What is counted is said where it is counted, through the `metrics` crate.

use std::net::SocketAddr;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;

/// Serves Prometheus' text format on this address for the rest of the program's life.
pub fn listen(address: SocketAddr) -> anyhow::Result<()> {
    PrometheusBuilder::new()
        .with_http_listener(address)
        .install()
        .with_context(|| format!("metrics cannot be served on {address}"))?;
    describe();
    Ok(())
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("ferroflow_frames_total", "Frames that reached the first of our elements");
    describe_counter!("ferroflow_frames_dropped_total", "Frames dropped because something was late");
    describe_counter!("ferroflow_faces_total", "Faces that detectors found");
    describe_counter!("ferroflow_buffers_total", "Buffers that came into an element");
    describe_gauge!(
        "ferroflow_element_busy_seconds",
        Unit::Seconds,
        "Time spent in an element since the start"
    );
    describe_gauge!("ferroflow_queue_depth", "Buffers that wait in a queue");
    describe_gauge!("ferroflow_source_up", "1 while a source gives frames");
    describe_gauge!(
        "ferroflow_model_loaded",
        "Sessions of a model that are loaded, with the device that runs them"
    );
    describe_counter!("ferroflow_source_restarts_total", "Restarts of a source");
    describe_histogram!("ferroflow_latency_seconds", Unit::Seconds, "From decoded frame to sink");
    describe_histogram!("ferroflow_inference_seconds", Unit::Seconds, "One run of a network");
    describe_histogram!(
        "ferroflow_inference_wait_seconds",
        Unit::Seconds,
        "From a request to a network to the begin of its run"
    );
    describe_histogram!("ferroflow_inference_batch_size", "Images in one run of a network");
    describe_gauge!("ferroflow_stage_running", "1 while a stage of a batch graph runs");
    describe_gauge!("ferroflow_training", "What a training measured last: epoch, losses, accuracies");
    describe_counter!("ferroflow_stages_total", "Stages of batch graphs, by what became of them");
    describe_histogram!("ferroflow_stage_seconds", Unit::Seconds, "Time that a stage took");
    describe_gauge!("ferroflow_inference_queue_depth", "Requests that wait for a run of a network");
}
