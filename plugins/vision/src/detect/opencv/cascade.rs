//! The Haar cascade (Viola and Jones 2001; Lienhart's features) through OpenCV's `CascadeClassifier`.

use std::ffi::c_void;

use opencv::{
    core::{CV_8UC1, Mat, Rect as CvRect, Size, Vector},
    objdetect::CascadeClassifier,
    prelude::*,
};

use crate::{
    detect::{DetectError, DetectorConfig, FaceDetector, haar::confidence},
    face::Detection,
    frame::{Frame, Plane},
    geometry::Rect,
    model::ModelFile,
};

/// The detector. It looks at luma alone: planar formats are searched where they lie, packed ones through a gray copy.
pub struct OpenCvHaar {
    classifier: CascadeClassifier,
    name: String,
    config: DetectorConfig,
    gray: Vec<u8>,
}

impl OpenCvHaar {
    /// Reads the cascade's XML file.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let unreadable = |reason: String| DetectError::Cascade { path: model.path.clone(), reason };
        let classifier = CascadeClassifier::new(&model.path).map_err(|error| unreadable(error.message))?;
        if classifier.empty().map_err(|error| unreadable(error.message))? {
            return Err(unreadable("it is missing or not an OpenCV cascade".into()));
        }
        super::set_threads(config.session.threads)?;
        Ok(Self { classifier, name: model.name.clone(), config: config.clone(), gray: Vec::new() })
    }
}

impl FaceDetector for OpenCvHaar {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let plane = match frame.luma_plane() {
            Some(plane) => plane,
            None => {
                frame.write_gray(&mut self.gray);
                Plane { data: &self.gray, stride: frame.width() }
            }
        };
        let (rows, columns) = (frame.height() as i32, frame.width() as i32);
        let data = plane.data.as_ptr().cast_mut().cast::<c_void>();
        // SAFETY: `Frame` has checked that the plane holds `rows` rows of `columns` bytes at this stride, and
        // the matrix, which is only read, does not outlive it.
        #[allow(unsafe_code)]
        let image =
            unsafe { Mat::new_rows_cols_with_data_unsafe(rows, columns, CV_8UC1, data, plane.stride) }?;
        let (mut boxes, mut neighbors) = (Vector::<CvRect>::new(), Vector::<i32>::new());
        let side = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        let size = |length: u32| Size::new(side(length), side(length));
        let _running = super::computing();
        self.classifier.detect_multi_scale2(
            &image,
            &mut boxes,
            &mut neighbors,
            self.config.scale_factor,
            side(self.config.min_neighbors),
            0,
            size(self.config.min_size),
            size(self.config.max_size),
        )?;
        faces.extend(boxes.iter().zip(neighbors.iter()).map(|(found, count)| {
            let box_in_frame =
                Rect::new(found.x as f32, found.y as f32, found.width as f32, found.height as f32);
            Detection {
                box_in_frame,
                confidence: confidence(u32::try_from(count).unwrap_or(0)),
                landmarks_in_frame: None,
            }
        }));
        faces.retain(|face| face.confidence >= self.config.threshold);
        faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        faces.truncate(self.config.max_detections);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} through OpenCV on cpu", self.name)
    }
}
