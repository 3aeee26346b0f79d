//! SCRFD (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021): three
//! strides, anchors at the cells' corners, boxes and five landmarks as distances from them in strides.
//! Decoding follows InsightFace's.

use std::sync::Arc;

use super::{
    DetectError, DetectorConfig, FaceDetector,
    letterbox::{Letterbox, fixed_size},
    nms,
};
use crate::{
    face::Detection,
    frame::Frame,
    geometry::{Point, Rect},
    inference::{Output, SharedSession, listed},
    model::ModelFile,
    sample::{ColorOrder, ImageSpec, Sampler, TensorLayout},
};

const STRIDES: [usize; 3] = [8, 16, 32];

/// The detector. Input: RGB, (pixel - 127.5) / 128, each side a multiple of 32.
pub struct Scrfd {
    session: Arc<SharedSession>,
    /// Where scores, boxes and landmarks of each stride stand among the outputs.
    outputs: [[usize; 3]; 3],
    /// The height and width that the network was exported with, where it takes no others.
    fixed_size: Option<(usize, usize)>,
    config: DetectorConfig,
    sampler: Sampler,
    input: Vec<f32>,
}

impl Scrfd {
    /// Opens the model and checks its inputs and outputs.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let session = SharedSession::open(&model.path, &config.session)?;
        let fixed_size =
            fixed_size(&session, "SCRFD").map_err(|reason| DetectError::from(session.misfit(reason)))?;
        // Exporters name the outputs as they like, but always give scores, boxes and landmarks from the
        // finest stride to the coarsest.
        let last_side = |index: &usize| session.outputs().get(*index).and_then(|o| o.shape.last().copied());
        let of_width = |width: i64| -> Result<[usize; 3], DetectError> {
            let found: Vec<usize> =
                (0..session.outputs().len()).filter(|index| last_side(index) == Some(width)).collect();
            found.try_into().map_err(|found: Vec<usize>| {
                let outputs = listed(session.outputs());
                let reason = format!(
                    "SCRFD gives three outputs of {width} columns (scores 1, boxes 4, landmarks 10), found {}: {outputs}",
                    found.len()
                );
                session.misfit(reason).into()
            })
        };
        let (scores, boxes, points) = (of_width(1)?, of_width(4)?, of_width(10)?);
        let outputs = [0, 1, 2].map(|stride| [scores[stride], boxes[stride], points[stride]]);
        let (sampler, input) = Default::default();
        Ok(Self { session, outputs, fixed_size, config: config.clone(), sampler, input })
    }
}

impl FaceDetector for Scrfd {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let fit = Letterbox::fit(frame, self.config.input_size, self.fixed_size);
        let spec = ImageSpec {
            width: fit.width,
            height: fit.height,
            color: ColorOrder::Rgb,
            layout: TensorLayout::Nchw,
            scale: 1.0,
            mean: [127.5; 3],
            std: [128.0; 3],
        };
        self.input.resize(spec.len(), 0.0);
        self.sampler.sample(frame, fit.part_in_frame(), &spec, &mut self.input);
        let (indices, threshold) = (self.outputs, self.config.threshold);
        self.session.run([1, 3, fit.height, fit.width], &mut self.input, |outputs| {
            for (stride, row) in STRIDES.into_iter().zip(indices) {
                if let [Some(scores), Some(boxes), Some(points)] = row.map(|index| outputs.get(index)) {
                    decode(stride, &fit, threshold, [scores, boxes, points], faces);
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

/// Appends the faces of one stride. Anchors of a cell follow each other.
fn decode(
    stride: usize,
    fit: &Letterbox,
    threshold: f32,
    [scores, boxes, points]: [&Output<'_>; 3],
    faces: &mut Vec<Detection>,
) {
    let columns = fit.width / stride;
    let anchors = (scores.values.len() / (columns * (fit.height / stride)).max(1)).max(1);
    let shapes = boxes.values.as_chunks::<4>().0.iter().zip(points.values.as_chunks::<10>().0);
    let to_frame = stride as f32 / fit.scale;
    for (index, (&confidence, (sides, landmarks))) in scores.values.iter().zip(shapes).enumerate() {
        if confidence.is_nan() || confidence < threshold {
            continue;
        }
        let cell = index / anchors;
        let (x, y) = ((cell % columns.max(1)) as f32, (cell / columns.max(1)) as f32);
        let [left, up, right, down] = *sides;
        let mut landmarks_in_frame = [Point::default(); 5];
        for (point, [dx, dy]) in landmarks_in_frame.iter_mut().zip(landmarks.as_chunks::<2>().0) {
            *point = Point { x: (x + dx) * to_frame, y: (y + dy) * to_frame };
        }
        let [x0, y0, x1, y1] = [x - left, y - up, x + right, y + down].map(|side| side * to_frame);
        faces.push(Detection {
            box_in_frame: Rect::from_corners(x0, y0, x1, y1),
            confidence: confidence.min(1.0),
            landmarks_in_frame: Some(landmarks_in_frame),
        });
    }
}
