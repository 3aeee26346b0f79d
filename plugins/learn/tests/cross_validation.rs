//! Out-of-fold probabilities on small generated faces: the same however they are come by.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferroflow_learn::classifier::{self, Layer};
use ferroflow_learn::cross_validation::{Progress, Rows, Settings, assign, out_of_fold};
use ferroflow_learn::{Device, Faces, LearnError, Run};
use proptest::prelude::*;

const SIDE: usize = 20;
const CLASSES: usize = 3;
const ROWS: usize = 150;

/// Faces whose class is where their bright bar lies.
struct Generated {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    groups: Vec<u32>,
    teaches: Vec<bool>,
}

fn generated() -> Generated {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as u8
    };
    let labels: Vec<u8> = (0..ROWS).map(|row| (row % CLASSES) as u8).collect();
    let mut pixels = Vec::new();
    for label in &labels {
        for y in 0..SIDE {
            for _ in 0..SIDE {
                let bar = y / 5 == usize::from(*label);
                pixels.push(noise() + if bar { 150 } else { 60 });
            }
        }
    }
    // Every tenth row is of its predecessor's group.
    let groups = (0..ROWS as u32).map(|row| if row % 10 == 9 { row - 1 } else { row }).collect();
    Generated { pixels, labels, groups, teaches: vec![true; ROWS] }
}

fn settings() -> Settings {
    epochs(3)
}

/// Small and quick, but for `epochs`, `seed` and `learning_rate`, which are as given.
fn with(network: classifier::Settings) -> Settings {
    let layers = vec![Layer { channels: 8, pool: true }, Layer { channels: 16, pool: false }];
    Settings { folds: 3, network: classifier::Settings { batch_size: 16, layers, ..network } }
}

fn epochs(epochs: usize) -> Settings {
    with(classifier::Settings { epochs, ..Default::default() })
}

fn run(
    data: &Generated,
    settings: &Settings,
    folder: &Path,
    workers: usize,
    stop: impl Fn(Progress) -> bool + Sync,
) -> Result<Vec<f32>, LearnError> {
    let cancelled = AtomicBool::new(false);
    let progress = |at: Progress| {
        if stop(at) {
            cancelled.store(true, Ordering::Relaxed);
        }
    };
    let faces = Faces { pixels: &data.pixels, width: SIDE, height: SIDE };
    let Generated { labels, groups, teaches, .. } = data;
    let rows = Rows { faces, labels, classes: CLASSES, groups, teaches };
    let run = Run { device: Device::Cpu, checkpoints: folder, workers, cancelled: &cancelled };
    out_of_fold(rows, settings, &run, &progress)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn one_or_two_workers_give_the_same_and_learn() {
    let data = generated();
    let settings = epochs(6);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = run(&data, &settings, one.path(), 1, |_| false).unwrap();
    let second = run(&data, &settings, two.path(), 2, |_| false).unwrap();
    assert_eq!(bits(&first), bits(&second));
    assert!(first.chunks_exact(CLASSES).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    let right = first.chunks_exact(CLASSES).zip(&data.labels).filter(|(row, label)| {
        let own = row[usize::from(**label)];
        row.iter().all(|value| *value <= own)
    });
    let right = right.count();
    assert!(right > ROWS * 8 / 10, "{right} of {ROWS} right");
}

#[test]
fn rows_that_do_not_teach_are_asked_about_and_change_nothing() {
    let mut data = generated();
    let is_test = |row: usize| row % 10 >= 8;
    data.teaches = (0..ROWS).map(|row| !is_test(row)).collect();
    let judged = |data: &Generated| {
        let folder = tempfile::tempdir().unwrap();
        run(data, &epochs(6), folder.path(), 1, |_| false).unwrap()
    };
    let before = judged(&data);
    let of_test = (0..ROWS).filter(|row| is_test(*row));
    let right = of_test.clone().filter(|row| {
        let answer = &before[row * CLASSES..(row + 1) * CLASSES];
        answer.iter().all(|value| *value <= answer[usize::from(data.labels[*row])])
    });
    assert!(right.count() > 30 * 8 / 10, "what they are is seen all the same");
    for row in of_test {
        data.pixels[row * SIDE * SIDE..(row + 1) * SIDE * SIDE].fill(0);
    }
    let after = judged(&data);
    let others = |all: &[f32]| {
        let rows = all.chunks_exact(CLASSES).enumerate().filter(|(row, _)| !is_test(*row));
        rows.flat_map(|(_, values)| bits(values)).collect::<Vec<_>>()
    };
    assert_eq!(others(&before), others(&after));
}

#[test]
fn a_run_goes_on_to_the_same_bytes_wherever_it_was_stopped() {
    let data = generated();
    let settings = settings();
    let whole = tempfile::tempdir().unwrap();
    let expected = bits(&run(&data, &settings, whole.path(), 1, |_| false).unwrap());
    for fold in 0..settings.folds {
        for epoch in 0..settings.network.epochs {
            // Stopping writes nothing: the folder is as a kill at this step would leave it.
            let folder = tempfile::tempdir().unwrap();
            let stopped = run(&data, &settings, folder.path(), 1, |at| {
                (at.fold, at.training.epoch, at.training.step) == (fold, epoch, 3)
            });
            assert!(matches!(stopped, Err(LearnError::Cancelled)), "{stopped:?}");
            let resumed = run(&data, &settings, folder.path(), 2, |at| {
                assert!(
                    (at.fold, at.training.epoch) >= (fold, epoch) || at.fold > fold,
                    "an epoch that was done is done again"
                );
                false
            });
            assert_eq!(bits(&resumed.unwrap()), expected, "stopped in fold {fold}, epoch {epoch}");
        }
    }
}

/// Where the process that is to be killed keeps its checkpoints; set by the test below for its children.
const VICTIM: &str = "FERROFLOW_LEARN_VICTIM";

#[test]
fn victim() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let settings = epochs(8);
    run(&generated(), &settings, Path::new(&folder), 2, |_| false).unwrap();
}

#[test]
fn a_killed_process_goes_on_to_the_same_bytes() {
    let data = generated();
    let settings = epochs(8);
    let whole = tempfile::tempdir().unwrap();
    let expected = bits(&run(&data, &settings, whole.path(), 1, |_| false).unwrap());
    let folder = tempfile::tempdir().unwrap();
    for kill in 0..8 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim"])
            .env(VICTIM, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + 23 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(bits(&run(&data, &settings, folder.path(), 2, |_| false).unwrap()), expected);
}

#[test]
fn a_finished_run_is_read_back_without_training() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let first = run(&data, &settings(), folder.path(), 1, |_| false).unwrap();
    let again = run(&data, &settings(), folder.path(), 1, |_| panic!("nothing is to be trained")).unwrap();
    assert_eq!(bits(&first), bits(&again));
}

#[test]
fn checkpoints_of_other_settings_or_data_are_refused() {
    let mut data = generated();
    let folder = tempfile::tempdir().unwrap();
    run(&data, &settings(), folder.path(), 1, |_| false).unwrap();
    let other = with(classifier::Settings { epochs: 3, seed: 1, ..Default::default() });
    let error = run(&data, &other, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::OtherConfiguration { .. }), "{error}");
    assert!(error.to_string().contains("belongs to other settings or other data"), "{error}");
    data.pixels[0] ^= 1;
    let error = run(&data, &settings(), folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::OtherConfiguration { .. }), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    run(&data, &settings(), folder.path(), 1, |at| at.training.epoch == 1).unwrap_err();
    let state = folder.path().join("fold-0/state");
    let mut bytes = std::fs::read(&state).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    let error = run(&data, &settings(), folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("fold-0"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_says_where() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let wild = with(classifier::Settings { learning_rate: 1e30, ..Default::default() });
    let error = run(&data, &wild, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Diverged { fold: 0, .. }), "{error}");
    assert!(error.to_string().contains("fold 0, epoch 0"), "{error}");
}

#[test]
fn inputs_that_do_not_fit_are_told() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let none = Generated { pixels: Vec::new(), labels: Vec::new(), groups: Vec::new(), teaches: Vec::new() };
    assert!(matches!(run(&none, &settings(), folder.path(), 1, |_| false), Err(LearnError::Empty)));
    let short = Generated { groups: data.groups[1..].to_vec(), ..generated() };
    let error = run(&short, &settings(), folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Length { what: "groups", .. }), "{error}");
    let mut wrong = generated();
    wrong.labels[7] = 3;
    let error = run(&wrong, &settings(), folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Label { row: 7, label: 3, .. }), "{error}");
    let one_group = Generated { groups: vec![0; ROWS], ..generated() };
    let error = run(&one_group, &settings(), folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::NothingToLearn { .. }), "{error}");
    let mut deep = settings();
    deep.network.layers = vec![Layer { channels: 8, pool: true }; 4];
    let error = run(&data, &deep, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::TooSmall { .. }), "{error}");
    let single = Settings { folds: 1, ..settings() };
    let error = run(&data, &single, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Setting { name: "folds", .. }), "{error}");
}

#[test]
fn settings_have_defaults_and_no_unknown_keys() {
    let settings: Settings = serde_json::from_str(r#"{"network": {"epochs": 3}}"#).unwrap();
    let network = classifier::Settings { epochs: 3, ..Default::default() };
    assert_eq!(settings, Settings { network, ..Settings::default() });
    assert!(serde_json::from_str::<Settings>(r#"{"network": {"epoch": 3}}"#).is_err());
}

proptest! {
    #[test]
    fn folds_hold_whole_groups_and_every_class_evenly(
        labels in prop::collection::vec(0u8..4, 40..200),
        folds in 2usize..6,
        seed in 0u64..100,
    ) {
        let groups: Vec<u32> = (0..labels.len() as u32).map(|row| if row % 7 == 6 { row - 1 } else { row }).collect();
        let assigned = assign(&labels, &groups, folds, seed);
        prop_assert_eq!(&assigned, &assign(&labels, &groups, folds, seed));
        for row in 1..labels.len() {
            prop_assert!(groups[row] != groups[row - 1] || assigned[row] == assigned[row - 1]);
        }
        for class in 0..4 {
            let count = |fold| (0..labels.len()).filter(|row| labels[*row] == class && assigned[*row] == fold).count();
            let counts: Vec<usize> = (0..folds).map(count).collect();
            let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
            prop_assert!(most - least <= 3, "class {} in folds: {:?}", class, counts);
        }
    }
}
