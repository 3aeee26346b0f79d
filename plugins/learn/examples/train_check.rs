//! Checks everything that trains on CUDA against the CPU, and that a lack of memory is an error: `make
//! gpu-check` packs it.
//!
//! `train_check [--device cuda:0]`; `--device cpu` checks the checker. Exit codes: 0 alike, 1 not, 4 no CUDA.

use std::{
    cell::Cell,
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use ferroflow_learn::{
    Device, Faces, LearnError, Run, Split,
    classifier::{self, Examples, Layer, TestTimeAugmentation},
    cyclegan,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIDE: usize = 48;
const CLASSES: usize = 7;
const FACES: usize = 420;

/// How far losses may differ, as a part of the CPU's: devices round differently, and what differs little after a step
/// differs more after many.
const TOLERANCE: f32 = 0.05;
/// How far probabilities may differ on average after a short training.
const ANSWERS_APART: f32 = 0.05;

/// Faces whose class is where their bright bar lies, and noise.
struct Generated {
    pixels: Vec<u8>,
    targets: Vec<f32>,
}

impl Generated {
    fn new() -> Self {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 26) as u8
        };
        let pixel = |at: usize| {
            let (face, x) = (at / (SIDE * SIDE), at % SIDE);
            noise() + if x / CLASSES == face % CLASSES { 160 } else { 60 }
        };
        let pixels = (0..FACES * SIDE * SIDE).map(pixel).collect();
        let target = |row: usize| (0..CLASSES).map(move |class| f32::from(class == row % CLASSES));
        Self { pixels, targets: (0..FACES).flat_map(target).collect() }
    }

    fn faces(&self) -> Faces<'_> {
        Faces { pixels: &self.pixels, width: SIDE, height: SIDE }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(4)
        }
    }
}

fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let named = arguments.iter().skip_while(|argument| *argument != "--device").nth(1);
    let device = named.map_or("cuda", String::as_str).parse::<Device>()?.resolve()?;
    let data = Generated::new();
    let checks = [
        classifiers_are_alike(device, &data)?,
        classifier_goes_on(device, &data)?,
        translators_are_alike(device, &data)?,
        too_large_is_an_error(device, &data)?,
    ];
    println!("{}", if checks == [true; 4] { "all alike" } else { "NOT ALIKE" });
    Ok(checks == [true; 4])
}

/// Prints a line and answers whether all is well.
fn verdict(what: &str, found: &str, well: bool) -> bool {
    println!("{what}: {found}: {}", if well { "alike" } else { "NOT ALIKE" });
    well
}

/// Losses that lie as near as they must.
fn near(cpu: &[f32], other: &[f32]) -> bool {
    cpu.len() == other.len()
        && cpu.iter().zip(other).all(|(cpu, other)| (cpu - other).abs() <= TOLERANCE * cpu.abs().max(0.1))
}

/// Trains on all but the last sixty faces, which judge; until so many steps are done.
fn classifier(
    device: Device,
    data: &Generated,
    settings: &classifier::Settings,
    folder: &Path,
    stop_after: usize,
) -> std::result::Result<classifier::Trained, LearnError> {
    let rows: Vec<usize> = (0..FACES).collect();
    let (learn, validate) = rows.split_at(FACES - 60);
    let examples = Examples { faces: data.faces(), targets: &data.targets, weights: None, classes: CLASSES };
    let (steps, cancelled) = (Cell::new(0), AtomicBool::new(false));
    let progress = |_| {
        steps.set(steps.get() + 1);
        cancelled.store(steps.get() == stop_after, Ordering::Relaxed);
    };
    let run = Run { device, checkpoints: folder, workers: 2, cancelled: &cancelled };
    classifier::train(examples, Split { learn, validate }, settings, None, &run, &progress, &|_| {})
}

/// The default network, varied and mixed faces, two shards, averaged weights.
fn recipe(epochs: usize) -> classifier::Settings {
    classifier::Settings { epochs, shards: 2, mixup: 0.2, averaging: 0.99, ..Default::default() }
}

fn losses(trained: &classifier::Trained) -> Vec<f32> {
    trained.history.iter().map(|epoch| epoch.loss).collect()
}

fn answers(trained: &classifier::Trained, data: &Generated) -> Result<Vec<f32>> {
    let rows: Vec<usize> = (0..FACES).collect();
    Ok(trained.classifier.probabilities(
        data.faces(),
        &rows,
        TestTimeAugmentation::Off,
        &AtomicBool::new(false),
    )?)
}

fn classifiers_are_alike(device: Device, data: &Generated) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let train =
        |device: Device, name: &str| classifier(device, data, &recipe(3), &folder.path().join(name), 0);
    let (cpu, other) = (train(Device::Cpu, "cpu")?, train(device, "other")?);
    let (cpu_answers, other_answers) = (answers(&cpu, data)?, answers(&other, data)?);
    let apart = cpu_answers.iter().zip(&other_answers).map(|(a, b)| (a - b).abs()).sum::<f32>();
    let apart = apart / cpu_answers.len() as f32;
    let (cpu, other) = (losses(&cpu), losses(&other));
    let found = format!("losses {cpu:.4?} and {other:.4?} on {device}, answers {apart:.4} apart");
    Ok(verdict("classifier", &found, near(&cpu, &other) && apart < ANSWERS_APART))
}

fn classifier_goes_on(device: Device, data: &Generated) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let whole = losses(&classifier(device, data, &recipe(3), &folder.path().join("whole"), 0)?);
    let broken = folder.path().join("broken");
    // In the middle of the second epoch.
    let stopped = classifier(device, data, &recipe(3), &broken, 8);
    let was_stopped = matches!(stopped, Err(LearnError::Cancelled));
    let again = losses(&classifier(device, data, &recipe(3), &broken, 0)?);
    let found = format!("losses {whole:.4?} at once, {again:.4?} with a stop");
    // Sums are always in the same order, on a device as well.
    Ok(verdict("classifier that is stopped", &found, was_stopped && whole == again))
}

fn translators_are_alike(device: Device, data: &Generated) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let half = FACES / 2 * SIDE * SIDE;
    let (first, second) = data.pixels.split_at(half);
    let faces = [first, second].map(|pixels| Faces { pixels, width: SIDE, height: SIDE });
    let settings = cyclegan::Settings {
        generator: cyclegan::Generator { width: 16, blocks: 3, ..Default::default() },
        discriminator: cyclegan::Discriminator { width: 16, ..Default::default() },
        epochs: 2,
        decay_epochs: 0,
        epoch_faces: 6,
        batch_size: 2,
        ..Default::default()
    };
    let train = |device: Device, name: &str| -> Result<Vec<f32>> {
        let never = AtomicBool::new(false);
        let folder = folder.path().join(name);
        let run = Run { device, checkpoints: &folder, workers: 1, cancelled: &never };
        let trained = cyclegan::train(faces, &settings, &run, &|_| {}, &|_| {})?;
        Ok(trained.history.iter().flatten().flat_map(|losses| [losses.adversarial, losses.cycle]).collect())
    };
    let (cpu, other) = (train(Device::Cpu, "cpu")?, train(device, "other")?);
    let found = format!("losses {cpu:.4?} and {other:.4?} on {device}");
    Ok(verdict("cyclegan", &found, near(&cpu, &other)))
}

/// Maps of a step that fill two hundred gigabytes.
fn too_large_is_an_error(device: Device, data: &Generated) -> Result<bool> {
    if device == Device::Cpu {
        println!("lack of memory: left out on the CPU");
        return Ok(true);
    }
    let faces = 4096;
    let pixels: Vec<u8> = data.pixels.iter().copied().cycle().take(faces * SIDE * SIDE).collect();
    let targets: Vec<f32> = data.targets.iter().copied().cycle().take(faces * CLASSES).collect();
    let rows: Vec<usize> = (0..faces).collect();
    let layer = Layer { channels: 512, pool: false };
    let settings =
        classifier::Settings { layers: vec![layer; 12], epochs: 1, batch_size: faces, ..Default::default() };
    let examples = Examples {
        faces: Faces { pixels: &pixels, width: SIDE, height: SIDE },
        targets: &targets,
        weights: None,
        classes: CLASSES,
    };
    let (folder, never) = (tempfile::tempdir()?, AtomicBool::new(false));
    let run = Run { device, checkpoints: folder.path(), workers: 1, cancelled: &never };
    let split = Split { learn: &rows, validate: &[] };
    let outcome = classifier::train(examples, split, &settings, None, &run, &|_| {}, &|_| {});
    let found = outcome.as_ref().err().map_or_else(|| "no error".to_owned(), ToString::to_string);
    // What comes afterwards is not spoilt.
    let after = classifier(device, data, &recipe(1), &folder.path().join("after"), 0);
    let well = matches!(outcome, Err(LearnError::DeviceMemory)) && after.is_ok();
    Ok(verdict("lack of memory", &found, well))
}
