//! Classifiers trained on small generated faces.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ferroflow_learn::classifier::{
    Classifier, Examples, Layer, Progress, Settings, TestTimeAugmentation, Trained, train,
};
use ferroflow_learn::{Device, Faces, LearnError, Run, Split};

const SIDE: usize = 20;
const CLASSES: usize = 3;
const ROWS: usize = 160;

/// Faces whose class is where their bright bar lies; the last 40 are for validation.
struct Generated {
    pixels: Vec<u8>,
    targets: Vec<f32>,
    weights: Option<Vec<f32>>,
}

fn generated() -> Generated {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as u8
    };
    let (mut pixels, mut targets) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        for y in 0..SIDE {
            pixels.extend((0..SIDE).map(|_| noise() + if y / 5 == row % CLASSES { 150 } else { 60 }));
        }
        targets.extend((0..CLASSES).map(|class| f32::from(class == row % CLASSES)));
    }
    Generated { pixels, targets, weights: None }
}

fn settings() -> Settings {
    let layers = vec![Layer { channels: 8, pool: true }, Layer { channels: 16, pool: false }];
    Settings {
        layers,
        epochs: 3,
        batch_size: 16,
        shards: 2,
        averaging: 0.9,
        mixup: 0.2,
        ..Settings::default()
    }
}

fn examples(data: &Generated) -> Examples<'_> {
    let faces = Faces { pixels: &data.pixels, width: SIDE, height: SIDE };
    Examples { faces, targets: &data.targets, weights: data.weights.as_deref(), classes: CLASSES }
}

fn rows() -> (Vec<usize>, Vec<usize>) {
    ((0..120).collect(), (120..ROWS).collect())
}

fn run(
    data: &Generated,
    settings: &Settings,
    begin: Option<&Classifier>,
    folder: &Path,
    workers: usize,
    stop: impl Fn(Progress) -> bool,
) -> Result<Trained, LearnError> {
    let cancelled = AtomicBool::new(false);
    let progress = |at| cancelled.store(stop(at), Ordering::Relaxed);
    let (learn, validate) = rows();
    let examples = examples(data);
    let split = Split { learn: &learn, validate: &validate };
    let run = Run { device: Device::Cpu, checkpoints: folder, workers, cancelled: &cancelled };
    train(examples, split, settings, begin, &run, &progress, &|_| {})
}

fn right(classifier: &Classifier, data: &Generated, augmentation: TestTimeAugmentation) -> usize {
    let (_, rows) = rows();
    let faces = examples(data).faces;
    let answers = classifier.probabilities(faces, &rows, augmentation, &AtomicBool::new(false)).unwrap();
    assert!(answers.chunks_exact(CLASSES).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    let best = |row: &[f32]| (0..CLASSES).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    answers.chunks_exact(CLASSES).zip(rows).filter(|(row, at)| best(row) == Some(at % CLASSES)).count()
}

#[test]
fn one_or_two_threads_give_the_same_bytes_and_learn() {
    let data = generated();
    let settings = Settings { epochs: 8, ..settings() };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = run(&data, &settings, None, one.path(), 1, |_| false).unwrap();
    let second = run(&data, &settings, None, two.path(), 2, |_| false).unwrap();
    assert!(first.classifier.to_bytes().unwrap() == second.classifier.to_bytes().unwrap());
    assert_eq!(first.history, second.history);
    assert_eq!(first.history.len(), 8);
    for augmentation in [TestTimeAugmentation::Off, TestTimeAugmentation::Four] {
        let right = right(&first.classifier, &data, augmentation);
        assert!(right > 34, "{right} of 40 right");
    }
    let best = first.history[first.epoch].validation.unwrap();
    assert_eq!(right(&first.classifier, &data, TestTimeAugmentation::Off), (best * 40.0).round() as usize);
    assert!(first.history.iter().all(|epoch| epoch.validation.unwrap() <= best));
}

#[test]
fn a_training_goes_on_to_the_same_bytes_wherever_it_was_stopped() {
    let data = generated();
    let settings = settings();
    let whole = tempfile::tempdir().unwrap();
    let expected = run(&data, &settings, None, whole.path(), 1, |_| false).unwrap();
    for epoch in 0..settings.epochs {
        let folder = tempfile::tempdir().unwrap();
        let stopped = run(&data, &settings, None, folder.path(), 1, |at| (at.epoch, at.step) == (epoch, 3));
        assert!(matches!(stopped, Err(LearnError::Cancelled)), "{stopped:?}");
        let resumed = run(&data, &settings, None, folder.path(), 2, |at| {
            assert!(at.epoch >= epoch, "an epoch that was done is done again");
            false
        });
        let resumed = resumed.unwrap();
        assert!(resumed.classifier.to_bytes().unwrap() == expected.classifier.to_bytes().unwrap());
        assert_eq!(resumed.history, expected.history);
    }
}

#[test]
fn training_ends_when_patience_does() {
    let mut data = generated();
    // Nothing to learn: what is to be said has nothing to do with the face.
    let mut state = 7u32;
    for target in data.targets.chunks_exact_mut(CLASSES) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        target.fill(0.0);
        target[(state >> 24) as usize % CLASSES] = 1.0;
    }
    let settings = Settings { epochs: 60, patience: 2, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&data, &settings, None, folder.path(), 2, |_| false).unwrap();
    assert_eq!(trained.history.len(), trained.epoch + 3);
    assert!(trained.history.len() < 60);
}

#[test]
fn training_goes_on_from_an_earlier_network_of_the_same_build() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let first = run(&data, &Settings { epochs: 8, ..settings() }, None, folder.path(), 2, |_| false).unwrap();
    let bytes = first.classifier.to_bytes().unwrap();
    let read = Classifier::from_bytes(&bytes, Path::new("network.bin")).unwrap();
    assert!(read.to_bytes().unwrap() == bytes);
    let settings = Settings { epochs: 1, learning_rate: 1e-6, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let second = run(&data, &settings, Some(&read), folder.path(), 2, |_| false).unwrap();
    assert!(right(&second.classifier, &data, TestTimeAugmentation::Off) > 34);
    let other = Settings { layers: vec![Layer { channels: 8, pool: true }], ..settings };
    let error = run(&data, &other, Some(&read), folder.path(), 2, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::OtherNetwork { .. }), "{error}");
    let damaged = Classifier::from_bytes(&bytes[..bytes.len() - 7], Path::new("network.bin")).unwrap_err();
    assert!(damaged.to_string().contains("network.bin is damaged"), "{damaged}");
}

#[test]
fn a_face_without_weight_teaches_nothing() {
    let mut data = generated();
    // Half the faces say what is wrong, and count nothing.
    for row in (0..ROWS / 2).map(|half| 2 * half) {
        let target = &mut data.targets[row * CLASSES..(row + 1) * CLASSES];
        if row < 120 {
            target.rotate_left(1);
        }
    }
    data.weights = Some((0..ROWS).map(|row| f32::from(row % 2 == 1)).collect());
    let settings = Settings { epochs: 12, ..settings() };
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&data, &settings, None, folder.path(), 2, |_| false).unwrap();
    let right = right(&trained.classifier, &data, TestTimeAugmentation::Off);
    assert!(right > 34, "{right} of 40 right");
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_the_checkpoint() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let last = Cell::new((0, 0));
    let wild = Settings { learning_rate: 1e30, ..settings() };
    let error = run(&data, &wild, None, folder.path(), 1, |at| {
        last.set((at.epoch, at.step));
        false
    });
    let error = error.unwrap_err();
    assert!(matches!(error, LearnError::NotFinite { epoch: 0, .. }), "{error}");
    assert_eq!(last.get().0, 0);
}

#[test]
fn what_does_not_fit_is_told() {
    let data = generated();
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = generated();
    wrong.targets[4] = 1.5;
    let error = run(&wrong, &settings(), None, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Probability { row: 1, class: 1, .. }), "{error}");
    wrong = Generated { weights: Some(vec![1.0; 3]), ..generated() };
    let error = run(&wrong, &settings(), None, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Length { what: "weights", .. }), "{error}");
    wrong = Generated { weights: Some(vec![f32::NAN; ROWS]), ..generated() };
    let error = run(&wrong, &settings(), None, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::Weight { row: 0, .. }), "{error}");
    run(&data, &settings(), None, folder.path(), 1, |at| at.epoch == 1).unwrap_err();
    let other = Settings { seed: 1, ..settings() };
    let error = run(&data, &other, None, folder.path(), 1, |_| false).unwrap_err();
    assert!(matches!(error, LearnError::OtherConfiguration { .. }), "{error}");
    let thin = Settings { shards: 9, ..settings() };
    let error = run(&data, &thin, None, folder.path(), 1, |_| false).unwrap_err();
    assert!(error.to_string().contains("two faces for each of `shards`"), "{error}");
}
