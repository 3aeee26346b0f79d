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

#[test]
fn who_hears_that_nothing_can_be_written_again_may_ask_the_element() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta location={}", below.join("faces.jsonl").display()), &frame);
    let writer = harness.find_element("fermeta").unwrap().downcast::<gstferroflow::writer::Meta>().unwrap();
    let bus = gst::Bus::new();
    let asked = writer.clone();
    let (send, told) = std::sync::mpsc::channel();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            asked.abandon();
            send.send((error.error().to_string(), asked.property::<Option<String>>("location"))).unwrap();
        }
        gst::BusSyncReply::Drop
    });
    writer.set_bus(Some(&bus));
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    harness.push_event(gst::event::Eos::new());
    fs::remove_dir_all(&below).unwrap();
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(harness.push(frame.buffer_owned().unwrap()), Err(gst::FlowError::Error));
    let (error, location) = told.try_recv().unwrap();
    assert!(error.contains("cannot be written") && location.is_some(), "{error}");
}

#[test]
fn each_line_is_in_the_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta location={}", path.display()), &frame);
    let part = folder.path().join(format!("faces.jsonl.{}.part", std::process::id()));
    for lines in 1..4 {
        harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&part).unwrap().lines().count(), lines);
    }
}

#[test]
fn another_process_cannot_write_a_file_that_is_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    // As another process would hold it.
    let other = fs::File::create(folder.path().join("faces.jsonl.1.part")).unwrap();
    other.lock().unwrap();
    let launch = format!("fermeta location={}", path.display());
    let refused = common::refusal(&launch);
    assert!(refused.contains("another process writes it: give each a location of its own"), "{refused}");
    // What a process left that is gone keeps nobody.
    drop(other);
    harness(&launch, &sheet("RGB", 320, 320));
}

#[test]
fn what_failed_stays_a_part_though_an_end_of_the_stream_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta location={}", path.display()), &frame);
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    let writer = harness.find_element("fermeta").unwrap().downcast::<gstferroflow::writer::Meta>().unwrap();
    writer.abandon();
    harness.push_event(gst::event::Eos::new());
    drop((harness, writer));
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(matches!(&names[..], [only] if only.to_string_lossy().ends_with(".part")), "{names:?}");
}

#[test]
fn two_elements_cannot_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let first = harness(&format!("fermeta location={}", path.display()), &sheet("RGB", 320, 320));
    let refused = common::refusal(&format!("fermeta location={}", path.display()));
    assert!(refused.contains("another element writes it: give each a location of its own"), "{refused}");
    drop(first);
    drop(harness(&format!("fermeta location={}", path.display()), &sheet("RGB", 320, 320)));
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.jsonl"), folder.path().join("link.jsonl"));
    fs::write(&real, "").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta location={}", link.display()), &frame);
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(real).unwrap().lines().count(), 1);
}

#[test]
fn a_descriptor_is_shared_with_whoever_opened_it() {
    use std::{io::Write, os::fd::AsRawFd};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"before\n").unwrap();
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta fd={}", file.as_raw_fd()), &frame);
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    harness.push_event(gst::event::Eos::new());
    drop(harness);
    file.write_all(b"after\n").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(matches!(lines[..], ["before", line, "after"] if line.starts_with('{')), "{text}");
}

#[test]
fn a_socket_is_written() {
    use std::{io::Read, os::fd::AsRawFd};
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let frame = sheet("RGB", 320, 320);
    let mut harness = harness(&format!("fermeta fd={}", theirs.as_raw_fd()), &frame);
    harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
    drop((harness, theirs));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn times_are_those_of_the_stream_and_passwords_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    let frame = sheet("RGB", 320, 320);
    let chain = format!("fermeta source=rtsp://admin:secret@camera/1 location={}", path.display());
    let mut harness = harness(&chain, &frame);
    // As of a file that its container trims: what is shown first has a time of four seconds.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(4));
    segment.set_time(gst::ClockTime::ZERO);
    harness.push_event(gst::event::Segment::new(&segment));
    for seconds in [4, 5] {
        let mut buffer = frame.buffer_owned().unwrap();
        buffer.make_mut().set_pts(gst::ClockTime::from_seconds(seconds));
        harness.push_and_pull(buffer).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| json::read_line(line.as_bytes()).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line.timestamp).collect::<Vec<_>>(), [Some(0), Some(1_000_000_000)]);
    assert!(lines.iter().all(|line| line.source == "rtsp://camera/1"));
}
