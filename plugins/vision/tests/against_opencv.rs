//! Our detectors answer what OpenCV's answer: Haar to the last raw window, the SSD to a thousandth.

#![cfg(feature = "opencv")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use ferroflow_vision::{
    detect::{self, Backend, DetectorConfig, DetectorKind, FaceDetector, Haar, opencv::OpenCvHaar},
    face::Detection,
    frame::Frame,
    geometry::Rect,
    model,
};
use opencv::{core::Mat, imgcodecs, prelude::*};

/// A gray picture.
struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let image = imgcodecs::imread(path.to_str().unwrap(), imgcodecs::IMREAD_GRAYSCALE).unwrap();
        Self::of(&image)
    }

    fn of(image: &Mat) -> Self {
        let (width, height) = (image.cols() as usize, image.rows() as usize);
        Self { pixels: image.data_bytes().unwrap().to_vec(), width, height }
    }

    fn frame(&self) -> Frame<'_> {
        Frame::gray(&self.pixels, self.width, self.height).unwrap()
    }
}

fn config(min_neighbors: u32) -> DetectorConfig {
    DetectorConfig { min_neighbors, max_detections: usize::MAX, ..DetectorConfig::new(DetectorKind::Haar) }
}

fn boxes(detector: &mut dyn FaceDetector, picture: &Picture) -> Vec<Rect> {
    let mut faces: Vec<Detection> = Vec::new();
    detector.detect(&picture.frame(), &mut faces).unwrap();
    let mut boxes: Vec<Rect> = faces.into_iter().map(|face| face.box_in_frame).collect();
    boxes.sort_by(|a, b| (a.width, a.y, a.x).partial_cmp(&(b.width, b.y, b.x)).unwrap());
    boxes
}

fn same(cascade: &str, config: &DetectorConfig, pictures: &[Picture]) -> usize {
    let model = model::resolve_model(cascade).unwrap();
    let mut ours = Haar::open(&model, config).unwrap();
    let mut reference = OpenCvHaar::open(&model, config).unwrap();
    pictures
        .iter()
        .map(|picture| {
            let expected = boxes(&mut reference, picture);
            let found = boxes(&mut ours, picture);
            let missed: Vec<_> = expected.iter().filter(|face| !found.contains(face)).take(3).collect();
            let extra: Vec<_> = found.iter().filter(|face| !expected.contains(face)).take(3).collect();
            let size = (picture.width, picture.height);
            assert!(
                found == expected,
                "{cascade} {size:?}: {} of {}, missed {missed:?}, extra {extra:?}",
                found.len(),
                expected.len()
            );
            expected.len()
        })
        .sum()
}

fn sheet() -> Picture {
    Picture::read(&model::asset_path("expressions.jpg").unwrap())
}

fn resized(picture: &Picture, width: i32, height: i32) -> Picture {
    let source =
        Mat::new_rows_cols_with_data(picture.height as i32, picture.width as i32, &picture.pixels).unwrap();
    let mut target = Mat::default();
    let size = opencv::core::Size::new(width, height);
    opencv::imgproc::resize(&source, &mut target, size, 0.0, 0.0, opencv::imgproc::INTER_AREA).unwrap();
    Picture::of(&target)
}

/// Pixels without any picture in them.
fn noise(width: usize, height: usize) -> Picture {
    let mut state = 1u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    Picture { pixels: std::iter::repeat_with(next).take(width * height).collect(), width, height }
}

const CASCADES: [&str; 3] = ["haar-frontalface-default", "haar-frontalface-alt2", "haar-profileface"];

#[test]
fn every_raw_window_is_the_same() {
    let sheet = sheet();
    let pictures =
        [resized(&sheet, 640, 360), resized(&sheet, 301, 299), resized(&sheet, 33, 47), noise(200, 150)];
    for cascade in CASCADES {
        let found = same(cascade, &config(0), &pictures);
        assert!(found > 20, "{cascade}: {found}");
    }
}

#[test]
fn every_face_is_the_same() {
    let sheet = sheet();
    let pictures = [resized(&sheet, 640, 360), resized(&sheet, 1280, 720), noise(64, 64)];
    for cascade in CASCADES {
        same(cascade, &config(3), &pictures);
    }
    assert!(same(CASCADES[0], &config(5), &pictures) > 10);
}

#[test]
fn sizes_and_factors_mean_the_same() {
    let pictures = [resized(&sheet(), 500, 400)];
    for (scale_factor, min_size, max_size) in
        [(1.05, 0, 0), (1.3, 0, 60), (1.1, 50, 0), (1.2, 40, 80), (1.1, 61, 61), (2.5, 0, 0), (1.1, 3000, 0)]
    {
        let config = DetectorConfig { scale_factor, min_size, max_size, ..config(0) };
        same(CASCADES[0], &config, &pictures);
    }
}

#[test]
fn the_threshold_leaves_the_surest_faces() {
    let picture = resized(&sheet(), 640, 360);
    let all = config(1);
    let sure = DetectorConfig { threshold: 0.94, ..all.clone() };
    let mut confidences = Vec::new();
    for backend in [Backend::Native, Backend::OpenCv] {
        let found = |config: &DetectorConfig| {
            let mut faces = Vec::new();
            let mut detector = detect::open(&DetectorConfig { backend, ..config.clone() }).unwrap();
            detector.detect(&picture.frame(), &mut faces).unwrap();
            faces.iter().map(|face| face.confidence).collect::<Vec<_>>()
        };
        let (all, sure) = (found(&all), found(&sure));
        assert!(
            !sure.is_empty() && sure.len() < all.len() && sure.iter().all(|confidence| *confidence >= 0.94),
            "{all:?}"
        );
        confidences.push(sure);
    }
    assert_eq!(confidences[0], confidences[1]);
}

#[test]
fn tilted_features_are_the_same() {
    // Debian's package of the cascades has these beside those of the manifest.
    let beside = model::asset_path("haar-frontalface-default").unwrap();
    let pictures = [resized(&sheet(), 640, 360), noise(121, 91)];
    for name in ["haarcascade_smile.xml", "haarcascade_upperbody.xml", "haarcascade_lefteye_2splits.xml"] {
        let path = beside.with_file_name(name);
        assert!(same(path.to_str().unwrap(), &config(0), &pictures) > 0, "{name}");
    }
}

#[test]
fn the_imported_ssd_answers_as_the_caffe_files_do() {
    let sheet = sheet();
    let pictures =
        [resized(&sheet, 640, 360), resized(&sheet, 300, 300), resized(&sheet, 90, 70), noise(200, 150)];
    let mut config = DetectorConfig { threshold: 0.3, ..DetectorConfig::new(DetectorKind::Ssd) };
    let mut ours = detect::open(&config).unwrap();
    config.backend = Backend::OpenCv;
    let mut reference = detect::open(&config).unwrap();
    let mut compared = 0;
    for picture in &pictures {
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        ours.detect(&picture.frame(), &mut found).unwrap();
        reference.detect(&picture.frame(), &mut expected).unwrap();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            let sides = |face: &Detection| {
                let found = face.box_in_frame;
                [found.x, found.y, found.right(), found.bottom()]
            };
            assert!(sides(a).iter().zip(sides(b)).all(|(a, b)| (a - b).abs() < 1.0), "{a:?} {b:?}");
            assert!((a.confidence - b.confidence).abs() < 0.002, "{a:?} {b:?}");
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn opencv_says_what_it_has_no_reference_for() {
    let config = DetectorConfig { backend: Backend::OpenCv, ..DetectorConfig::new(DetectorKind::YuNet) };
    let words = detect::open(&config).err().unwrap().to_string();
    assert_eq!(words, "backend=opencv goes with detector=haar and detector=ssd, and not with yunet");
}

/// The wider set of pictures, where the development data is at hand.
#[test]
fn every_face_of_the_development_pictures_is_the_same() {
    let folder =
        std::env::var_os("FERROFLOW_DATA").map_or_else(|| "../../../shared/data".into(), PathBuf::from);
    let mut pictures = Vec::new();
    for folder in [folder.join("photos"), folder.join("wider-mini/images")] {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is not here", folder.display());
            return;
        };
        pictures.extend(entries.map(|entry| Picture::read(&entry.unwrap().path())));
    }
    let found = same(CASCADES[0], &config(5), &pictures);
    println!("{} pictures, {found} faces", pictures.len());
    assert!(found > 50);
}
