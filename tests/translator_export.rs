//! A CycleGAN's generator as ONNX gives in ONNX Runtime what it gives where it was trained.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, sync::atomic::AtomicBool};

use ferroflow_learn::{
    Faces, Run,
    cyclegan::{Discriminator, Generator, Normalisation, Settings, Translator, train},
};
use ferroflow_vision::inference::{Device, SessionOptions, SharedSession};

/// Not square, so that height and width cannot be taken for each other unseen.
const WIDTH: usize = 24;
const HEIGHT: usize = 16;

/// Half a gray level, which is what rounding takes, and 1e-4 of values in -1..1.
const TOLERANCE: f32 = 0.5 + 1e-4 * 127.5;

/// Pictures of a disc on a darker ground: bright ones, or dark ones.
fn discs(count: usize, bright: bool) -> Vec<u8> {
    let disc = |index: usize| {
        let (x, y) = (5 + index % 12, 5 + index / 6 % 6);
        (0..WIDTH * HEIGHT).map(move |at| {
            let distance = (at % WIDTH).abs_diff(x).pow(2) + (at / WIDTH).abs_diff(y).pow(2);
            let ground = if bright { 150 } else { 20 };
            if distance < 12 { ground + 80 } else { ground + (index % 7) as u8 }
        })
    };
    (0..count).flat_map(disc).collect()
}

const fn faces(pixels: &[u8]) -> Faces<'_> {
    Faces { pixels, width: WIDTH, height: HEIGHT }
}

fn trained(settings: &Settings) -> [Translator; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (dark, bright) = (discs(18, false), discs(18, true));
    let classes = [faces(&dark), faces(&bright)];
    let cancelled = AtomicBool::new(false);
    let run = Run { device: Device::Cpu, checkpoints: folder.path(), workers: 2, cancelled: &cancelled };
    train(classes, settings, &run, &|_| {}, &|_| {}).unwrap().translators
}

fn settings(batch_size: usize, normalisation: Normalisation) -> Settings {
    Settings {
        generator: Generator { width: 4, halvings: 2, blocks: 2, dropout: 0.5 },
        discriminator: Discriminator { width: 4, halvings: 1 },
        normalisation,
        batch_size,
        epochs: 6,
        decay_epochs: 0,
        learning_rate: 2e-3,
        ..Settings::default()
    }
}

fn open(path: &Path) -> Arc<SharedSession> {
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    SharedSession::open(path, &options).unwrap_or_else(|error| panic!("{error}: run `make setup`"))
}

/// Gray levels, not rounded, of faces translated in runs of `together`.
fn run(session: &SharedSession, pixels: &[u8], together: usize) -> Vec<f32> {
    let translate = |pixels: &[u8]| {
        let mut values: Vec<f32> = pixels.iter().map(|pixel| f32::from(*pixel) / 127.5 - 1.0).collect();
        let shape = [pixels.len() / (WIDTH * HEIGHT), 1, HEIGHT, WIDTH];
        session.run(shape, &mut values, |outputs| {
            assert_eq!(outputs[0].shape, shape.map(|side| side as i64));
            outputs[0].values.iter().map(|value| (value + 1.0) * 127.5).collect::<Vec<_>>()
        })
    };
    pixels.chunks(together * WIDTH * HEIGHT).flat_map(|pixels| translate(pixels).unwrap()).collect()
}

fn assert_same(translator: &Translator, pixels: &[u8], name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.onnx"));
    let file = translator.to_onnx(name, &[("from", "dark".to_owned())]).unwrap();
    std::fs::write(&path, file).unwrap();
    let session = open(&path);
    let shape = vec![-1, 1, HEIGHT as i64, WIDTH as i64];
    for (found, expected) in [(session.inputs(), "faces"), (session.outputs(), "translated")] {
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), &found[0].shape), (expected, &shape));
    }
    let expected = translator.translate(faces(pixels)).unwrap();
    let (low, high) = (expected.iter().min().unwrap(), expected.iter().max().unwrap());
    assert!(high - low > 30, "{name} gives {low} to {high}, which proves little");
    // One at a time, some, and more than the translator takes at once.
    for together in [1, 5, 18] {
        let found = run(&session, pixels, together);
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(&expected).map(|(found, expected)| (found - f32::from(*expected)).abs());
        let off = off.fold(0.0, f32::max);
        assert!(off <= TOLERANCE, "{name}, {together} together: {off} gray levels off");
    }
}

#[test]
fn an_exported_translator_translates_as_it_did() {
    let (dark, bright) = (discs(18, false), discs(18, true));
    for (batch_size, normalisation) in
        [(1, Normalisation::Batch), (3, Normalisation::Batch), (3, Normalisation::Instance)]
    {
        let [there, back] = trained(&settings(batch_size, normalisation));
        let name = format!("{normalisation:?}-{batch_size}");
        assert_same(&there, &dark, &format!("{name}-there"));
        assert_same(&back, &bright, &format!("{name}-back"));
    }
}

#[test]
fn an_exported_translator_says_how_it_is_fed() {
    let [there, _] = trained(&Settings { epochs: 1, ..settings(3, Normalisation::Batch) });
    let file = there.to_onnx("there", &[("from", "neutral".to_owned())]).unwrap();
    // Strings lie in the file as they are, each behind its length.
    for text in ["there", "color", "gray", "scale", "0.007843138", "from", "neutral"] {
        let is_there = file.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert!(is_there, "`{text}` is missing");
    }
}
