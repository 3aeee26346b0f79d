//! The SSD of OpenCV's samples: a ResNet-10 trunk at 300x300 (Liu et al., "SSD: Single Shot MultiBox
//! Detector", 2016), imported from Caffe ([`crate::import`]) and run by ONNX Runtime. The graph decodes the
//! boxes; what Caffe's `DetectionOutput` layer does after that (threshold, suppression, limits) is done here.

use std::sync::Arc;

use super::{DetectError, DetectorConfig, FaceDetector, nms};
use crate::{
    face::Detection,
    frame::Frame,
    geometry::Rect,
    inference::SharedSession,
    model::ModelFile,
    sample::{ImageSpec, Sampler},
};

/// The detector. The whole frame is stretched to the network's input, as in OpenCV's `blobFromImage`.
pub struct Ssd {
    session: Arc<SharedSession>,
    spec: ImageSpec,
    config: DetectorConfig,
    sampler: Sampler,
    input: Vec<f32>,
}

impl Ssd {
    /// Opens the model and checks its inputs and outputs.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let session = SharedSession::open(&model.path, &config.session)?;
        let spec = model.card()?.image_spec();
        let expected = [spec.color.channels() as i64, spec.height as i64, spec.width as i64];
        match session.inputs() {
            [input] if input.shape.get(1..) == Some(&expected[..]) => {}
            inputs => {
                let found = inputs.first().map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return Err(session
                    .misfit(format!(
                        "its card says an input of [N, 3, {}, {}], found {found}",
                        spec.height, spec.width
                    ))
                    .into());
            }
        }
        if !matches!(session.outputs(), [scores, boxes] if scores.shape.len() == 2 && boxes.shape.last() == Some(&4))
        {
            let reason = "an SSD gives `confidences` [N, priors] and `boxes` [N, priors, 4]: import it with `ferroflow models import`";
            return Err(session.misfit(reason).into());
        }
        let input = vec![0.0; spec.len()];
        Ok(Self { session, spec, config: config.clone(), sampler: Sampler::default(), input })
    }
}

impl FaceDetector for Ssd {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        self.sampler.sample(frame, Rect::new(0.0, 0.0, width, height), &self.spec, &mut self.input);
        let shape = [1, self.spec.color.channels(), self.spec.height, self.spec.width];
        let threshold = self.config.threshold;
        self.session.run(shape, &mut self.input, |outputs| {
            let [scores, boxes] = outputs else { return };
            for (&confidence, corners) in scores.values.iter().zip(boxes.values.chunks_exact(4)) {
                if confidence > threshold {
                    let [x0, y0, x1, y1] =
                        [corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height];
                    let box_in_frame = Rect::from_corners(x0, y0, x1, y1);
                    faces.push(Detection { box_in_frame, confidence, landmarks_in_frame: None });
                }
            }
        })?;
        nms::drop_outside(faces, frame);
        nms::suppress(faces, self.config.iou_threshold, self.config.max_detections);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} on {}", self.session.name(), self.session.device())
    }
}
