//! `fertranslate` repaints faces where they lie, leaves all else as it is, and says what it needs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{pattern, refusal, sheet};
use ferroflow_onnx::{GraphBuilder, Side};
use ferroflow_vision::{face::Detection, geometry::Rect};
use gst::prelude::*;
use gst_check::Harness;
use gstferroflow::meta::{self, FrameSize};
use tempfile::TempDir;

/// A generator whose translation is the negative, of faces with so many channels; the words that set it.
fn negative(channels: usize) -> (TempDir, String) {
    let mut graph = GraphBuilder::default();
    let sides = [Side::Free("faces"), Side::Fixed(channels), Side::Fixed(24), Side::Fixed(24)];
    graph.input("face", &sides);
    graph.node("Neg", "translated", &["face"], vec![]);
    graph.output("translated", &sides);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("negative.onnx");
    std::fs::write(&path, graph.finish("negative")).unwrap();
    let words = format!("fertranslate device=cpu model={}", path.display());
    (folder, words)
}

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// A harness around one element, that element, and the folder it needs.
fn translator(sample: &gst::Sample) -> (Harness, gst::Element, TempDir) {
    let (folder, words) = negative(1);
    let harness = common::harness(&words, sample);
    let element = harness.element().unwrap();
    let element = match element.downcast::<gst::Bin>() {
        Ok(bin) => bin.iterate_elements().into_iter().flatten().next().unwrap(),
        Err(element) => element,
    };
    (harness, element, folder)
}

/// A copy of the sample's buffer with a face on it.
fn with_face(sample: &gst::Sample, box_in_frame: Rect) -> gst::Buffer {
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let mut buffer = sample.buffer().unwrap().copy_deep().unwrap();
    let face = Detection { box_in_frame, confidence: 1.0, landmarks_in_frame: None };
    meta::add_face(buffer.make_mut(), &face, FrameSize::of(&info));
    buffer
}

#[test]
fn a_face_is_repainted_in_every_format_and_nothing_else() {
    for format in gstferroflow::frame::FORMATS {
        let frame = sheet(format.to_str().as_str(), 321, 241);
        let (mut harness, element, _folder) = translator(&frame);
        let buffer = with_face(&frame, Rect::new(90.0, 60.0, 100.0, 100.0));
        let after = bytes(&harness.push_and_pull(buffer).unwrap());
        let before = bytes(frame.buffer().unwrap());
        assert_eq!(before.len(), after.len());
        let info = gst_video::VideoInfo::from_caps(frame.caps().unwrap()).unwrap();
        let (stride, pixel) = (info.stride()[0] as usize, info.comp_pstride(0) as usize);
        let changes: Vec<_> = (0..before.len()).filter(|&at| before[at] != after[at]).collect();
        assert!(changes.len() > 7000, "{format}: {} bytes", changes.len());
        for at in changes {
            let (x, y) = (at % stride / pixel, at / stride);
            assert!((90..190).contains(&x) && (60..160).contains(&y), "{format}: {x}, {y}");
        }
        assert_eq!(element.property::<u64>("translated-frames"), 1);
        assert_eq!(element.property::<u64>("translated-faces"), 1);
    }
}

#[test]
fn alpha_stays() {
    for (format, alpha) in [("RGBA", 3), ("ARGB", 0)] {
        let frame = sheet(format, 64, 64);
        let (mut harness, _element, _folder) = translator(&frame);
        let after = harness.push_and_pull(with_face(&frame, Rect::new(0.0, 0.0, 64.0, 64.0))).unwrap();
        let (before, after) = (bytes(frame.buffer().unwrap()), bytes(&after));
        assert_ne!(before, after);
        assert!(before.chunks(4).zip(after.chunks(4)).all(|(a, b)| a[alpha] == b[alpha]), "{format}");
    }
}

#[test]
fn the_middle_of_an_even_face_is_its_negative() {
    let mut frame = pattern("GRAY8", 64, 64);
    let mut gray = frame.buffer_owned().unwrap();
    gray.make_mut().map_writable().unwrap().fill(80);
    let caps = frame.caps_owned().unwrap();
    frame = gst::Sample::builder().buffer(&gray).caps(&caps).build();
    let (mut harness, element, _folder) = translator(&frame);
    let mut middle = |strength: f32| {
        element.set_property("strength", strength);
        let face = with_face(&frame, Rect::new(8.0, 8.0, 48.0, 48.0));
        let after = bytes(&harness.push_and_pull(face).unwrap());
        (after[32 * 64 + 32], after[4 * 64 + 4])
    };
    // While it plays: 80 + strength · (175 - 80).
    assert_eq!([1.0, 0.0, 0.5, 1.0].map(&mut middle), [(175, 80), (80, 80), (128, 80), (175, 80)]);
    assert_eq!(element.property::<u64>("translated-frames"), 3);
}

#[test]
fn frames_without_faces_and_without_strength_are_neither_copied_nor_changed() {
    for strength in [0.0f32, 1.0] {
        let frame = pattern("I420", 320, 240);
        let (mut harness, element, _folder) = translator(&frame);
        element.set_property("strength", strength);
        let buffer = match strength {
            0.0 => with_face(&frame, Rect::new(10.0, 10.0, 100.0, 100.0)),
            _ => frame.buffer_owned().unwrap(),
        };
        // Held on to, so that nobody may write into it.
        let before = buffer.clone();
        let after = harness.push_and_pull(buffer).unwrap();
        assert_eq!(before.peek_memory(0).as_ptr(), after.peek_memory(0).as_ptr());
        assert_eq!(element.property::<u64>("translated-frames"), 0);
    }
}

#[test]
fn a_frame_that_others_hold_is_copied_before_it_is_changed() {
    let frame = sheet("NV12", 320, 240);
    let (mut harness, _element, _folder) = translator(&frame);
    let held = with_face(&frame, Rect::new(10.0, 10.0, 100.0, 100.0));
    let after = harness.push_and_pull(held.clone()).unwrap();
    assert_eq!(bytes(&held), bytes(frame.buffer().unwrap()));
    assert_ne!(bytes(&held), bytes(&after));
}

#[test]
fn faces_that_reach_past_the_frame_and_frames_of_odd_sizes_pass() {
    for format in ["I420", "NV12", "RGB", "BGRx", "GRAY8"] {
        for (width, height) in [(1, 1), (3, 500), (97, 61), (17, 1)] {
            let frame = pattern(format, width, height);
            let (mut harness, _element, _folder) = translator(&frame);
            let (width, height) = (width as f32, height as f32);
            for (x, y) in [(-width / 2.0, 0.0), (width / 2.0, -height / 2.0), (0.3, height / 2.0)] {
                let buffer = with_face(&frame, Rect::new(x, y, width, height));
                let after = harness.push_and_pull(buffer).unwrap();
                assert_eq!(after.size(), frame.buffer().unwrap().size());
            }
        }
    }
}

#[test]
fn a_stream_may_change_its_size_midway() {
    let (large, small) = (sheet("I420", 640, 640), sheet("I420", 160, 160));
    let (mut harness, _element, _folder) = translator(&large);
    for frame in [&large, &small, &large] {
        harness.set_src_caps(frame.caps_owned().unwrap());
        let after = harness.push_and_pull(with_face(frame, Rect::new(20.0, 20.0, 90.0, 90.0))).unwrap();
        assert_ne!(bytes(&after), bytes(frame.buffer().unwrap()));
    }
}

#[test]
fn no_model_or_another_one_is_refused_with_what_to_do() {
    assert_eq!(
        refusal("fertranslate"),
        "no generator: set the property `model` to the ONNX file of a CycleGAN's generator"
    );
    assert_eq!(
        refusal("fertranslate model=/nowhere/net.onnx"),
        "the generator /nowhere/net.onnx is not there: name the ONNX file of a CycleGAN's generator"
    );
    let (_folder, colour) = negative(3);
    let words = refusal(&colour);
    assert!(words.contains("[N, 1, height, width]") && words.contains("[-1, 3, 24, 24]"), "{words}");
}
