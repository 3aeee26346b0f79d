//! Faces are found in every format, by every detector, and keep what is known of them on their way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{faces, harness, pattern, samples, sheet, through};
use ferroflow_vision::{face::Detection, geometry::Rect};
use gst::prelude::*;
use gst_video::VideoFormat;
use gstferroflow::meta::{self, FrameSize};

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
        ("ferfacedetect detector=scrfd", 15),
        ("ferfacedetect detector=mtcnn", 14),
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
fn faces_of_one_identity_have_each_their_own_expression() {
    let frame = sheet("RGB", 640, 640);
    let plain = faces(&through("ferfacedetect ! ferexpression", &frame), frame.caps().unwrap());
    let mut buffer = through("ferfacedetect", &frame);
    // As a tracker of others may leave it.
    meta::retain_faces(buffer.make_mut(), |face| {
        meta::set_track_id(face, 7);
        true
    });
    let given = gst::Sample::builder().buffer(&buffer).caps(&frame.caps_owned().unwrap()).build();
    let tracked = faces(&through("ferexpression reclassify-interval=3", &given), frame.caps().unwrap());
    assert!(plain.len() >= 12 && plain.len() == tracked.len());
    for (plain, tracked) in plain.iter().zip(&tracked) {
        assert_eq!(plain.emotion, tracked.emotion);
    }
}

#[test]
fn expressions_are_a_distribution_over_the_seven_classes() {
    let frame = sheet("RGB", 960, 960);
    let found = faces(&through("ferfacedetect ! ferexpression", &frame), frame.caps().unwrap());
    assert!(found.len() >= 14, "{} faces", found.len());
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
            for detector in ["yunet", "scrfd", "mtcnn", "ssd", "haar"] {
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

/// A frame with a face.
fn with_face(width: u32, height: u32, seconds: u64) -> gst::Sample {
    let sample = pattern("I420", width, height);
    let mut buffer = sample.buffer_owned().unwrap();
    let frame = buffer.make_mut();
    frame.set_pts(gst::ClockTime::from_seconds(seconds));
    let box_in_frame = Rect::new(100.0, 100.0, 60.0, 60.0);
    let detection = Detection { box_in_frame, confidence: 0.9, landmarks_in_frame: None };
    meta::add_face(frame, &detection, FrameSize { width: width as f32, height: height as f32 });
    gst::Sample::builder().buffer(&buffer).caps(&sample.caps_owned().unwrap()).build()
}

#[test]
fn identities_end_where_the_picture_is_another() {
    let first = with_face(640, 480, 0);
    let mut harness = harness("fertrack", &first);
    let id = |harness: &mut gst_check::Harness, frame: &gst::Sample| {
        let out = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        faces(&out, frame.caps().unwrap())[0].track_id.unwrap()
    };
    assert_eq!(id(&mut harness, &first), 1);
    assert_eq!(id(&mut harness, &with_face(640, 480, 1)), 1);
    assert_eq!(id(&mut harness, &with_face(640, 480, 600)), 2, "after a gap");
    assert_eq!(id(&mut harness, &with_face(640, 480, 5)), 3, "after a jump back");
    let large = with_face(1280, 960, 6);
    harness.set_src_caps(large.caps_owned().unwrap());
    assert_eq!(id(&mut harness, &large), 4, "in another size");
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(id(&mut harness, &large), 5, "after a flush");
}

#[test]
fn identities_end_with_the_scene() {
    let first = with_face(640, 480, 0);
    let other = {
        let scene = samples(
            "videotestsrc num-buffers=1 pattern=circular ! video/x-raw,format=I420,width=640,height=480 ! appsink name=out",
        );
        let mut buffer = scene[0].buffer_owned().unwrap();
        let detection = Detection {
            box_in_frame: Rect::new(100.0, 100.0, 60.0, 60.0),
            confidence: 0.9,
            landmarks_in_frame: None,
        };
        let frame = buffer.make_mut();
        frame.set_pts(gst::ClockTime::from_mseconds(100));
        meta::add_face(frame, &detection, FrameSize { width: 640.0, height: 480.0 });
        gst::Sample::builder().buffer(&buffer).caps(&first.caps_owned().unwrap()).build()
    };
    for (chain, expected) in [("fertrack", [1, 2]), ("fertrack cuts=false", [1, 1])] {
        let mut harness = harness(chain, &first);
        let ids = [&first, &other].map(|frame| {
            let out = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
            faces(&out, frame.caps().unwrap())[0].track_id.unwrap()
        });
        assert_eq!(ids, expected, "{chain}");
    }
}

#[test]
fn a_slow_camera_is_no_gap() {
    let frames = [0, 5, 10, 15, 20].map(|seconds| with_face(640, 480, seconds));
    let mut harness = harness("fertrack", &frames[0]);
    let ids = frames.each_ref().map(|frame| {
        let out = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        faces(&out, frame.caps().unwrap())[0].track_id.unwrap()
    });
    // Only the first five seconds may be one: nothing is known of the rate before.
    assert_eq!(ids, [1, 2, 2, 2, 2]);
}

#[test]
fn faces_of_other_elements_keep_what_is_known_of_each() {
    let sample = pattern("I420", 640, 480);
    let mut buffer = sample.buffer_owned().unwrap();
    for x in [0, 300] {
        let face = (x, 100, 60, 60);
        let mut region = gst_video::VideoRegionOfInterestMeta::add(buffer.make_mut(), "face", face);
        let share = |x: u32| f64::from(x) / 640.0;
        let known =
            gst::Structure::builder("detection").field("x_min", share(x)).field("x_max", share(x + 60));
        region.add_param(known.field("y_min", 0.2).field("y_max", 0.3).field("confidence", 0.9).build());
    }
    let sample = gst::Sample::builder().buffer(&buffer).caps(&sample.caps_owned().unwrap()).build();
    let out = through("fertrack ! videoconvert ! video/x-raw,format=RGB ! identity", &sample);
    let found = faces(&out, pattern("RGB", 640, 480).caps().unwrap());
    let known: Vec<_> = found.iter().map(|face| (face.detection.box_in_frame.x, face.track_id)).collect();
    assert_eq!(known, [(0.0, Some(1)), (300.0, Some(2))]);
}

#[test]
fn without_times_expressions_are_smoothed_by_the_rate_of_the_stream() {
    let frame = sheet("RGB", 640, 640);
    let mut harness = harness("ferfacedetect ! fertrack ! ferexpression ! fersmooth", &frame);
    let mut shown = Vec::new();
    for at in 0..4 {
        let mut buffer = frame.buffer_owned().unwrap();
        let buffer_mut = buffer.make_mut();
        buffer_mut.set_pts(gst::ClockTime::NONE);
        buffer_mut.set_duration(gst::ClockTime::from_seconds(1));
        if at > 0 {
            // Darker and darker: other scores.
            let mut mapped = buffer_mut.map_writable().unwrap();
            mapped.iter_mut().for_each(|pixel| *pixel /= 2);
        }
        let out = harness.push_and_pull(buffer).unwrap();
        let faces = faces(&out, frame.caps().unwrap());
        shown.push((faces[0].emotion.clone().unwrap().scores, faces[0].smoothed.clone().unwrap().scores));
    }
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>();
    let (_, first) = &shown[0];
    let (now, smoothed) = &shown[3];
    assert!(apart(first, now) > 0.01, "the scores are others");
    assert!(apart(smoothed, now) < 0.1 * apart(first, now), "and after seconds what is shown has followed");
}

#[test]
fn nobody_crops_by_metadata_before_what_looks_at_pixels() {
    let frame = pattern("I420", 64, 64);
    for element in ["ferfacedetect", "feroverlay"] {
        let mut harness = harness(element, &frame);
        let metas = [gst_video::VideoMeta::meta_api(), gst_video::VideoCropMeta::meta_api()];
        metas.into_iter().for_each(|api| harness.add_propose_allocation_meta(api, None));
        let mut query = gst::query::Allocation::new(Some(&frame.caps_owned().unwrap()), true);
        assert!(harness.element().unwrap().static_pad("sink").unwrap().query(&mut query));
        let known = (
            query.find_allocation_meta::<gst_video::VideoMeta>(),
            query.find_allocation_meta::<gst_video::VideoCropMeta>(),
        );
        assert!(matches!(known, (Some(_), None)), "{element}: {known:?}");
    }
}

#[test]
fn another_stream_is_another_picture() {
    let frame = sheet("RGB", 640, 640);
    let mut harness = harness("ferfacedetect ! fertrack", &frame);
    let mut identities = |stream: Option<&str>| {
        if let Some(stream) = stream {
            harness.push_event(gst::event::StreamStart::new(stream));
            harness.push_event(gst::event::Caps::new(&frame.caps_owned().unwrap()));
            harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        }
        let buffer = harness.push_and_pull(frame.buffer_owned().unwrap()).unwrap();
        faces(&buffer, frame.caps().unwrap()).iter().filter_map(|face| face.track_id).collect::<Vec<_>>()
    };
    let first = identities(Some("camera 1"));
    assert_eq!(identities(None), first);
    assert_eq!(identities(Some("camera 1")), first);
    let second = identities(Some("camera 2"));
    assert!(first.iter().all(|id| !second.contains(id)), "{first:?} {second:?}");
}
