//! Finds the faces of pictures and prints them as JSON: what the parity benches compare with other implementations.
//!
//! `cargo run --release -p ferroflow-vision --features opencv --example detect -- scrfd 2 photo.jpg ...`
//! (detector, threads)

use std::time::Instant;

use ferroflow_vision::{
    detect::{self, DetectorConfig},
    frame::{Frame, PixelFormat, Plane, YuvEncoding},
};
use opencv::{imgcodecs, prelude::*};

/// Runs over a picture of which the fastest is reported.
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(threads)) = (arguments.next(), arguments.next()) else {
        return Err("usage: detect DETECTOR THREADS PICTURE...".into());
    };
    let mut config = DetectorConfig::new(kind.parse()?);
    config.session.threads = threads.parse()?;
    let mut detector = detect::open(&config)?;
    for path in arguments {
        let image = imgcodecs::imread(&path, imgcodecs::IMREAD_COLOR)?;
        let (width, height) = (usize::try_from(image.cols())?, usize::try_from(image.rows())?);
        let plane = Plane { data: image.data_bytes()?, stride: width * 3 };
        let frame = Frame::new(PixelFormat::BGR, width, height, &[plane], YuvEncoding::default())?;
        let (mut faces, mut fastest) = (Vec::new(), f64::INFINITY);
        for _ in 0..RUNS {
            let started = Instant::now();
            detector.detect(&frame, &mut faces)?;
            fastest = fastest.min(started.elapsed().as_secs_f64() * 1e3);
        }
        let faces: Vec<_> = faces
            .iter()
            .map(|face| {
                let found = face.box_in_frame;
                let landmarks = face.landmarks_in_frame.iter().flatten().map(|point| [point.x, point.y]);
                serde_json::json!({
                    "box": [found.x, found.y, found.width, found.height],
                    "confidence": face.confidence,
                    "landmarks": landmarks.collect::<Vec<_>>(),
                })
            })
            .collect();
        println!("{}", serde_json::json!({ "picture": path, "milliseconds": fastest, "faces": faces }));
    }
    Ok(())
}
