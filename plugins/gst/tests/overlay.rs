//! `feroverlay` draws into every format, inside the frame, and only where there is something to show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{faces, harness, pattern, sheet, through};

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

#[test]
fn frames_without_faces_stay_as_they_are() {
    for format in gstferroflow::frame::FORMATS {
        let frame = pattern(format.to_str().as_str(), 321, 243);
        assert_eq!(bytes(&through("feroverlay", &frame)), bytes(frame.buffer().unwrap()), "{format}");
    }
}

#[test]
fn every_format_is_drawn_into() {
    for format in gstferroflow::frame::FORMATS {
        let frame = sheet(format.to_str().as_str(), 641, 481);
        let before = bytes(frame.buffer().unwrap());
        let after = bytes(&through("ferfacedetect ! fertrack ! ferexpression ! feroverlay", &frame));
        assert_eq!(before.len(), after.len());
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(changed > before.len() / 100, "{format}: {changed} of {} bytes", before.len());
    }
}

#[test]
fn the_outline_is_where_the_face_is() {
    let frame = sheet("GRAY8", 960, 960);
    let mut harness = harness("ferfacedetect ! feroverlay labels=false scores=false fps=false", &frame);
    let after = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    let (before, drawn) = (bytes(frame.buffer().unwrap()), bytes(&after));
    let face = faces(&after, frame.caps().unwrap()).remove(0).detection.box_in_frame.clamped(960.0, 960.0);
    let at = |x: f32, y: f32| y as usize * 960 + x as usize;
    let middle = at(face.center().x, face.center().y);
    assert_eq!(before[middle], drawn[middle]);
    let edge = (0..face.width as usize).filter(|x| {
        let index = at(face.x, face.y) + x;
        before[index] != drawn[index]
    });
    assert!(edge.count() > face.width as usize / 2);
}
