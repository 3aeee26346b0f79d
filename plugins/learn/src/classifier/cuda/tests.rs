//! The device's kernels run on the host: they learn what the CPU learns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferroflow_cuda::emulated::{Host, assert_compiles};

use super::*;
use crate::classifier::training::Outcome as Trained;
use crate::classifier::{Classifier, Examples, Layer, Settings};
use crate::faces::Faces;
use crate::random::Random;
use crate::run::Split;

/// An odd size after the first halving, so that a line and a column are left out.
const SIDE: usize = 26;
const ROWS: usize = 41;
const CLASSES: usize = 3;

struct Data {
    rows: usize,
    pixels: Vec<u8>,
    targets: Vec<f32>,
    weights: Vec<f32>,
    /// Rows that judge.
    judges: usize,
}

impl Data {
    fn new() -> Self {
        let mut random = Random::new(&[7]);
        let pixel = |at: usize| {
            let (row, x) = (at / (SIDE * SIDE), at % SIDE);
            (60.0 + 100.0 * f32::from(x / 9 == row % CLASSES) + 40.0 * random.unit()) as u8
        };
        let pixels = (0..ROWS * SIDE * SIDE).map(pixel).collect();
        let target =
            |row: usize| (0..CLASSES).map(move |class| if class == row % CLASSES { 0.8 } else { 0.1 });
        let targets = (0..ROWS).flat_map(target).collect();
        Self {
            rows: ROWS,
            pixels,
            targets,
            weights: (0..ROWS).map(|row| 0.5 + (row % 4) as f32 / 4.0).collect(),
            judges: 8,
        }
    }

    fn train(
        &self,
        settings: &Settings,
        state: &Path,
        stop_after: usize,
        how: impl FnOnce(&Training<'_>) -> Result<Trained, LearnError>,
    ) -> Result<Trained, LearnError> {
        let rows: Vec<usize> = (0..self.rows).collect();
        let (learn, validate) = rows.split_at(self.rows - self.judges);
        let faces = Faces { pixels: &self.pixels, width: SIDE, height: SIDE };
        let (steps, cancelled) = (std::cell::Cell::new(0), AtomicBool::new(false));
        how(&Training {
            examples: Examples {
                faces,
                targets: &self.targets,
                weights: Some(&self.weights),
                classes: CLASSES,
            },
            split: Split { learn, validate },
            ask: &rows[..10],
            settings,
            begin: None,
            stream: 0,
            fingerprint: "test",
            state,
            threads: 1,
            loader_threads: 3,
            progress: &|_| {
                steps.set(steps.get() + 1);
                cancelled.store(steps.get() == stop_after, Ordering::Relaxed);
            },
            epoch_done: &|_| {},
            cancelled: &cancelled,
        })
    }
}

fn settings() -> Settings {
    let layer = |channels, pool| Layer { channels, pool };
    Settings {
        // Channels that do and do not fill a thread's tile.
        layers: vec![layer(5, true), layer(8, false), layer(6, true)],
        epochs: 2,
        batch_size: 12,
        shards: 2,
        mixup: 0.2,
        averaging: 0.9,
        dropout: 0.3,
        weight_decay: 0.01,
        ..Settings::default()
    }
}

fn host() -> Host {
    Host::new(SOURCE, &kernels())
}

fn on_host(training: &Training<'_>) -> Result<Trained, LearnError> {
    training.teach(DeviceLearner::new(host(), training).map_err(failed)?)
}

fn on_cpu(training: &Training<'_>) -> Result<Trained, LearnError> {
    training.run()
}

fn greatest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_device_learns_what_the_cpu_learns() {
    let (mut data, folder) = (Data::new(), tempfile::tempdir().unwrap());
    for (name, judges, settings) in [
        ("averaged", 8, settings()),
        ("plain", 0, Settings { averaging: 0.0, dropout: 0.0, shards: 1, mixup: 0.0, ..settings() }),
    ] {
        // Without judges, the rows are asked where the network has learnt.
        data.judges = judges;
        let path = |device: &str| folder.path().join(format!("{name}-{device}"));
        let cpu = data.train(&settings, &path("cpu"), 0, on_cpu).unwrap();
        let device = data.train(&settings, &path("device"), 0, on_host).unwrap();
        for (of_cpu, of_device) in cpu.history.iter().zip(&device.history) {
            assert!((of_cpu.loss - of_device.loss).abs() < 1e-3, "{name}: {of_cpu:?} {of_device:?}");
            assert_eq!(of_cpu.validation, of_device.validation, "{name}");
        }
        assert_eq!(cpu.answers.len(), 10 * CLASSES);
        let apart = greatest_difference(&cpu.answers, &device.answers);
        assert!(apart < 1e-3, "{name}: answers {apart} apart");
        let (cpu, device) = (cpu.classifier, device.classifier);
        let moments = |of: &Classifier| -> Vec<f32> {
            of.moments.iter().flat_map(|block| [&block.mean[..], &block.variance].concat()).collect()
        };
        let apart = greatest_difference(&moments(&cpu), &moments(&device));
        assert!(apart < 1e-3, "{name}: moments {apart} apart");
        let (cpu, device) = (cpu.network.values(), device.network.values());
        let apart = greatest_difference(&cpu, &device);
        let first = data.train(&Settings { epochs: 0, ..settings }, &path("first"), 0, on_cpu).unwrap();
        let moved = greatest_difference(&cpu, &first.classifier.network.values());
        assert!(moved > 0.02 && apart < 0.01 * moved, "{name}: weights moved by {moved}, {apart} apart");
    }
}

#[test]
fn fewer_faces_than_fill_the_shards_are_all_learnt_from() {
    let (data, folder) = (Data { rows: 11, judges: 0, ..Data::new() }, tempfile::tempdir().unwrap());
    let settings = Settings { shards: 8, batch_size: 16, epochs: 1, ..settings() };
    let cpu = data.train(&settings, &folder.path().join("cpu"), 0, on_cpu).unwrap().history;
    let device = data.train(&settings, &folder.path().join("device"), 0, on_host).unwrap().history;
    assert!((cpu[0].loss - device[0].loss).abs() < 1e-3, "{cpu:?} {device:?}");
}

#[test]
fn a_training_on_a_device_goes_on_to_the_same_bits() {
    let (data, folder) = (Data::new(), tempfile::tempdir().unwrap());
    let whole = data.train(&settings(), &folder.path().join("whole"), 0, on_host).unwrap();
    let broken = folder.path().join("broken");
    let stopped = data.train(&settings(), &broken, 3, on_host);
    assert!(matches!(stopped, Err(LearnError::Cancelled)));
    let resumed = data.train(&settings(), &broken, 0, on_host).unwrap();
    assert_eq!(whole.classifier.network.values(), resumed.classifier.network.values());
    assert_eq!((whole.history, whole.answers), (resumed.history, resumed.answers));
}

#[test]
fn kernels_compile_for_devices() {
    assert_compiles(SOURCE, &kernels());
}
