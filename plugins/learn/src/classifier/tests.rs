//! Training without kernels of ours, as on a CUDA device, but on Burn's plain backend for the CPU.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;

use super::network::{INPUTS, Network};
use super::step::Learner;
use super::training::{Outcome, Training};
use super::views::{View, batch};
use super::{Examples, Layer, Looks, Settings, fingerprint};
use crate::device::Device;
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::Moments;
use crate::random::Random;

type Plain = Autodiff<NdArray>;
type Ours = Autodiff<Flex>;

const SIDE: usize = 20;
const ROWS: usize = 48;
const CLASSES: usize = 3;

/// Faces whose class is where their bright bar lies.
fn pixels() -> Vec<u8> {
    let mut random = Random::new(&[5]);
    let mut pixel = |at: usize| {
        let (row, x) = (at / (SIDE * SIDE), at % SIDE);
        let bright = x / 7 == row % CLASSES;
        (60.0 + 100.0 * f32::from(bright) + 40.0 * random.unit()) as u8
    };
    (0..ROWS * SIDE * SIDE).map(&mut pixel).collect()
}

fn targets() -> Vec<f32> {
    (0..ROWS).flat_map(|row| (0..CLASSES).map(move |class| f32::from(class == row % CLASSES))).collect()
}

fn settings() -> Settings {
    let layer = |channels, pool| Layer { channels, pool };
    Settings {
        layers: vec![layer(4, true), layer(6, false), layer(8, true)],
        epochs: 1,
        batch_size: 16,
        shards: 2,
        mixup: 0.2,
        averaging: 0.9,
        ..Settings::default()
    }
}

/// Trains on all rows but the last eight, which judge; until so many steps are done.
fn run<B: Learner>(settings: &Settings, folder: &Path, stop_after: usize) -> Result<Outcome, LearnError> {
    let (pixels, targets) = (pixels(), targets());
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    let rows: Vec<usize> = (0..ROWS).collect();
    let (learn, validate) = rows.split_at(ROWS - 8);
    let (cancelled, steps) = (AtomicBool::new(false), Cell::new(0));
    Training {
        examples: Examples { faces, targets: &targets, weights: None, classes: CLASSES },
        learn,
        validate,
        settings,
        begin: None,
        stream: 0,
        fingerprint: "test",
        state: &folder.join("classifier"),
        threads: 2,
        progress: &|_| {
            steps.set(steps.get() + 1);
            cancelled.store(steps.get() == stop_after, Ordering::Relaxed);
        },
        epoch_done: &|_| {},
        cancelled: &cancelled,
    }
    .run::<B>(&Default::default())
}

/// Losses of all epochs, and what the network says of all faces.
fn found((classifier, history): &Outcome) -> (Vec<f32>, Vec<f32>) {
    let pixels = pixels();
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    let rows: Vec<usize> = (0..ROWS).collect();
    let answers = classifier.probabilities(faces, &rows, Looks::One, &AtomicBool::new(false)).unwrap();
    (history.iter().map(|epoch| epoch.loss).collect(), answers)
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Logits, gradients of all weights, and moments, of a few faces.
fn pass<B: Learner>() -> (Vec<f32>, Vec<Vec<f32>>, Vec<f32>) {
    let device = Default::default();
    let (settings, pixels) = (settings(), pixels());
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    let mut network = Network::<B>::new(&settings.layers, CLASSES, &mut Random::new(&[3]), &device);
    // The last layer is zero at first, and would let no gradient through.
    let [features, _] = network.head.val().dims();
    let head: Vec<f32> = (0..features * CLASSES).map(|at| (at as f32 * 1.7).sin()).collect();
    let head = Tensor::<B, 2>::from_data(TensorData::new(head, [features, CLASSES]), &device);
    network.head = network.head.map(|_| head.require_grad());
    let (grid, input) = batch(faces, (0..7).map(|row| (row, View::plain(row % 2 == 0, 1.0))));
    let input = Tensor::from_data(TensorData::new(input, [grid.rows(), INPUTS]), &device);
    let (logits, moments) = network.forward(input, grid, None, None);
    // Each logit counts in its own way.
    let weighting: Vec<f32> = (0..7 * CLASSES).map(|at| (at as f32).cos()).collect();
    let weighting = Tensor::from_data(TensorData::new(weighting, [7, CLASSES]), &device);
    let gradients = (logits.clone() * weighting).sum().backward();
    fn of<B: Learner, const D: usize>(tensor: &Tensor<B, D>, gradients: &B::Gradients) -> Vec<f32> {
        tensor.grad(gradients).unwrap().into_data().iter::<f32>().collect()
    }
    let mut all = vec![of(&network.head.val(), &gradients)];
    for block in &network.blocks {
        all.push(of(&block.weights.val(), &gradients));
        all.push(of(&block.gain.val(), &gradients));
        all.push(of(&block.bias.val(), &gradients));
    }
    let moments = moments.iter().flat_map(|moments| {
        let moments = moments.to_cpu().unwrap();
        [moments.mean, moments.variance].concat()
    });
    (logits.into_data().iter::<f32>().collect(), all, moments.collect())
}

#[test]
fn a_backend_without_kernels_of_ours_computes_what_ours_compute() {
    let ((plain, plain_gradients, plain_moments), (ours, our_gradients, our_moments)) =
        (pass::<Plain>(), pass::<Ours>());
    assert!(apart(&plain, &ours) < 1e-4, "{plain:?} {ours:?}");
    assert!(apart(&plain_moments, &our_moments) < 1e-4);
    assert_eq!(plain_gradients.len(), our_gradients.len());
    for (plain, ours) in plain_gradients.iter().zip(&our_gradients) {
        let greatest = ours.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
        assert!(greatest > 0.0);
        assert!(apart(plain, ours) < 1e-3 * greatest.max(1.0), "{plain:?} {ours:?}");
    }
}

#[test]
fn and_learns_what_ours_learn() {
    let folder = tempfile::tempdir().unwrap();
    // Rounding differs, and what agrees in a first epoch agrees less in those that follow.
    for (epochs, losses_apart, answers_apart) in [(1, 1e-4, 1e-3), (4, 1e-2, 5e-2)] {
        let (settings, folder) = (Settings { epochs, ..settings() }, folder.path().join(epochs.to_string()));
        let (plain, plain_answers) = found(&run::<Plain>(&settings, &folder.join("plain"), 0).unwrap());
        let (ours, our_answers) = found(&run::<Ours>(&settings, &folder.join("ours"), 0).unwrap());
        assert!(apart(&plain, &ours) < losses_apart, "{plain:?} {ours:?}");
        let apart = apart(&plain_answers, &our_answers);
        assert!(apart < answers_apart, "{apart} apart after {epochs} epochs");
    }
}

#[test]
fn and_goes_on_from_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: 3, ..settings() };
    let whole = run::<Plain>(&settings, &folder.path().join("whole"), 0).unwrap();
    let broken = folder.path().join("broken");
    // In the middle of the second epoch, which has two steps.
    assert!(matches!(run::<Plain>(&settings, &broken, 3), Err(LearnError::Cancelled)));
    assert_eq!(found(&run::<Plain>(&settings, &broken, 0).unwrap()), found(&whole));
}

#[test]
fn a_checkpoint_belongs_to_one_kind_of_device() {
    let (pixels, targets) = (pixels(), targets());
    let faces = Faces { pixels: &pixels, width: SIDE, height: SIDE };
    let examples = Examples { faces, targets: &targets, weights: None, classes: CLASSES };
    let of = |device| fingerprint(device, examples, &[0, 1], &[2], &settings(), None).unwrap();
    assert_ne!(of(Device::Cpu), of(Device::Cuda(0)));
    assert_eq!(of(Device::Cuda(0)), of(Device::Cuda(1)));
}
