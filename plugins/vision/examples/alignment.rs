//! Reads the expressions of the faces of pictures, turned by some angles, with each way to turn their crops,
//! and prints them as JSON, a line for each picture and angle: what `benches/alignment.py` judges.
//!
//! `cargo run --release -p ferroflow-vision --features opencv --example alignment -- mini-xception yunet
//! 0,15,30 photo.jpg ...`

use ferroflow_vision::{
    align::Alignment,
    detect::{self, DetectorConfig},
    expression::ExpressionClassifier,
    frame::{Frame, PixelFormat, Plane, YuvEncoding},
    geometry::Point,
    inference::SessionOptions,
    model,
};
use opencv::{
    core::{BORDER_CONSTANT, Mat, Scalar, Size},
    imgcodecs, imgproc,
    prelude::*,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, detector, angles, pictures @ ..] = arguments.as_slice() else {
        return Err("usage: alignment CLASSIFIER DETECTOR ANGLE,ANGLE... PICTURE...".into());
    };
    let angles = angles.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>()?;
    let mut detector = detect::open(&DetectorConfig::new(detector.parse()?))?;
    let mut model = model::resolve_model(model)?;
    let mut classifiers = Vec::new();
    for align in [Alignment::None, Alignment::Level, Alignment::ArcFace] {
        if let Some(card) = &mut model.card {
            card.input.align = align;
        }
        let options = SessionOptions { threads: 1, ..SessionOptions::default() };
        classifiers.push((align, ExpressionClassifier::open(&model, &options, 32)?));
    }
    for path in pictures {
        let picture = imgcodecs::imread(path, imgcodecs::IMREAD_COLOR)?;
        for &degrees in &angles {
            let turned = turn(&picture, degrees)?;
            let (width, height) = (usize::try_from(turned.cols())?, usize::try_from(turned.rows())?);
            let plane = Plane { data: turned.data_bytes()?, stride: width * 3 };
            let frame = Frame::new(PixelFormat::BGR, width, height, &[plane], YuvEncoding::default())?;
            let mut faces = Vec::new();
            detector.detect(&frame, &mut faces)?;
            let mut answers = serde_json::Map::new();
            for (align, classifier) in &mut classifiers {
                let mut emotions = Vec::new();
                classifier.classify(&frame, &faces, &mut emotions)?;
                let scores: Vec<_> = emotions.iter().map(|emotion| &emotion.scores).collect();
                answers.insert(format!("{align:?}").to_lowercase(), serde_json::json!(scores));
            }
            let centers: Vec<_> = faces
                .iter()
                .map(|face| turn_back(face.box_in_frame.center(), degrees, &turned, &picture))
                .map(|center| [center.x, center.y])
                .collect();
            let sides: Vec<_> = faces.iter().map(|face| face.box_in_frame.width).collect();
            let line = serde_json::json!({
                "picture": path, "degrees": degrees, "width": picture.cols(), "height": picture.rows(),
                "centers_in_picture": centers, "widths": sides, "scores": answers,
            });
            println!("{line}");
        }
    }
    Ok(())
}

/// The picture turned clockwise about its centre on a black ground that holds all of it.
fn turn(picture: &Mat, degrees: f32) -> opencv::Result<Mat> {
    let (width, height) = (picture.cols() as f32, picture.rows() as f32);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (wide, high) =
        ((width * cos.abs() + height * sin.abs()).ceil(), (width * sin.abs() + height * cos.abs()).ceil());
    // OpenCV counts from the centre of the first pixel, so the middle of n pixels is at (n - 1) / 2.
    let (x, y) = ((width - 1.0) / 2.0, (height - 1.0) / 2.0);
    let (dx, dy) = ((wide - 1.0) / 2.0 - cos * x + sin * y, (high - 1.0) / 2.0 - sin * x - cos * y);
    let rows = [[cos, -sin, dx].map(f64::from), [sin, cos, dy].map(f64::from)];
    let matrix = Mat::from_slice_2d(&rows)?;
    let mut turned = Mat::default();
    let size = Size::new(wide as i32, high as i32);
    let (flags, border) = (imgproc::INTER_LINEAR, BORDER_CONSTANT);
    imgproc::warp_affine(picture, &mut turned, &matrix, size, flags, border, Scalar::default())?;
    Ok(turned)
}

/// Where a point of the turned picture lies in the picture, both as `turn` has them.
fn turn_back(point: Point, degrees: f32, turned: &Mat, picture: &Mat) -> Point {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (x, y) = (point.x - turned.cols() as f32 / 2.0, point.y - turned.rows() as f32 / 2.0);
    let (middle_x, middle_y) = (picture.cols() as f32 / 2.0, picture.rows() as f32 / 2.0);
    Point { x: middle_x + cos * x + sin * y, y: middle_y - sin * x + cos * y }
}
