//! What sets trainings apart, and small ones for the tests of a device.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::train::{Outcome, Training};
use super::{Discriminator, Generator, Settings, fingerprint};
use crate::error::LearnError;
use crate::faces::Faces;
use ferroflow_cuda::Device;

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

/// Trains somewhere, until so many steps are done.
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
fn a_checkpoint_belongs_to_one_kind_of_device() {
    let pixels = faces(2, true);
    let classes = [Faces { pixels: &pixels, width: SIDE, height: SIDE }; 2];
    let of = |device| fingerprint(device, classes, &small(1)).unwrap();
    assert_ne!(of(Device::Cpu), of(Device::Cuda(0)));
    assert_eq!(of(Device::Cuda(0)), of(Device::Cuda(1)));
}
