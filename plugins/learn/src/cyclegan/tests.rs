//! Training without kernels of ours, as on a CUDA device, but on Burn's plain backend for the CPU.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::{Autodiff, Flex};
use burn_ndarray::NdArray;

use super::step::Learner;
use super::train::{Outcome, Training};
use super::{Discriminator, Generator, Settings, fingerprint};
use crate::device::Device;
use crate::error::LearnError;
use crate::faces::Faces;

type Plain = Autodiff<NdArray>;
pub(super) type Ours = Autodiff<Flex>;

const SIDE: usize = 16;

/// Faces with a slope that is the other way round in the other class.
fn faces(count: usize, rising: bool) -> Vec<u8> {
    let pixel = |at: usize| {
        let (face, x) = (at / (SIDE * SIDE), at % SIDE);
        let x = if rising { x } else { SIDE - 1 - x };
        (12 * x + 5 * (face % 9) + at % 7) as u8
    };
    (0..count * SIDE * SIDE).map(pixel).collect()
}

pub(super) fn small(batch_size: usize) -> Settings {
    Settings {
        generator: Generator { width: 4, halvings: 2, blocks: 1, dropout: 0.5 },
        discriminator: Discriminator { width: 4, halvings: 1 },
        batch_size,
        epochs: 2,
        decay_epochs: 1,
        buffer: 3,
        ..Settings::default()
    }
}

/// Trains on a backend of Burn's, until so many steps are done.
fn run<B: Learner>(settings: &Settings, folder: &Path, stop_after: usize) -> Result<Outcome, LearnError> {
    train(settings, folder, stop_after, |training| training.run::<B>(&Default::default()))
}

/// The same anywhere.
pub(super) fn train(
    settings: &Settings,
    folder: &Path,
    stop_after: usize,
    how: impl FnOnce(&Training<'_>) -> Result<Outcome, LearnError>,
) -> Result<Outcome, LearnError> {
    let (falling, rising) = (faces(6, false), faces(8, true));
    let classes = [&falling, &rising].map(|pixels| Faces { pixels, width: SIDE, height: SIDE });
    let (cancelled, steps) = (AtomicBool::new(false), Cell::new(0));
    how(&Training {
        settings,
        classes,
        fingerprint: "test",
        checkpoint: folder.join("cyclegan"),
        parallel: false,
        progress: &|_| {
            steps.set(steps.get() + 1);
            cancelled.store(steps.get() == stop_after, Ordering::Relaxed);
        },
        epoch_done: &|_| {},
        cancelled: &cancelled,
    })
}

/// Losses of all epochs, and what becomes of a few faces.
pub(super) fn found(outcome: &Outcome) -> (Vec<f32>, Vec<u8>) {
    let (translators, history) = outcome;
    let losses = history.iter().flatten().flat_map(super::Direction::values).collect();
    let pixels = faces(4, false);
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    (losses, translators.iter().flat_map(|translator| translator.translate(faces).unwrap()).collect())
}

#[test]
fn a_backend_without_kernels_of_ours_learns_what_ours_learns() {
    for batch_size in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            |epoch_faces: usize| Settings { epochs: 1, decay_epochs: 0, epoch_faces, ..small(batch_size) };
        // Rounding differs, and Adam makes steps of one length of differences however small: what agrees in a first step agrees
        // less and less in those that follow.
        for (steps, losses_apart, levels_apart) in [(1, 1e-5, 1), (6, 5e-3, 4)] {
            let (settings, folder) = (settings(steps * batch_size), folder.path().join(steps.to_string()));
            let (plain, plain_faces) = found(&run::<Plain>(&settings, &folder.join("plain"), 0).unwrap());
            let (ours, our_faces) = found(&run::<Ours>(&settings, &folder.join("ours"), 0).unwrap());
            assert_eq!(plain.len(), ours.len());
            for (plain, ours) in plain.iter().zip(&ours) {
                assert!((plain - ours).abs() < losses_apart, "{plain} {ours} after {steps}");
            }
            let apart = plain_faces.iter().zip(&our_faces).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(apart.is_some_and(|apart| apart <= levels_apart), "{apart:?} gray levels apart");
        }
    }
}

#[test]
fn a_backend_without_kernels_of_ours_goes_on_from_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, whole, broken) = (small(2), folder.path().join("whole"), folder.path().join("broken"));
    let whole = run::<Plain>(&settings, &whole, 0).unwrap();
    // In the middle of the second epoch.
    let stopped = run::<Plain>(&settings, &broken, 6);
    assert!(matches!(stopped, Err(LearnError::Cancelled)));
    assert_eq!(found(&run::<Plain>(&settings, &broken, 0).unwrap()), found(&whole));
}

#[test]
fn a_checkpoint_belongs_to_one_kind_of_device() {
    let pixels = faces(2, true);
    let classes = [Faces { pixels: &pixels, width: SIDE, height: SIDE }; 2];
    let of = |device| fingerprint(device, classes, &small(1)).unwrap();
    assert_ne!(of(Device::Cpu), of(Device::Cuda(0)));
    assert_eq!(of(Device::Cuda(0)), of(Device::Cuda(1)));
}
