//! Networks that answer nonsense, of nothing or of noise: an error, or faces that can be. Real networks from
//! the cache, whose answers are replaced.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use ferroflow_onnx::{AttributeProto, GraphBuilder, ModelProto, NodeProto, Side, TensorProto, ints};
use ferroflow_vision::{
    detect::{self, DetectorConfig, DetectorKind},
    expression::ExpressionClassifier,
    face::Detection,
    frame::Frame,
    geometry::{Point, Rect},
    inference::{Device, SessionOptions},
    model,
};
use prost::Message;

/// Noise of a size, the same each time.
fn noise((width, height): (usize, usize)) -> Vec<u8> {
    let mut state = 77u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    std::iter::repeat_with(next).take(width * height * 3).collect()
}

fn look_at_noise(config: &DetectorConfig, size: (usize, usize)) -> Vec<Detection> {
    let mut detector = detect::open(config).unwrap_or_else(|error| panic!("{error}: run `make setup`"));
    let pixels = noise(size);
    let frame = Frame::rgb(&pixels, size.0, size.1).unwrap();
    let mut faces = vec![strange_face(f32::NAN)];
    detector.detect(&frame, &mut faces).unwrap();
    faces
}

fn config(kind: DetectorKind, model: &Path) -> DetectorConfig {
    let session = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    let model = model.to_string_lossy().into_owned();
    DetectorConfig { session, model, ..DetectorConfig::new(kind) }
}

fn strange_face(value: f32) -> Detection {
    let landmarks_in_frame = Some([Point { x: value, y: 3.0 }; 5]);
    Detection { box_in_frame: Rect::new(value, 2.0, 8.0, value), confidence: value, landmarks_in_frame }
}

/// Nothing of a face is infinite or not a number, some of it is in the frame, and its confidence is one.
fn is_possible(face: &Detection, (width, height): (usize, usize)) -> bool {
    let frame = Rect::new(0.0, 0.0, width as f32, height as f32);
    let are_finite =
        |points: &[Point; 5]| points.iter().all(|point| point.x.is_finite() && point.y.is_finite());
    face.box_in_frame.is_valid()
        && face.box_in_frame.intersection_area(&frame) > 0.0
        && (0.0..=1.0).contains(&face.confidence)
        && face.landmarks_in_frame.as_ref().is_none_or(are_finite)
}

#[test]
fn faces_are_in_the_frame_even_if_a_network_moves_them_out() {
    // A few pixels of noise, stretched to 300x300, and the SSD finds faces two frames further down.
    for kind in DetectorKind::ALL {
        for size in [(11, 11), (23, 24), (97, 61), (640, 360)] {
            let faces = look_at_noise(&config(kind, Path::new("")), size);
            assert!(faces.iter().all(|face| is_possible(face, size)), "{kind:?} {size:?}: {faces:?}");
        }
    }
}

#[test]
fn a_classifier_of_several_faces_and_never_fewer_is_refused_before_any_frame() {
    let folder = tempfile::tempdir().unwrap();
    for (name, batch) in [("four", Side::Fixed(4)), ("one", Side::Fixed(1)), ("any", Side::Free("N"))] {
        let mut graph = GraphBuilder::default();
        graph.input("face", &[batch, Side::Fixed(1), Side::Fixed(14), Side::Fixed(14)]);
        let kernel = vec![ints("kernel_shape", &[14, 2]), ints("strides", &[14, 2])];
        let means = graph.node("AveragePool", "means", &["face"], kernel);
        graph.node("Flatten", "answer", &[&means], vec![]);
        graph.output("answer", &[batch, Side::Fixed(7)]);
        let path = folder.path().join(format!("{name}.onnx"));
        fs::write(&path, graph.finish("several")).unwrap();
        let card = "task = \"expression\"\nsoftmax = true\nlabels = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\"]\n\
            [input]\nwidth = 14\nheight = 14\ncolor = \"gray\"\n";
        fs::write(path.with_extension("toml"), card).unwrap();
        let file = model::resolve_model(&path.to_string_lossy()).unwrap();
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        match ExpressionClassifier::open(&file, &options, 8) {
            Ok(_) => assert_ne!(name, "four"),
            Err(error) => {
                assert!(name == "four" && error.to_string().contains("it takes 4 faces at once"), "{error}");
            }
        }
    }
}

/// Writes a network that answers `value` wherever the one in `from` answers a number, with the card of `name`
/// beside it.
fn write_mad(name: &str, target: &Path, value: f32) {
    let file = model::resolve_model(name).unwrap_or_else(|error| panic!("{error}: run `make setup`"));
    let mut network = ModelProto::decode(fs::read(&file.path).unwrap().as_slice()).unwrap();
    let graph = network.graph.as_mut().unwrap();
    graph.initializer.push(TensorProto::floats("mad".into(), &[1], &[value]));
    graph.initializer.push(TensorProto::floats("mad_zero".into(), &[1], &[0.0]));
    for output in graph.output.clone() {
        let sane = format!("{}_sane", output.name);
        for node in &mut graph.node {
            let names = node.input.iter_mut().chain(&mut node.output);
            names.filter(|name| **name == output.name).for_each(|name| name.clone_from(&sane));
        }
        let node = |op: &str, from: [&str; 2], to: &str| NodeProto {
            input: from.map(str::to_owned).into(),
            output: vec![to.to_owned()],
            name: format!("{to}_mad"),
            op_type: op.to_owned(),
            attribute: Vec::<AttributeProto>::new(),
            ..NodeProto::default()
        };
        let none = format!("{}_none", output.name);
        graph.node.push(node("Mul", [&sane, "mad_zero"], &none));
        graph.node.push(node("Add", [&none, "mad"], &output.name));
    }
    fs::write(target, network.encode_to_vec()).unwrap();
    if let Some(card) = file.card {
        fs::write(target.with_extension("toml"), toml::to_string(&card).unwrap()).unwrap();
    }
}

const MAD: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e20, -1e20];

#[test]
fn a_network_that_has_gone_mad_gives_no_impossible_face() {
    let folder = tempfile::tempdir().unwrap();
    for kind in [DetectorKind::Ssd, DetectorKind::Scrfd, DetectorKind::YuNet, DetectorKind::Mtcnn] {
        for (number, value) in MAD.into_iter().enumerate() {
            let place = folder.path().join(format!("{}-{number}", kind.name()));
            fs::create_dir(&place).unwrap();
            let path = match kind {
                DetectorKind::Mtcnn => {
                    for stage in ["pnet", "rnet", "onet"] {
                        write_mad(
                            &format!("mtcnn-{stage}"),
                            &place.join(stage).with_extension("onnx"),
                            value,
                        );
                    }
                    place
                }
                _ => {
                    write_mad(kind.default_model(), &place.join("mad.onnx"), value);
                    place.join("mad.onnx")
                }
            };
            let config = config(kind, &path);
            let size = (160, 120);
            let faces = look_at_noise(&config, size);
            let context = format!("{} answering {value}: {faces:?}", kind.name());
            assert!(faces.len() <= config.max_detections, "{context}");
            assert!(faces.iter().all(|face| is_possible(face, size)), "{context}");
            assert!(!value.is_nan() || faces.is_empty(), "{context}");
        }
    }
}

#[test]
fn mad_stages_of_mtcnn_spoil_no_face() {
    let folder = tempfile::tempdir().unwrap();
    let stages = ["pnet", "rnet", "onet"];
    for mad in stages {
        for (number, value) in MAD.into_iter().enumerate() {
            let place = folder.path().join(format!("{mad}-{number}"));
            fs::create_dir(&place).unwrap();
            for stage in stages {
                let target = place.join(stage).with_extension("onnx");
                match stage == mad {
                    true => write_mad(&format!("mtcnn-{stage}"), &target, value),
                    false => {
                        let sane = model::resolve_model(&format!("mtcnn-{stage}")).unwrap();
                        fs::copy(sane.path, target).unwrap();
                    }
                }
            }
            let size = (320, 240);
            let faces = look_at_noise(&config(DetectorKind::Mtcnn, &place), size);
            assert!(faces.iter().all(|face| is_possible(face, size)), "{mad} answering {value}: {faces:?}");
        }
    }
}

#[test]
fn faces_that_cannot_be_are_classified_without_a_panic() {
    let file = model::resolve_model(model::DEFAULT_EXPRESSION).unwrap();
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    let mut classifier = ExpressionClassifier::open(&file, &options, 4).unwrap();
    let pixels = [99; 30 * 20];
    let frame = Frame::gray(&pixels, 30, 20).unwrap();
    let faces: Vec<_> = MAD.into_iter().chain([0.0, -7.0]).map(strange_face).collect();
    let mut emotions = Vec::new();
    classifier.classify(&frame, &faces, &mut emotions).unwrap();
    assert_eq!(emotions.len(), faces.len());
    for emotion in emotions {
        assert!((emotion.scores.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{emotion:?}");
    }
}

#[test]
fn a_classifier_that_has_gone_mad_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mad.onnx");
    write_mad("mini-xception", &path, f32::NAN);
    let file = model::resolve_model(&path.to_string_lossy()).unwrap();
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    let mut classifier = ExpressionClassifier::open(&file, &options, 4).unwrap();
    let frame = Frame::gray(&[99; 30 * 20], 30, 20).unwrap();
    let face = Detection {
        box_in_frame: Rect::new(2.0, 2.0, 16.0, 16.0),
        confidence: 1.0,
        landmarks_in_frame: None,
    };
    let mut emotions = Vec::new();
    let error = classifier.classify(&frame, &[face], &mut emotions).unwrap_err();
    assert!(error.to_string().contains("not probabilities"), "{error}");
    assert!(emotions.is_empty());
}

#[test]
fn mtcnn_does_not_enlarge_frames_for_faces_below_its_window() {
    let config = DetectorConfig { min_size: 1, ..config(DetectorKind::Mtcnn, Path::new("")) };
    let size = (320, 240);
    let faces = look_at_noise(&config, size);
    assert!(faces.iter().all(|face| is_possible(face, size)), "{faces:?}");
}
