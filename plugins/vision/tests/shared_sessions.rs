//! Sessions of real models, shared by threads: who shares, what each gets, what is counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::Arc, thread, time::Duration};

use ferroflow_vision::{
    inference::{Device, InferenceError, Output, SessionOptions, SharedSession},
    model,
};
use metrics_util::{
    MetricKind,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};

fn path(name: &str) -> PathBuf {
    model::resolve_model(name).unwrap_or_else(|error| panic!("{error}: run `make setup`")).path
}

/// Options of an instance that no other test shares.
fn options(instance: &str, batch_size: usize) -> SessionOptions {
    SessionOptions {
        device: Device::Cpu,
        threads: 1,
        instance_id: instance.into(),
        batch_size,
        ..SessionOptions::default()
    }
}

/// A face of mini-Xception's size, another for each number.
fn image(number: usize) -> Vec<f32> {
    (0..64 * 64).map(|pixel| ((pixel * (number + 3)) % 251) as f32 / 251.0).collect()
}

fn classify(session: &SharedSession, number: usize) -> Vec<f32> {
    session.run([1, 1, 64, 64], &mut image(number), |outputs| outputs[0].values.to_vec()).unwrap()
}

/// Runs with a recorder of its own and answers what it recorded of a metric.
struct Recorded(Snapshotter);

impl Recorded {
    fn values(&self, kind: MetricKind, name: &str) -> Vec<(String, DebugValue)> {
        let labels = |key: &metrics::Key| {
            key.labels().map(|label| label.value().to_owned()).collect::<Vec<_>>().join(" ")
        };
        let all = self.0.snapshot().into_vec().into_iter();
        all.filter(|(key, ..)| key.kind() == kind && key.key().name() == name)
            .map(|(key, _, _, value)| (labels(key.key()), value))
            .collect()
    }

    fn batch_sizes(&self) -> Vec<f64> {
        match &self.values(MetricKind::Histogram, "ferroflow_inference_batch_size")[..] {
            [(_, DebugValue::Histogram(sizes))] => sizes.iter().map(|size| size.into_inner()).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// By how much a gauge has changed since it was last looked at.
    fn gauge(&self, name: &str) -> Vec<(String, f64)> {
        let number = |value| match value {
            DebugValue::Gauge(value) => value.into_inner(),
            other => panic!("{other:?} is no gauge"),
        };
        let values = self.values(MetricKind::Gauge, name);
        values.into_iter().map(|(labels, value)| (labels, number(value))).collect()
    }
}

/// Opens a session whose metrics go to a recorder of its own.
fn recorded(name: &str, options: &SessionOptions) -> (Arc<SharedSession>, Recorded) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let session = metrics::with_local_recorder(&recorder, || SharedSession::open(&path(name), options));
    (session.unwrap(), Recorded(snapshotter))
}

#[test]
fn users_share_by_model_device_threads_and_instance() {
    let open = |options: &SessionOptions| SharedSession::open(&path("mini-xception"), options).unwrap();
    let first = open(&options("sharing", 4));
    assert!(Arc::ptr_eq(&first, &open(&options("sharing", 4))));
    // The first user decides on batches.
    assert!(Arc::ptr_eq(&first, &open(&options("sharing", 9))));
    assert!(!Arc::ptr_eq(&first, &open(&options("another", 4))));
    assert!(!Arc::ptr_eq(&first, &open(&SessionOptions { threads: 2, ..options("sharing", 4) })));
}

#[test]
fn streams_of_one_session_are_batched_and_each_gets_its_own_answers_in_order() {
    const STREAMS: usize = 8;
    const FRAMES: usize = 40;
    let alone = SharedSession::open(&path("mini-xception"), &options("reference", 1)).unwrap();
    let expected: Vec<_> = (0..STREAMS * FRAMES).map(|number| classify(&alone, number)).collect();
    // A waiting time, so that they meet however the threads are scheduled.
    let batches = SessionOptions { batch_timeout: Duration::from_millis(200), ..options("streams", STREAMS) };
    let (session, recorded) = recorded("mini-xception", &batches);
    thread::scope(|scope| {
        for (stream, expected) in expected.chunks(FRAMES).enumerate() {
            let session = &session;
            scope.spawn(move || {
                for (frame, expected) in expected.iter().enumerate() {
                    // Sums of a batch are grouped otherwise than those of one image.
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
                    let scores = classify(session, stream * FRAMES + frame);
                    assert!(scores.iter().zip(expected).all(close), "{scores:?} {expected:?}");
                }
            });
        }
    });
    let sizes = recorded.batch_sizes();
    assert_eq!(sizes.iter().sum::<f64>(), (STREAMS * FRAMES) as f64);
    assert!(sizes.iter().all(|&size| size <= STREAMS as f64), "{sizes:?}");
    assert!(sizes.len() < FRAMES * 2, "{} runs for {} images", sizes.len(), STREAMS * FRAMES);
}

#[test]
fn a_detector_that_puts_the_cells_of_all_images_in_a_row_is_divided_too() {
    let batches = SessionOptions { batch_timeout: Duration::from_millis(200), ..options("cells", 4) };
    let (session, recorded) = recorded("yunet", &batches);
    let image = |number: usize| -> Vec<f32> {
        (0..3 * 64 * 96).map(|index| (index * (number + 3) % 256) as f32).collect()
    };
    let run = |session: &SharedSession, number: usize| -> Vec<(Vec<i64>, Vec<f32>)> {
        let copy = |output: &Output<'_>| (output.shape.to_vec(), output.values.to_vec());
        session.run([1, 3, 64, 96], &mut image(number), |outputs| outputs.iter().map(copy).collect()).unwrap()
    };
    let alone = SharedSession::open(&path("yunet"), &options("cells alone", 1)).unwrap();
    let expected: Vec<_> = (0..4).map(|number| run(&alone, number)).collect();
    run(&session, 0);
    thread::scope(|scope| {
        for (number, expected) in expected.iter().enumerate() {
            let (session, run) = (&session, &run);
            scope.spawn(move || {
                for ((shape, values), (own_shape, own_values)) in run(session, number).iter().zip(expected) {
                    assert_eq!(shape, own_shape);
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * b.abs().max(1.0);
                    assert!(values.iter().zip(own_values).all(close), "{number}");
                }
            });
        }
    });
    // Alone, together, and once alone to see that the first image's part is what it gives by itself.
    assert_eq!(recorded.batch_sizes(), [1.0, 4.0, 1.0]);
}

#[test]
fn those_who_wait_are_answered_when_others_let_go() {
    let options = SessionOptions { batch_timeout: Duration::from_millis(300), ..options("letting go", 8) };
    let session = SharedSession::open(&path("mini-xception"), &options).unwrap();
    classify(&session, 0);
    let waiter = Arc::clone(&session);
    let waiter = thread::spawn(move || classify(&waiter, 1));
    while session.waiting() == 0 {
        thread::yield_now();
    }
    drop(session);
    assert_eq!(waiter.join().unwrap().len(), 7);
}

#[test]
fn a_session_counts_as_loaded_until_its_last_user_lets_go() {
    let (session, recorded) = recorded("mini-xception", &options("gauge", 1));
    let loaded = |value| vec![("mini-xception cpu".to_owned(), value)];
    classify(&session, 0);
    assert_eq!(recorded.gauge("ferroflow_model_loaded"), loaded(1.0));
    assert_eq!(recorded.gauge("ferroflow_inference_queue_depth")[0].1, 0.0);
    drop(session);
    assert_eq!(recorded.gauge("ferroflow_model_loaded"), loaded(-1.0));
}

#[test]
fn an_error_of_onnx_runtime_names_model_and_device() {
    let session = SharedSession::open(&path("mini-xception"), &options("error", 8)).unwrap();
    let error = session.run([1, 1, 32, 32], &mut vec![0.0; 32 * 32], |_| ()).unwrap_err();
    assert!(
        matches!(&error, InferenceError::Run { model, device: Device::Cpu, .. } if model == "mini-xception")
    );
    assert!(
        error.to_string().starts_with("the model `mini-xception` failed while running on cpu: "),
        "{error}"
    );
    assert_eq!(classify(&session, 1).len(), 7);
}
