//! What `fermeta` writes, and when it appears.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{asset, harness, samples, sheet};
use ferroflow_vision::record::json;
use gst::prelude::*;

#[test]
fn a_file_appears_when_the_stream_has_ended_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 640, 640);
    let mut harness =
        harness(&format!("ferfacedetect ! fermeta source=sheet location={}", path.display()), &frame);
    for _ in 0..3 {
        harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    }
    assert!(!path.exists());
    harness.push_event(gst::event::Eos::new());
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| json::read_line(line.as_bytes()).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line.frame).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lines.iter().all(|line| line.source == "sheet" && line.objects.len() >= 12));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_stream_that_does_not_end_leaves_only_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("ferfacedetect ! fermeta location={}", path.display()), &frame);
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    drop(harness);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(matches!(&names[..], [only] if only.to_string_lossy().ends_with(".part")), "{names:?}");
}

#[test]
fn a_stream_that_begins_again_leaves_what_was_recorded_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let life = |frames: usize| {
        let mut harness = harness(&format!("ferfacedetect ! fermeta location={}", path.display()), &frame);
        for _ in 0..frames {
            harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        }
        harness
    };
    drop(life(2));
    drop(life(1));
    // Nothing was recorded, so nothing is to be kept.
    drop(life(0));
    life(3).push_event(gst::event::Eos::new());
    let written = |file: fs::DirEntry| {
        let is_part = file.path().extension() == Some("part".as_ref());
        (is_part, fs::read_to_string(file.path()).unwrap().lines().count())
    };
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| written(file.unwrap())).collect();
    files.sort_unstable();
    assert_eq!(files, [(false, 3), (true, 1), (true, 2)]);
}

#[test]
fn a_csv_file_without_a_face_leaves_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.csv");
    drop(harness(&format!("fermeta format=csv location={}", path.display()), &sheet("RGB", 320, 320)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn csv_has_a_header_and_a_row_for_each_face() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.csv");
    let speech = asset("speech.mp4");
    samples(&format!(
        "filesrc location={speech} ! decodebin ! ferfacedetect ! fertrack ! ferexpression ! fersmooth ! \
         fermeta format=csv location={} ! appsink name=out",
        path.display()
    ));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1 + 2 * 105);
    let fields = text.lines().next().unwrap().split(',').count();
    assert!(text.lines().all(|line| line.split(',').count() == fields));
}

#[test]
fn messages_carry_the_same_json() {
    common::init();
    let speech = asset("speech.mp4");
    let chain =
        format!("filesrc location={speech} ! decodebin ! ferfacedetect ! fermeta format=message ! fakesink");
    let pipeline = gst::parse::launch(&chain).unwrap().downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut frames = 0;
    for message in bus.iter_timed(gst::ClockTime::from_seconds(30)) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let structure = element.structure().unwrap();
                assert_eq!(structure.name(), "ferroflow-faces");
                let line = json::read_line(structure.get::<&str>("json").unwrap().as_bytes()).unwrap();
                assert_eq!(line.frame, frames);
                frames += 1;
            }
            gst::MessageView::Eos(_) => break,
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(frames, 105);
}

#[test]
fn what_is_played_again_from_its_beginning_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta location={}", path.display()), &frame);
    for frames in [3, 2] {
        for _ in 0..frames {
            harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        let text = fs::read_to_string(&path).unwrap();
        let numbers = text.lines().map(|line| json::read_line(line.as_bytes()).unwrap().frame);
        assert_eq!(numbers.collect::<Vec<_>>(), (0..frames).collect::<Vec<_>>());
        harness.push_event(gst::event::FlushStart::new());
        harness.push_event(gst::event::FlushStop::new(true));
        harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
