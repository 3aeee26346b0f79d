//! Faces are found in every format, by every detector, and keep what is known of them on their way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{faces, harness, pattern, samples, sheet, through};
use gst::prelude::*;
use gst_video::VideoFormat;

#[test]
fn every_format_shows_the_same_faces() {
    let reference = sheet("RGB", 960, 960);
    let expected = faces(&through("ferfacedetect", &reference), reference.caps().unwrap());
    assert!(expected.len() >= 14, "{} of 16 faces", expected.len());
    for format in gstferroflow::frame::FORMATS {
        let frame = sheet(format.to_str().as_str(), 960, 960);
        let found = faces(&through("ferfacedetect", &frame), frame.caps().unwrap());
        let matched = expected.iter().filter(|face| {
            let same = |other: &ferroflow_vision::face::Face| {
                face.detection.box_in_frame.iou(&other.detection.box_in_frame) > 0.9
            };
            found.iter().any(same)
        });
        // Without colour the network sees a little less well.
        let least = if format == VideoFormat::Gray8 { expected.len() / 2 } else { expected.len() };
        let matched = matched.count();
        assert!(matched >= least, "{format}: {matched} of {}", expected.len());
    }
}

#[test]
fn every_detector_finds_most_of_sixteen_faces() {
    let frame = sheet("I420", 960, 960);
    for (chain, least) in [
        ("ferfacedetect detector=yunet", 15),
        ("ferfacedetect detector=haar", 12),
        ("ferfacedetect detector=ssd threshold=0.2", 8),
    ] {
        let found = faces(&through(chain, &frame), frame.caps().unwrap());
        assert!((least..=20).contains(&found.len()), "{chain}: {} faces", found.len());
        let inside = |face: &ferroflow_vision::face::Face| face.detection.box_in_frame.is_valid();
        assert!(found.iter().all(inside), "{chain}");
    }
}

#[test]
fn the_frame_is_not_copied_or_changed() {
    let frame = sheet("NV12", 640, 640);
    let before = frame.buffer_owned().unwrap();
    let after = through("ferfacedetect ! fertrack ! ferexpression ! fersmooth", &frame);
    assert_eq!(before.peek_memory(0).as_ptr(), after.peek_memory(0).as_ptr());
}

#[test]
fn faces_pass_through_tee_queue_and_conversion() {
    let path = common::asset("expressions.jpg");
    let frames = samples(&format!(
        "filesrc location={path} ! jpegdec ! videoconvertscale ! video/x-raw,format=I420,width=960,height=960 ! \
         ferfacedetect ! fertrack ! ferexpression ! fersmooth ! tee name=t ! queue ! fakesink t. ! queue ! \
         videoconvert ! video/x-raw,format=BGR ! videoscale ! video/x-raw,width=480,height=480 ! appsink name=out"
    ));
    let found = faces(frames[0].buffer().unwrap(), frames[0].caps().unwrap());
    assert!(found.len() >= 14);
    for face in &found {
        assert!(face.track_id.is_some() && face.emotion.is_some() && face.smoothed.is_some());
        let box_in_frame = &face.detection.box_in_frame;
        assert!(box_in_frame.right() < 500.0 && box_in_frame.bottom() < 500.0, "{box_in_frame:?}");
    }
}

#[test]
fn identities_last_through_a_real_video() {
    let path = common::asset("speech.mp4");
    let chain = "ferfacedetect ! fertrack ! appsink name=out";
    let frames = samples(&format!("filesrc location={path} ! decodebin ! {chain}"));
    assert_eq!(frames.len(), 105);
    for frame in &frames {
        let mut ids: Vec<_> = faces(frame.buffer().unwrap(), frame.caps().unwrap())
            .iter()
            .filter_map(|face| face.track_id)
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
    }
}

#[test]
fn skipped_frames_carry_predicted_faces() {
    let path = common::asset("speech.mp4");
    let chain = "ferfacedetect inference-interval=3 ! fertrack ! appsink name=out";
    let frames = samples(&format!("filesrc location={path} ! decodebin ! {chain}"));
    let counts: Vec<_> =
        frames.iter().map(|frame| faces(frame.buffer().unwrap(), frame.caps().unwrap()).len()).collect();
    assert_eq!(counts.iter().filter(|&&count| count == 2).count(), counts.len(), "{counts:?}");
}

#[test]
fn a_tracked_face_is_classified_again_only_after_the_interval() {
    let path = common::asset("speech.mp4");
    let chain = "ferfacedetect ! fertrack ! ferexpression reclassify-interval=5 ! appsink name=out";
    let frames = samples(&format!("filesrc location={path} ! decodebin ! {chain}"));
    let scores: Vec<_> = frames
        .iter()
        .map(|frame| {
            let faces = faces(frame.buffer().unwrap(), frame.caps().unwrap());
            faces
                .iter()
                .find(|face| face.track_id == Some(1))
                .unwrap()
                .emotion
                .as_ref()
                .unwrap()
                .scores
                .clone()
        })
        .collect();
    let changes = scores.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, (105 - 1) / 5);
}

#[test]
fn expressions_are_a_distribution_over_the_seven_classes() {
    let frame = sheet("RGB", 960, 960);
    let found = faces(&through("ferfacedetect ! ferexpression", &frame), frame.caps().unwrap());
    for face in found {
        let emotion = face.emotion.unwrap();
        assert_eq!(emotion.labels.to_vec(), ferroflow_vision::face::EXPRESSIONS);
        assert!((emotion.scores.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        assert_eq!(&*emotion.model, "ferroflow-expression");
    }
}

#[test]
fn frames_of_odd_sizes_pass() {
    for format in ["I420", "NV12", "RGB", "BGRx", "GRAY8"] {
        for (width, height) in [(1, 1), (4097, 33), (3, 500), (17, 1)] {
            let frame = pattern(format, width, height);
            for detector in ["yunet", "ssd", "haar"] {
                let chain = format!(
                    "ferfacedetect detector={detector} ! fertrack ! ferexpression ! fersmooth ! feroverlay"
                );
                let after = through(&chain, &frame);
                assert_eq!(after.size(), frame.buffer().unwrap().size());
            }
        }
    }
}

#[test]
fn a_stream_may_change_its_size_midway() {
    let large = sheet("I420", 960, 960);
    let small = sheet("I420", 480, 480);
    let mut harness = harness("ferfacedetect ! fertrack ! ferexpression ! fersmooth ! feroverlay", &large);
    for frame in [&large, &small, &large, &small] {
        harness.set_src_caps(frame.caps_owned().unwrap());
        let after = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        let found = faces(&after, frame.caps().unwrap());
        assert!(found.len() >= 12, "{} faces", found.len());
        let width = frame.caps().unwrap().structure(0).unwrap().get::<i32>("width").unwrap() as f32;
        assert!(found.iter().all(|face| face.detection.box_in_frame.right() < width * 1.1));
    }
}

#[test]
fn timestamps_and_caps_pass_unchanged() {
    let frame = sheet("NV12", 320, 320);
    let mut buffer = frame.buffer_owned().unwrap();
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(1234));
    let mut harness = harness("ferfacedetect ! fertrack", &frame);
    let after = harness.push_and_pull(buffer).unwrap();
    assert_eq!(after.pts(), Some(gst::ClockTime::from_mseconds(1234)));
    assert_eq!(harness.sinkpad().unwrap().current_caps(), frame.caps_owned());
}
