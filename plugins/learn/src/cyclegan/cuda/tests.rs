//! The device's kernels run on the host: they learn what the CPU learns.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ferroflow_cuda::emulated::{Host, assert_compiles};

use super::super::tests::{found, small, train};
use super::super::train::Outcome;
use super::*;
use crate::cyclegan::{Discriminator, Generator, Losses, Normalisation};

fn on_host(training: &Training<'_>) -> Result<Outcome, LearnError> {
    let host = Host::new(SOURCE, &kernels());
    training.teach(DevicePair::new(host, training).map_err(failed)?)
}

fn on_cpu(training: &Training<'_>) -> Result<Outcome, LearnError> {
    training.run()
}

/// Settings for so many steps in one epoch.
fn steps(steps: usize, settings: &Settings) -> Settings {
    let epoch_faces = steps * settings.batch_size;
    Settings { epochs: 1, decay_epochs: 0, epoch_faces, ..settings.clone() }
}

/// The part of the generators' weights that another training took elsewhere in a step. Adam takes each the
/// same way, however small its gradient; where that is nearly nothing, rounding decides.
fn apart_after_a_step(one: &Outcome, other: &Outcome, rate: f64) -> f64 {
    let weights =
        |outcome: &Outcome| outcome.0.each_ref().map(|translator| values(&translator.generator)).concat();
    let (one, other) = (weights(one), weights(other));
    assert_eq!(one.len(), other.len());
    let apart = one.iter().zip(&other).filter(|(one, other)| f64::from((**one - **other).abs()) > 0.1 * rate);
    apart.count() as f64 / one.len() as f64
}

#[test]
fn the_device_learns_what_the_cpu_learns() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Losses { identity: 0.0, cycle_l1: false, cycle_l2: false, ..Losses::default() };
    let cases = [
        ("one", small(1)),
        ("two", small(2)),
        // Weights of four and more channels behind some that are no multiple of four.
        (
            "instance",
            Settings {
                normalisation: Normalisation::Instance,
                discriminator: Discriminator { width: 2, halvings: 2 },
                ..small(2)
            },
        ),
        // Channels that do not fill a tile, and no dropout.
        (
            "odd",
            Settings {
                generator: Generator { width: 5, halvings: 1, blocks: 2, dropout: 0.0 },
                discriminator: Discriminator { width: 3, halvings: 2 },
                losses: plain,
                flipped_labels: false,
                ..small(1)
            },
        ),
    ];
    for (name, settings) in cases {
        let both = |count: usize| {
            let (settings, folder) = (steps(count, &settings), folder.path().join(format!("{name}-{count}")));
            let of_cpu = train(&settings, &folder.join("cpu"), 0, on_cpu).unwrap();
            (of_cpu, train(&settings, &folder.join("device"), 0, on_host).unwrap())
        };
        let (of_cpu, of_device) = both(1);
        let apart = apart_after_a_step(&of_cpu, &of_device, settings.learning_rate);
        assert!(apart < 0.001, "{name}: {apart} of the weights went another way");
        let (losses, levels) = losses_and_levels_apart(&of_cpu, &of_device);
        assert!(losses < 1e-5 && levels < 0.01, "{name}: {losses} {levels}");
        // Where rounding decides on which side of a corner a value lies, one step turns a little, and those
        // after it more.
        let (of_cpu, of_device) = both(6);
        let (losses, levels) = losses_and_levels_apart(&of_cpu, &of_device);
        assert!(losses < 5e-3 && levels < 1.0, "{name}: {losses} {levels} after six steps");
    }
}

/// How far losses are apart at most, and gray levels of translated faces on average.
fn losses_and_levels_apart(one: &Outcome, other: &Outcome) -> (f32, f32) {
    let ((losses, faces), (other_losses, other_faces)) = (found(one), found(other));
    assert_eq!((losses.len(), faces.len()), (other_losses.len(), other_faces.len()));
    let losses = losses.iter().zip(&other_losses).map(|(one, other)| (one - other).abs());
    let levels = faces.iter().zip(&other_faces).map(|(one, other)| f32::from(one.abs_diff(*other)));
    (losses.fold(0.0, f32::max), levels.sum::<f32>() / faces.len() as f32)
}

#[test]
fn no_thread_of_a_launch_waits_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let backwards = |training: &Training<'_>| {
        let host = Host::new(SOURCE, &kernels()).backwards();
        training.teach(DevicePair::new(host, training).map_err(failed)?)
    };
    let settings = steps(3, &small(2));
    let forwards = train(&settings, &folder.path().join("forwards"), 0, on_host).unwrap();
    let backwards = train(&settings, &folder.path().join("backwards"), 0, backwards).unwrap();
    assert_eq!(found(&forwards), found(&backwards));
}

#[test]
fn a_training_on_a_device_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, whole, broken) = (small(2), folder.path().join("whole"), folder.path().join("broken"));
    let whole = train(&settings, &whole, 0, on_host).unwrap();
    // In the middle of the second epoch.
    let stopped = train(&settings, &broken, 6, on_host);
    assert!(matches!(stopped, Err(LearnError::Cancelled)), "{stopped:?}");
    assert_eq!(found(&train(&settings, &broken, 0, on_host).unwrap()), found(&whole));
}

#[test]
fn kernels_compile_for_devices() {
    assert_compiles(SOURCE, &kernels());
}
