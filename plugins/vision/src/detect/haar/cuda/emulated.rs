//! The device's kernels run on the host, one thread after the other: everything but the device itself.

use ferroflow_cuda::emulated::{Host, assert_compiles};

use super::search::{ANSWERS, KERNELS, Search};
use crate::{
    detect::{
        DetectorConfig, DetectorKind, FaceDetector,
        haar::{Haar, answers, shape, xml},
    },
    frame::{Frame, Plane},
    model::{self, ModelFile},
};

/// A picture with structure at all sizes, in which cascades find windows: overlapping blobs, and noise.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut state = 9u32;
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let wave = |x: usize, period: f32| (x as f32 / period).sin();
            let light = 128.0 + 60.0 * wave(x, 9.0) * wave(y, 7.0) + 40.0 * wave(x + y, 23.0);
            pixels.push((light + (state % 24) as f32) as u8);
        }
    }
    pixels
}

fn same(host: &mut Host, model: &ModelFile, (width, height): (usize, usize), min_neighbors: u32) -> usize {
    let config = DetectorConfig {
        min_neighbors,
        max_detections: usize::MAX,
        ..DetectorConfig::new(DetectorKind::Haar)
    };
    let pixels = picture(width, height);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let frame = Frame::gray(&pixels, width, height).unwrap();
    Haar::open(model, &config).unwrap().detect(&frame, &mut expected).unwrap();
    let cascade = xml::read(model).unwrap();
    let shape = shape(&cascade, &config, (width, height));
    // Too little room for all windows of late stages changes nothing.
    for room in [ANSWERS, 4000] {
        let mut search = Search::new(host, &cascade, room).unwrap();
        // Twice, for what a run leaves behind must not change the next.
        for _ in 0..2 {
            let luma = Plane { data: &pixels, stride: width };
            search.run(host, &cascade, luma, shape, min_neighbors).unwrap();
        }
        found.clear();
        answers(search.faces(), (width, height), &config, &mut found);
        assert!(found == expected, "{} {width}x{height}: {} of {}", model.name, found.len(), expected.len());
    }
    found.len()
}

#[test]
fn kernels_find_what_the_cpu_finds() {
    let mut host = Host::new(super::SOURCE, &KERNELS);
    let beside = model::asset_path("haar-frontalface-default").unwrap();
    let mut windows = 0;
    for name in
        ["haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml", "haarcascade_smile.xml"]
    {
        let model = ModelFile { name: name.into(), path: beside.with_file_name(name), card: None };
        for size in [(160, 120), (97, 131), (24, 24), (11, 40)] {
            windows += same(&mut host, &model, size, 0);
            same(&mut host, &model, size, 1);
            same(&mut host, &model, size, 3);
        }
    }
    assert!(windows > 100, "{windows}");
}

#[test]
fn kernels_compile_for_devices() {
    assert_compiles(super::SOURCE, &KERNELS);
}
