//! Frames without a face in them, and too small for one: no panic, and no box that cannot be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use ferroflow_onnx::{GraphBuilder, Side, int};
use ferroflow_vision::{
    detect::{self, DetectorConfig, DetectorKind, FaceDetector},
    frame::Frame,
    inference::Device,
    model,
};

fn open(kind: DetectorKind) -> Box<dyn FaceDetector> {
    let mut config = DetectorConfig::new(kind);
    config.session.device = Device::Cpu;
    detect::open(&config).unwrap_or_else(|error| panic!("{error}: run `make setup`"))
}

/// Pixels of one value, or noise.
fn pixels(count: usize, value: Option<u8>) -> Vec<u8> {
    let mut state = 77u32;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    });
    noise.map(|noise| value.unwrap_or(noise)).take(count).collect()
}

#[test]
fn frames_of_any_size_and_content_give_sane_boxes_or_none() {
    for kind in DetectorKind::ALL {
        let mut detector = open(kind);
        let mut faces = Vec::new();
        for (width, height) in [(1, 1), (2, 300), (11, 11), (23, 24), (31, 33), (320, 240), (1025, 33)] {
            for value in [Some(0), Some(255), Some(127), None] {
                let data = pixels(width * height * 3, value);
                let frame = Frame::rgb(&data, width, height).unwrap();
                detector.detect(&frame, &mut faces).unwrap();
                for face in &faces {
                    assert!(face.box_in_frame.is_valid(), "{kind:?} {width}x{height}: {face:?}");
                    assert!((0.0..=1.0).contains(&face.confidence), "{kind:?}: {face:?}");
                }
                // What is all the same holds no face.
                assert!(
                    value.is_none() || faces.is_empty(),
                    "{kind:?} {width}x{height} of {value:?}: {faces:?}"
                );
            }
        }
    }
}

#[test]
fn a_scale_factor_that_would_never_end_is_refused() {
    for scale_factor in [1.0, 0.5, 0.0, -3.0, f64::NAN] {
        let config = DetectorConfig { scale_factor, ..DetectorConfig::new(DetectorKind::Haar) };
        let words = detect::open(&config).err().unwrap().to_string();
        assert!(words.contains("it must be above 1"), "{words}");
    }
}

#[test]
fn another_network_than_the_detectors_is_refused_with_what_was_expected() {
    let other = model::asset_path("mini-xception").unwrap();
    for kind in [DetectorKind::Ssd, DetectorKind::Scrfd, DetectorKind::YuNet, DetectorKind::Mtcnn] {
        let folder = tempfile::tempdir().unwrap();
        let file = match kind {
            DetectorKind::Mtcnn => {
                for network in ["pnet.onnx", "rnet.onnx", "onet.onnx"] {
                    std::fs::copy(&other, folder.path().join(network)).unwrap();
                }
                folder.path().to_owned()
            }
            _ => Path::new(&other).to_owned(),
        };
        let model = file.to_string_lossy().into_owned();
        let words = detect::open(&DetectorConfig { model, ..DetectorConfig::new(kind) }).err().unwrap();
        let words = words.to_string();
        assert!(words.contains("does not fit") || words.contains("has no card"), "{kind:?}: {words}");
    }
}

/// Confidences and boxes that are all NaN.
fn network_of_nan() -> Vec<u8> {
    let mut graph = GraphBuilder::default();
    graph.input("data", &[Side::Free("batch"), Side::Fixed(3), Side::Fixed(300), Side::Fixed(300)]);
    let nan = graph.floats("nan", &[1], &[f32::NAN]);
    let flat = graph.node("Flatten", "flat", &["data"], vec![int("axis", 1)]);
    graph.node("Mul", "confidences", &[&flat, &nan], vec![]);
    let sides = graph.ints("sides", &[0, -1, 4]);
    let rows = graph.node("Reshape", "rows", &[&flat, &sides], vec![]);
    graph.node("Mul", "boxes", &[&rows, &nan], vec![]);
    graph.output("confidences", &[Side::Free("batch"), Side::Fixed(270_000)]);
    graph.output("boxes", &[Side::Free("batch"), Side::Fixed(67_500), Side::Fixed(4)]);
    graph.finish("nan")
}

#[test]
fn a_network_that_answers_nan_finds_no_face() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, network_of_nan()).unwrap();
    let card = "task = \"detection\"\n[input]\nwidth = 300\nheight = 300\ncolor = \"bgr\"\n";
    std::fs::write(path.with_extension("toml"), card).unwrap();
    let config = DetectorConfig {
        model: path.to_string_lossy().into_owned(),
        threshold: 0.0,
        ..DetectorConfig::new(DetectorKind::Ssd)
    };
    let data = pixels(64 * 48 * 3, None);
    let mut faces = Vec::new();
    let frame = Frame::rgb(&data, 64, 48).unwrap();
    detect::open(&config).unwrap().detect(&frame, &mut faces).unwrap();
    assert_eq!(faces, []);
}
