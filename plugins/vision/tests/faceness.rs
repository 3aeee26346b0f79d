//! Pictures that are no faces are told apart, whatever their size; a face is kept where a crop should show
//! one, and only there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use ferroflow_vision::{
    detect::{DetectError, DetectorKind},
    faceness::{Checker, Evidence, Reason, Settings, Thresholds},
    frame::FrameError,
    inference::{Device, SessionOptions},
};

const SIDE: usize = 48;

fn open(settings: &Settings) -> Checker {
    let session = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    Checker::open(settings, &session).unwrap_or_else(|error| panic!("{error}: run `make setup`"))
}

fn reason(evidence: &Evidence) -> Option<Reason> {
    evidence.decide(&Thresholds::default()).map(|(reason, _)| reason)
}

fn noise(count: usize) -> Vec<u8> {
    let mut state = 77u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Black on white, this many pixels high; what does not fit is cut off.
fn writing(lines: &[&str], side: usize, height: f32) -> Vec<u8> {
    let font = FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).unwrap();
    let scaled = font.as_scaled(PxScale::from(height));
    let mut pixels = vec![250; side * side];
    for (number, line) in lines.iter().enumerate() {
        let (mut x, y) = (2.0, (number as f32 * 1.3 + 1.0) * height);
        for letter in line.chars() {
            let glyph: Glyph = scaled.scaled_glyph(letter);
            x += scaled.h_advance(glyph.id);
            let at = Glyph { position: point(x - scaled.h_advance(glyph.id), y), ..glyph };
            let Some(outline) = font.outline_glyph(at) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, cover| {
                let (x, y) = (bounds.min.x as i32 + dx as i32, bounds.min.y as i32 + dy as i32);
                if (0..side as i32).contains(&x) && (0..side as i32).contains(&y) {
                    let pixel = &mut pixels[y as usize * side + x as usize];
                    *pixel = (f32::from(*pixel) * (1.0 - cover)) as u8;
                }
            });
        }
    }
    pixels
}

#[test]
fn one_gray_is_constant_and_noise_is_no_face() {
    let mut checker = open(&Settings::default());
    for value in [0, 127, 255] {
        let evidence = checker.check(&[value; SIDE * SIDE], SIDE, SIDE).unwrap();
        assert_eq!(evidence.decide(&Thresholds::default()), Some((Reason::Constant, 0.0)));
        // Nobody had to be asked.
        assert_eq!(evidence.found().count(), 0);
    }
    let evidence = checker.check(&noise(SIDE * SIDE), SIDE, SIDE).unwrap();
    assert_eq!(reason(&evidence), Some(Reason::NoFace), "{evidence:?}");
    assert_eq!(evidence.found().count(), Settings::default().detectors.len());
}

#[test]
fn a_nearly_constant_picture_is_constant() {
    let mut pixels = vec![3; SIDE * SIDE];
    pixels[100..110].fill(20);
    let evidence = open(&Settings::default()).check(&pixels, SIDE, SIDE).unwrap();
    assert_eq!(reason(&evidence), Some(Reason::Constant), "{evidence:?}");
}

#[test]
fn writing_is_text_at_any_size() {
    let mut checker = open(&Settings::default());
    let banner = ["Sorry,", "the person", "moved or", "deleted", "this image"];
    for (side, height) in [(48, 7.0), (48, 9.0), (96, 16.0), (600, 90.0)] {
        let evidence = checker.check(&writing(&banner, side, height), side, side).unwrap();
        assert_eq!(reason(&evidence), Some(Reason::Text), "{side} {height}: {evidence:?}");
    }
}

#[test]
fn any_size_gets_a_verdict() {
    let mut checker = open(&Settings::default());
    for (width, height) in [(1, 1), (1, 500), (500, 1), (7, 3), (31, 64), (5000, 2000)] {
        for pixels in [vec![0; width * height], vec![255; width * height], noise(width * height)] {
            let evidence = checker.check(&pixels, width, height).unwrap();
            assert!(reason(&evidence).is_some(), "{width}x{height}: {evidence:?}");
        }
    }
}

#[test]
fn pixels_that_are_not_there_are_an_error() {
    let mut checker = open(&Settings::default());
    for (width, height) in [(48, 49), (usize::MAX, usize::MAX)] {
        let answer = checker.check(&[0; SIDE * SIDE], width, height);
        assert!(matches!(answer, Err(DetectError::Frame(FrameError::ShortPlane { .. }))), "{answer:?}");
    }
    let answer = checker.check(&[], 0, 48);
    assert!(matches!(answer, Err(DetectError::Frame(FrameError::Empty { .. }))), "{answer:?}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let normal = Settings::default;
    let wrong = [
        Settings { detectors: Vec::new(), ..normal() },
        Settings { canvas_size: 0, ..normal() },
        Settings { canvas_size: 1 << 20, ..normal() },
        Settings { padding: f32::NAN, ..normal() },
        Settings { padding: -0.1, ..normal() },
        Settings { expected_box: [0.9, 0.0, 0.1, 1.0], ..normal() },
        Settings { expected_box: [f32::NAN; 4], ..normal() },
    ];
    let messages: Vec<_> =
        wrong.iter().map(|settings| settings.validate().unwrap_err().to_string()).collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    detectors is []: without any, no picture has a face
    canvas-size is 0: it must be from 32 to 2048 pixels
    canvas-size is 1048576: it must be from 32 to 2048 pixels
    padding is NaN: it must be from 0 to 2 times the picture's longer side
    padding is -0.1: it must be from 0 to 2 times the picture's longer side
    expected-box is [0.9, 0.0, 0.1, 1.0]: it must be left, top, right, bottom
    expected-box is [NaN, NaN, NaN, NaN]: it must be left, top, right, bottom
    ");
}

#[test]
fn settings_are_read_from_what_pipeline_files_say() {
    let text = r#"
        detectors = ["scrfd", "haar"]
        canvas-size = 192
        [thresholds]
        fit = 0.5
        [thresholds.confidence]
        scrfd = 0.4
    "#;
    let settings: Settings = toml::from_str(text).unwrap();
    assert_eq!(settings.detectors, [DetectorKind::Scrfd, DetectorKind::Haar]);
    assert_eq!((settings.thresholds.fit, settings.thresholds.confidence.scrfd), (0.5, 0.4));
    assert_eq!(settings.thresholds.roll, Thresholds::default().roll);
    assert_eq!(toml::from_str::<Settings>(&toml::to_string(&settings).unwrap()).unwrap(), settings);
    assert!(toml::from_str::<Settings>("canvas = 3").is_err());
}

#[test]
fn models_are_all_the_files_that_decide() {
    let names = |settings: &Settings| -> Vec<String> {
        Checker::models(settings).unwrap().into_iter().map(|file| file.name).collect()
    };
    let all = ["yunet", "scrfd", "mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet", "haar-profileface"];
    assert_eq!(names(&Settings::default()), all);
    let one =
        Settings { detectors: vec![DetectorKind::YuNet], profile_cascade: false, ..Settings::default() };
    assert_eq!(names(&one), ["yunet"]);
}

/// Real faces: the demo's sheet of one person's expressions.
#[cfg(feature = "opencv")]
mod faces {
    use ferroflow_vision::{
        align::Crop,
        detect::{self, DetectorConfig},
        frame::{Frame, PixelFormat, Plane, YuvEncoding},
        geometry::{Point, Rect},
        model,
        sample::{ImageSpec, Sampler},
    };
    use opencv::{imgcodecs, prelude::*};

    use super::*;

    const SPEC: ImageSpec = ImageSpec::gray(SIDE, SIDE);

    /// For each face of the sheet its crop as FER2013 cuts them, shaped by `shape` from the part of the sheet.
    fn crops(shape: impl Fn(Rect) -> Crop) -> Vec<Vec<u8>> {
        let path = model::asset_path("expressions.jpg").unwrap_or_else(|error| panic!("{error}"));
        let image = imgcodecs::imread(path.to_str().unwrap(), imgcodecs::IMREAD_COLOR).unwrap();
        let (width, height) = (image.cols() as usize, image.rows() as usize);
        let plane = Plane { data: image.data_bytes().unwrap(), stride: width * 3 };
        let sheet = Frame::new(PixelFormat::BGR, width, height, &[plane], YuvEncoding::default()).unwrap();
        let mut config = DetectorConfig::new(DetectorKind::YuNet);
        config.session.device = Device::Cpu;
        let mut faces = Vec::new();
        detect::open(&config).unwrap().detect(&sheet, &mut faces).unwrap();
        assert!(faces.len() >= 6, "{faces:?}");
        let crop = |found: Rect| {
            let mut values = vec![0.0; SPEC.len()];
            Sampler::default().sample_crop(&sheet, &shape(found.squared()), &SPEC, &mut values);
            values.into_iter().map(|value| value.round() as u8).collect()
        };
        faces.iter().map(|face| crop(face.box_in_frame)).collect()
    }

    fn reasons(shape: impl Fn(Rect) -> Crop) -> Vec<Option<Reason>> {
        let mut checker = open(&Settings::default());
        let crops = crops(shape);
        crops.iter().map(|crop| reason(&checker.check(crop, SIDE, SIDE).unwrap())).collect()
    }

    #[test]
    fn a_face_that_fills_its_crop_is_kept() {
        let reasons = reasons(Crop::upright);
        assert!(reasons.iter().all(Option::is_none), "{reasons:?}");
    }

    #[test]
    fn a_small_face_is_misplaced() {
        let reasons = reasons(|face| Crop::upright(face.padded(0.6)));
        assert!(reasons.iter().all(|&reason| reason == Some(Reason::Misplaced)), "{reasons:?}");
    }

    #[test]
    fn a_face_on_its_side_is_not_kept() {
        let turned = |face: Rect| Crop {
            corner: Point { x: face.right(), y: face.y },
            across: Point { x: 0.0, y: face.height },
            down: Point { x: -face.width, y: 0.0 },
        };
        let reasons = reasons(turned);
        // One of three detectors takes some for upright, and one is enough.
        let kept = reasons.iter().filter(|reason| reason.is_none()).count();
        assert!(kept * 4 < reasons.len(), "{reasons:?}");
        let tilted = reasons.iter().filter(|&&reason| reason == Some(Reason::Tilted)).count();
        // Of the others hardly any detector finds a face at all.
        assert!(tilted * 3 > reasons.len(), "{reasons:?}");
    }

    #[test]
    fn the_search_ends_with_the_first_usable_face_unless_all_evidence_is_wanted() {
        let crop = &crops(Crop::upright)[0];
        let short = open(&Settings::default()).check(crop, SIDE, SIDE).unwrap();
        assert_eq!(short.found().count(), 1, "{short:?}");
        let exhaustive = Settings { exhaustive: true, ..Settings::default() };
        let full = open(&exhaustive).check(crop, SIDE, SIDE).unwrap();
        assert_eq!(full.found().count(), 3);
        assert!(full.text.is_some() && full.profile.is_some());
        assert_eq!(reason(&full), None);
        assert_eq!(full.of(DetectorKind::YuNet), short.of(DetectorKind::YuNet));
    }
}
