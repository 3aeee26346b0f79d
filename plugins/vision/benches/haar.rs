//! Our Haar detector against OpenCV's: scale factor 1.1, 5 neighbours, no least size, two threads each.
//!
//! `cargo bench -p ferroflow-vision --features opencv --bench haar`; `PICTURES=DIR` takes the pictures of a
//! directory in place of the sheet of expressions that the manifest fetches.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, criterion_group, criterion_main};
use ferroflow_vision::{
    detect::{DetectorConfig, DetectorKind, FaceDetector, Haar, opencv::OpenCvHaar},
    frame::Frame,
    inference::SessionOptions,
    model,
};
use opencv::{core::Mat, imgcodecs, imgproc, prelude::*};

fn pictures(width: i32, height: i32) -> Vec<Vec<u8>> {
    let paths = match std::env::var_os("PICTURES") {
        Some(folder) => std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect(),
        None => vec![model::asset_path("expressions.jpg").unwrap()],
    };
    paths
        .iter()
        .map(|path| {
            let image = imgcodecs::imread(path.to_str().unwrap(), imgcodecs::IMREAD_GRAYSCALE).unwrap();
            let mut resized = Mat::default();
            let size = opencv::core::Size::new(width, height);
            imgproc::resize(&image, &mut resized, size, 0.0, 0.0, imgproc::INTER_AREA).unwrap();
            resized.data_bytes().unwrap().to_vec()
        })
        .collect()
}

fn detectors(criterion: &mut Criterion) {
    let mut config = DetectorConfig::new(DetectorKind::Haar);
    config.session = SessionOptions { threads: 2, ..config.session };
    let model = model::resolve_model(DetectorKind::Haar.default_model()).unwrap();
    let mut found = Vec::new();
    for (width, height) in [(640, 360), (1280, 720)] {
        let pictures = pictures(width, height);
        let mut group = criterion.benchmark_group(format!("haar {width}x{height}"));
        group.sample_size(20);
        let mut run = |name: &str, detector: &mut dyn FaceDetector| {
            group.bench_function(name, |bencher| {
                let mut turn = pictures.iter().cycle();
                bencher.iter(|| {
                    let pixels = turn.next().unwrap();
                    let frame = Frame::gray(pixels, width as usize, height as usize).unwrap();
                    detector.detect(&frame, &mut found).unwrap();
                });
            });
        };
        run("ferroflow", &mut Haar::open(&model, &config).unwrap());
        run("opencv", &mut OpenCvHaar::open(&model, &config).unwrap());
        group.finish();
    }
}

criterion_group!(benches, detectors);
criterion_main!(benches);
