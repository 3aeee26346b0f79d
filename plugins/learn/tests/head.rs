//! Heads trained on small made features.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferroflow_learn::classifier::EpochResult;
use ferroflow_learn::head::{Examples, Settings, Trained, Unfrozen, train};
use ferroflow_learn::{Device, LearnError, Run, Split};
use ferroflow_onnx::Convolution;

const DIMENSIONS: usize = 6;
const CLASSES: usize = 3;
const ROWS: usize = 200;

/// Features whose class is which pair of them is great; the last 50 rows are for validation.
struct Made {
    features: Vec<f32>,
    targets: Vec<f32>,
}

fn made(offset: f32, spread: f32) -> Made {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let (mut features, mut targets) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let class = row % CLASSES;
        features.extend((0..DIMENSIONS).map(|at| {
            let value = noise() + if at / 2 == class { 1.0 } else { 0.0 };
            offset + spread * value
        }));
        targets.extend((0..CLASSES).map(|at| f32::from(u8::from(at == class))));
    }
    Made { features, targets }
}

fn examples(made: &Made) -> Examples<'_> {
    Examples {
        features: &made.features,
        mirrored: None,
        dimensions: DIMENSIONS,
        targets: &made.targets,
        weights: None,
        classes: CLASSES,
    }
}

fn settings() -> Settings {
    Settings { hidden: 16, batch_size: 16, learning_rate: 0.01, epochs: 12, ..Settings::default() }
}

fn run<'a>(checkpoints: &'a Path, cancelled: &'a AtomicBool) -> Run<'a> {
    Run { device: Device::Cpu, checkpoints, workers: 1, cancelled }
}

fn learnt(examples: Examples<'_>, settings: &Settings, folder: &Path) -> Result<Trained, LearnError> {
    let (learn, validate): (Vec<usize>, Vec<usize>) = ((0..150).collect(), (150..ROWS).collect());
    let go_on = AtomicBool::new(false);
    let split = Split { learn: &learn, validate: &validate };
    train(examples, None, split, settings, &run(folder, &go_on), &|_| {}, &|_| {})
}

#[test]
fn classes_that_lie_apart_are_learnt() {
    let made = made(0.0, 1.0);
    let folder = tempfile::tempdir().unwrap();
    let Trained { head, history, epoch } = learnt(examples(&made), &settings(), folder.path()).unwrap();
    assert!(history[epoch].validation.unwrap() > 0.95, "{history:?}");
    // The kept epoch is the one with the least loss.
    let losses: Vec<f32> = history.iter().map(|epoch| epoch.validation_loss.unwrap()).collect();
    assert!(losses.iter().all(|loss| *loss >= losses[epoch]), "{losses:?}");
    let answers = head.probabilities(&made.features).unwrap();
    let right = answers.chunks_exact(CLASSES).enumerate().filter(|(row, answer)| {
        assert!((answer.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        answer.iter().all(|value| *value <= answer[row % CLASSES])
    });
    assert!(right.count() > 190);
    assert!(head.probabilities(&made.features[1..]).is_err());
}

#[test]
fn features_far_from_zero_are_learnt_when_they_are_standardised() {
    let made = made(300.0, 40.0);
    let settings = Settings { standardise: true, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let Trained { history, epoch, .. } = learnt(examples(&made), &settings, folder.path()).unwrap();
    assert!(history[epoch].validation.unwrap() > 0.95, "{history:?}");
}

#[test]
fn a_training_that_is_stopped_goes_on_to_the_same_bytes() {
    let made = made(1.0, 2.0);
    let settings = Settings { epochs: 5, patience: 0, standardise: true, ..settings() };
    let mirrored: Vec<f32> = made.features.iter().map(|value| value + 0.1).collect();
    let examples = Examples { mirrored: Some(&mirrored), ..examples(&made) };
    let whole = tempfile::tempdir().unwrap();
    let whole = learnt(examples, &settings, whole.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (learn, validate): (Vec<usize>, Vec<usize>) = ((0..150).collect(), (150..ROWS).collect());
    for stop_after in [1, 3, 4] {
        let stop = AtomicBool::new(false);
        let epoch = |history: &[EpochResult]| {
            if history.len() == stop_after {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let split = Split { learn: &learn, validate: &validate };
        let stopped = train(examples, None, split, &settings, &run(folder.path(), &stop), &|_| {}, &epoch);
        assert!(matches!(stopped, Err(LearnError::Cancelled)), "{stopped:?}");
    }
    let gone_on = learnt(examples, &settings, folder.path()).unwrap();
    assert_eq!(gone_on.head, whole.head);
    assert_eq!((gone_on.epoch, gone_on.history), (whole.epoch, whole.history));
    let other = Settings { seed: 1, ..settings };
    let refused = learnt(examples, &other, folder.path());
    assert!(matches!(refused, Err(LearnError::OtherConfiguration { .. })), "{refused:?}");
}

/// A convolution that takes features as 2 maps of 3x1 pixels and gives 4.
fn convolution() -> Convolution {
    let value = |at: usize| ((at * 37 % 19) as f32 - 9.0) / 18.0;
    Convolution {
        kernel_name: "block5_conv1.weight".to_owned(),
        bias_name: "block5_conv1.bias".to_owned(),
        inputs: 2,
        outputs: 4,
        kernel: (0..4 * 2 * 9).map(value).collect(),
        bias: vec![0.1; 4],
        pool: false,
    }
}

#[test]
fn convolutions_that_are_unfrozen_learn_as_well_and_go_on_to_the_same_bytes() {
    let made = made(0.0, 1.0);
    let convolutions = [convolution()];
    let unfrozen = Unfrozen { convolutions: &convolutions, height: 3, width: 1 };
    let (learn, validate): (Vec<usize>, Vec<usize>) = ((0..150).collect(), (150..ROWS).collect());
    let others = [Convolution { bias: vec![0.2; 4], ..convolution() }];
    let split = Split { learn: &learn, validate: &validate };
    let learnt = |unfrozen, settings: &Settings, folder: &Path, stop_after: usize| {
        let stop = AtomicBool::new(false);
        let epoch = |history: &[EpochResult]| stop.store(history.len() == stop_after, Ordering::Relaxed);
        train(examples(&made), Some(unfrozen), split, settings, &run(folder, &stop), &|_| {}, &epoch)
    };
    for standardise in [false, true] {
        let settings = Settings { patience: 0, standardise, unfreeze_rate: 0.5, ..settings() };
        let folder = tempfile::tempdir().unwrap();
        let whole = learnt(unfrozen, &settings, folder.path(), 0).unwrap();
        assert!(whole.history[whole.epoch].validation.unwrap() > 0.95, "{:?}", whole.history);
        // Where they stay as good as they are another head is learnt.
        let still = Settings { unfreeze_rate: 1e-30, ..settings.clone() };
        let still = learnt(unfrozen, &still, tempfile::tempdir().unwrap().path(), 0).unwrap();
        assert_ne!(still.head, whole.head);
        let folder = tempfile::tempdir().unwrap();
        for stop_after in [2, 5] {
            let stopped = learnt(unfrozen, &settings, folder.path(), stop_after);
            assert!(matches!(stopped, Err(LearnError::Cancelled)), "{stopped:?}");
        }
        let gone_on = learnt(unfrozen, &settings, folder.path(), 0).unwrap();
        assert_eq!(gone_on.head, whole.head);
        assert_eq!((gone_on.epoch, gone_on.history), (whole.epoch, whole.history));
        let answers = gone_on.head.probabilities(&made.features).unwrap();
        assert_eq!((answers.len(), gone_on.head.dimensions()), (ROWS * CLASSES, DIMENSIONS));
        let refused = learnt(Unfrozen { convolutions: &others, ..unfrozen }, &settings, folder.path(), 0);
        assert!(matches!(refused, Err(LearnError::OtherConfiguration { .. })), "{refused:?}");
    }
    let wrong = Unfrozen { height: 2, ..unfrozen };
    let refused = learnt(wrong, &settings(), tempfile::tempdir().unwrap().path(), 0);
    assert!(matches!(refused, Err(LearnError::Unfrozen(_))), "{refused:?}");
}

#[test]
fn training_ends_early_and_the_learning_rate_falls_where_nothing_is_gained() {
    let made = made(0.0, 1.0);
    // So slow that no epoch is a gain.
    let slow = Settings { learning_rate: 1e-9, plateau_patience: 2, patience: 0, epochs: 8, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let history = learnt(examples(&made), &slow, folder.path()).unwrap().history;
    let rates: Vec<f64> = history.iter().map(|epoch| epoch.learning_rate / 1e-9).collect();
    for (rate, expected) in rates.iter().zip([1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.001]) {
        assert!((rate - expected).abs() < 1e-6 * expected, "{rates:?}");
    }
    // A rate at which it soon gets worse.
    let wild = Settings { learning_rate: 3.0, patience: 2, plateau_patience: 0, epochs: 40, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let Trained { history, epoch, .. } = learnt(examples(&made), &wild, folder.path()).unwrap();
    assert!(history.len() < 40);
    assert_eq!(history.len() - 1 - epoch, 2);
    let last = Settings { keep_best: false, ..wild };
    let folder = tempfile::tempdir().unwrap();
    let kept = learnt(examples(&made), &last, folder.path()).unwrap();
    assert_eq!(kept.epoch, kept.history.len() - 1);
}

#[test]
fn weights_make_a_class_count_for_more() {
    let mut made = made(0.0, 1.0);
    // All faces look alike: what is answered is how much each class counts.
    made.features.iter_mut().for_each(|value| *value = 1.0);
    let weights: Vec<f32> = (0..ROWS).map(|row| if row % CLASSES == 2 { 8.0 } else { 1.0 }).collect();
    let examples = Examples { weights: Some(&weights), ..examples(&made) };
    let settings = Settings { epochs: 60, patience: 0, plateau_patience: 0, keep_best: false, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let head = learnt(examples, &settings, folder.path()).unwrap().head;
    let answer = head.probabilities(&[1.0; DIMENSIONS]).unwrap();
    assert!((answer[2] - 0.8).abs() < 0.06, "{answer:?}");
}

#[test]
fn what_is_no_number_is_refused_and_the_last_checkpoint_stays() {
    let mut made = made(0.0, 1.0);
    let folder = tempfile::tempdir().unwrap();
    let wild = Settings { learning_rate: 1e38, ..settings() };
    let refused = learnt(examples(&made), &wild, folder.path());
    assert!(matches!(refused, Err(LearnError::NotFinite { epoch: 0, .. })), "{refused:?}");
    assert!(!folder.path().join("head").exists());
    made.features[DIMENSIONS + 2] = f32::NAN;
    let refused = learnt(examples(&made), &settings(), folder.path());
    assert!(matches!(refused, Err(LearnError::Feature { row: 1, feature: 2, .. })), "{refused:?}");
    let few = Examples { targets: &made.targets[CLASSES..], ..examples(&made) };
    assert!(matches!(learnt(few, &settings(), folder.path()), Err(LearnError::Length { .. })));
}

#[test]
fn settings_out_of_their_range_are_named() {
    let made = made(0.0, 1.0);
    let folder = tempfile::tempdir().unwrap();
    let default = settings();
    for (name, settings) in [
        ("hidden", Settings { hidden: 0, ..default.clone() }),
        ("dropout", Settings { dropout: 1.0, ..default.clone() }),
        ("epochs", Settings { epochs: 0, ..default.clone() }),
        ("batch_size", Settings { batch_size: 0, ..default.clone() }),
        ("learning_rate", Settings { learning_rate: 0.0, ..default.clone() }),
        ("beta1", Settings { beta1: 1.0, ..default.clone() }),
        ("unfreeze_rate", Settings { unfreeze_rate: 0.0, ..default.clone() }),
        ("plateau_factor", Settings { plateau_factor: 1.5, ..default.clone() }),
        ("least_learning_rate", Settings { least_learning_rate: f64::NAN, ..default }),
    ] {
        let refused = learnt(examples(&made), &settings, folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("`{name}`")), "{refused}");
    }
}
