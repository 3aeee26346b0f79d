//! A CycleGAN on small pictures: it learns, survives, and refuses what cannot be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferroflow_learn::cyclegan::{Discriminator, Generator, Progress, Settings, Trained, train};
use ferroflow_learn::{Device, Faces, LearnError, Run};

const SIDE: usize = 16;

/// Pictures of a disc on a darker ground: bright ones, or dark ones.
fn discs(count: usize, bright: bool) -> Vec<u8> {
    let disc = |index: usize| {
        let (x, y) = (5 + index % 6, 5 + index / 6 % 6);
        (0..SIDE * SIDE).map(move |at| {
            let distance = (at % SIDE).abs_diff(x).pow(2) + (at / SIDE).abs_diff(y).pow(2);
            let ground = if bright { 150 } else { 20 };
            if distance < 12 { ground + 80 } else { ground + (index % 7) as u8 }
        })
    };
    (0..count).flat_map(disc).collect()
}

const fn faces(pixels: &[u8]) -> Faces<'_> {
    Faces { pixels, width: SIDE, height: SIDE }
}

fn small() -> Settings {
    Settings {
        generator: Generator { width: 8, halvings: 1, blocks: 1, dropout: 0.1 },
        discriminator: Discriminator { width: 8, halvings: 1 },
        epochs: 2,
        decay_epochs: 1,
        buffer: 6,
        ..Settings::default()
    }
}

fn run(
    settings: &Settings,
    folder: &Path,
    workers: usize,
    stop_after: Option<usize>,
) -> Result<(Trained, usize), LearnError> {
    let (dark, bright) = (discs(24, false), discs(30, true));
    let cancelled = AtomicBool::new(false);
    let steps = RefCell::new(0);
    let progress = |_: Progress| {
        *steps.borrow_mut() += 1;
        cancelled.store(stop_after == Some(*steps.borrow()), Ordering::Relaxed);
    };
    let run = Run { device: Device::Cpu, checkpoints: folder, workers, cancelled: &cancelled };
    let trained = train([faces(&dark), faces(&bright)], settings, &run, &progress, &|_| {})?;
    let steps = *steps.borrow();
    Ok((trained, steps))
}

/// Everything a training gives, in a form that can be compared.
fn outcome(trained: &Trained) -> (Vec<u8>, Vec<u8>, String) {
    let (dark, bright) = (discs(24, false), discs(30, true));
    let [there, back] = &trained.translators;
    (
        there.translate(faces(&dark)).unwrap(),
        back.translate(faces(&bright)).unwrap(),
        format!("{:?}", trained.history),
    )
}

#[test]
fn dark_pictures_become_bright_and_bright_ones_dark() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { epochs: 8, decay_epochs: 4, learning_rate: 2e-3, ..small() };
    let (trained, _) = run(&settings, folder.path(), 2, None).unwrap();
    let (bright, dark, _) = outcome(&trained);
    let mean =
        |pixels: &[u8]| pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / pixels.len() as f64;
    assert!(mean(&bright) > 120.0, "{}", mean(&bright));
    assert!(mean(&dark) < 60.0, "{}", mean(&dark));
    let cycle = |epoch: usize| trained.history[epoch].iter().map(|direction| direction.cycle).sum::<f32>();
    assert!(cycle(11) < 0.7 * cycle(0), "{} after {}", cycle(11), cycle(0));
}

#[test]
fn a_stopped_training_goes_on_to_the_same_networks_on_any_number_of_threads() {
    for batch_size in [1, 3] {
        let settings = Settings { batch_size, ..small() };
        let folder = tempfile::tempdir().unwrap();
        let (whole, steps) = run(&settings, &folder.path().join("whole"), 2, None).unwrap();
        assert_eq!(steps, 3 * 30 / batch_size);
        let broken = folder.path().join("broken");
        // In the middle of the first epoch, and of the last.
        for stop in [7, 15] {
            let stopped = run(&settings, &broken, 1, Some(stop));
            assert!(matches!(stopped, Err(LearnError::Cancelled)));
        }
        let (resumed, rest) = run(&settings, &broken, 1, None).unwrap();
        assert_eq!(rest, steps - 22);
        assert_eq!(outcome(&resumed), outcome(&whole));
    }
}

#[test]
fn another_seed_and_other_losses_give_other_networks() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, settings: Settings| {
        outcome(&run(&settings, &folder.path().join(name), 2, None).unwrap().0)
    };
    let plain = train("plain", small());
    assert_ne!(train("seed", Settings { seed: 1, ..small() }), plain);
    let mut zhu = small();
    (zhu.losses.cycle_l2, zhu.losses.cycle_ssim) = (false, false);
    assert_ne!(train("zhu", zhu), plain);
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |settings: Settings| run(&settings, folder.path(), 1, None).unwrap_err().to_string();
    assert!(refuse(Settings { batch_size: 0, ..small() }).contains("`batch_size`"));
    assert!(refuse(Settings { learning_rate: f64::NAN, ..small() }).contains("`learning_rate`"));
    let mut no_term = small();
    (no_term.losses.cycle_l1, no_term.losses.cycle_l2, no_term.losses.cycle_ssim) = (false, false, false);
    assert!(refuse(no_term).contains("at least one of its terms must be on"));
    let deep = Generator { halvings: 3, ..small().generator };
    assert!(refuse(Settings { generator: deep, ..small() }).contains("16x16 pixels do not fit"));
    assert!(refuse(Settings { batch_size: 25, ..small() }).contains("the first class has 24 faces, but 25"));
}

#[test]
fn a_class_of_one_and_faces_of_another_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (one, many) = (discs(1, false), discs(9, true));
    let train = |classes| {
        let cancelled = AtomicBool::new(false);
        let run = Run { device: Device::Cpu, checkpoints: folder.path(), workers: 1, cancelled: &cancelled };
        let outcome = train(classes, &small(), &run, &|_| {}, &|_| {});
        outcome.unwrap_err().to_string()
    };
    assert!(train([faces(&many), faces(&one)]).contains("the second class has 1 faces, but 2 are needed"));
    let wide = Faces { pixels: &many, width: 32, height: 8 };
    assert!(train([faces(&many), wide]).contains("32x8 pixels, where 16x16 are needed"));
}

#[test]
fn checkpoints_of_other_settings_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&small(), folder.path(), 1, Some(5)).unwrap_err();
    let other = Settings { learning_rate: 1e-3, ..small() };
    let error = run(&other, folder.path(), 1, None).unwrap_err();
    assert!(matches!(error, LearnError::OtherConfiguration { .. }), "{error}");
    let file = folder.path().join("cyclegan");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = run(&small(), folder.path(), 1, None).unwrap_err();
    assert!(matches!(error, LearnError::Damaged { .. }), "{error}");
}

#[test]
fn a_training_that_explodes_says_where_and_keeps_its_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { learning_rate: 1e30, ..small() };
    let error = run(&settings, folder.path(), 1, None).unwrap_err();
    assert!(matches!(error, LearnError::NotFinite { epoch: 0, .. }), "{error}");
    assert!(error.to_string().contains("the last good checkpoint is kept"));
}

#[test]
fn networks_that_are_no_numbers_are_not_written_over_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    // The first step's losses are numbers still, what it makes of the networks is not.
    let settings = Settings { learning_rate: 1e39, ..small() };
    let error = run(&settings, folder.path(), 1, Some(1)).unwrap_err();
    assert!(matches!(error, LearnError::NotFinite { epoch: 0, step: 1, .. }), "{error}");
    assert!(!folder.path().join("cyclegan").exists());
}
