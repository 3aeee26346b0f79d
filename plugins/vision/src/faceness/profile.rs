//! OpenCV's cascade for profiles, which knows one side of the face: asked about the canvas and about its mirror.

use super::canvas::Canvas;
use crate::{
    detect::{self, DetectError, DetectorConfig, DetectorKind, FaceDetector},
    face::Detection,
    frame::Frame,
    inference::SessionOptions,
};

/// The manifest's name of the cascade.
pub const MODEL: &str = "haar-profileface";

/// Raw windows that must agree before the cascade's answer counts: OpenCV's own default is 3.
const MIN_NEIGHBORS: u32 = 3;

/// The cascade and its scratch space.
pub struct ProfileCascade {
    detector: Box<dyn FaceDetector>,
    mirrored: Vec<u8>,
    faces: Vec<Detection>,
}

impl ProfileCascade {
    /// Opens the cascade for faces of at least `min_size` pixels.
    pub fn open(min_size: u32, session: &SessionOptions) -> Result<Self, DetectError> {
        let config = DetectorConfig {
            model: MODEL.to_owned(),
            session: session.clone(),
            min_neighbors: MIN_NEIGHBORS,
            min_size,
            ..DetectorConfig::new(DetectorKind::Haar)
        };
        Ok(Self { detector: detect::open(&config)?, mirrored: Vec::new(), faces: Vec::new() })
    }

    /// The best answer on either side, as [`confidence`](detect::haar::confidence) of the windows that agree;
    /// 0 for none.
    pub fn confidence(&mut self, canvas: &Canvas) -> Result<f32, DetectError> {
        let Self { detector, mirrored, faces } = self;
        detector.detect(&canvas.frame()?, faces)?;
        let one_side = faces.first().map_or(0.0, |face| face.confidence);
        let side = canvas.write_mirrored(mirrored);
        detector.detect(&Frame::gray(mirrored, side, side)?, faces)?;
        Ok(faces.first().map_or(one_side, |face| face.confidence.max(one_side)))
    }
}
