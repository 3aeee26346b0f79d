//! What fuzzers and the corpus test do with bytes: read them, and use what was read. Nothing may panic or go
//! on for ever.

use super::{caffe, free_size};
use crate::{
    detect::haar::{Haar, xml},
    detect::{DetectorConfig, DetectorKind, FaceDetector},
    frame::Frame,
};

/// Reads a cascade and searches a picture of 64x48 with it.
pub fn cascade(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(cascade) = xml::parse(text) else { return };
    let mut config = DetectorConfig::new(DetectorKind::Haar);
    config.session.threads = 1;
    let pixels: Vec<u8> = (0..64 * 48u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    if let (Ok(mut haar), Ok(frame)) = (Haar::new(cascade, "fuzz", &config), Frame::gray(&pixels, 64, 48)) {
        let mut faces = Vec::new();
        let _ = haar.detect(&frame, &mut faces);
        assert!(faces.iter().all(|face| face.box_in_frame.is_valid()));
    }
}

/// Imports a Caffe network; a byte 0 ends its text and begins its weights.
pub fn caffe(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (prototxt, weights) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let _ = caffe::import_bytes(prototxt, weights);
}

/// Sets an ONNX file's size free, twice: what we write we can read.
pub fn onnx(data: &[u8]) {
    if let Ok(freed) = free_size::import_bytes(data) {
        assert!(free_size::import_bytes(&freed).is_ok());
    }
}
