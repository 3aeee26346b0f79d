//! YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023): anchor-free, three strides, five
//! landmarks. Decoding follows OpenCV's `FaceDetectorYN`, which is its reference implementation.

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
    inference::{Output, SharedSession},
    model::ModelFile,
    sample::{ColorOrder, ImageSpec, Sampler, TensorLayout},
};

const STRIDES: [usize; 3] = [8, 16, 32];

/// The detector. Input: BGR, 0 to 255, each side a multiple of 32.
pub struct YuNet {
    session: Arc<SharedSession>,
    /// Where class, objectness, box and landmark scores of each stride stand among the outputs.
    outputs: [[usize; 4]; 3],
    /// The height and width that the network was exported with, where it takes no others.
    fixed_size: Option<(usize, usize)>,
    config: DetectorConfig,
    sampler: Sampler,
    input: Vec<f32>,
}

impl YuNet {
    /// Opens the model and checks its inputs and outputs.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let session = SharedSession::open(&model.path, &config.session)?;
        let fixed_size =
            fixed_size(&session, "YuNet").map_err(|reason| DetectError::from(session.misfit(reason)))?;
        let find = |name: String| {
            let position = session.outputs().iter().position(|output| output.name == name);
            position.ok_or_else(|| {
                session.misfit(format!("YuNet gives an output `{name}`, found none of that name"))
            })
        };
        let mut outputs = [[0; 4]; 3];
        for (row, stride) in outputs.iter_mut().zip(STRIDES) {
            *row = [
                find(format!("cls_{stride}"))?,
                find(format!("obj_{stride}"))?,
                find(format!("bbox_{stride}"))?,
                find(format!("kps_{stride}"))?,
            ];
        }
        let (sampler, input) = Default::default();
        Ok(Self { session, outputs, fixed_size, config: config.clone(), sampler, input })
    }
}

impl FaceDetector for YuNet {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let fit = Letterbox::fit(frame, self.config.input_size, self.fixed_size);
        let Letterbox { scale, width, height } = fit;
        let spec = ImageSpec {
            width,
            height,
            color: ColorOrder::Bgr,
            layout: TensorLayout::Nchw,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        self.input.resize(spec.len(), 0.0);
        self.sampler.sample(frame, fit.part_in_frame(), &spec, &mut self.input);
        let (indices, threshold) = (self.outputs, self.config.threshold);
        self.session.run([1, 3, height, width], &mut self.input, |outputs| {
            for (stride, row) in STRIDES.into_iter().zip(indices) {
                if let [Some(class), Some(object), Some(boxes), Some(points)] =
                    row.map(|index| outputs.get(index))
                {
                    let grid = Grid { stride, columns: width / stride, scale, threshold };
                    grid.decode(class, object, boxes, points, faces);
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

/// One stride's grid of predictions.
struct Grid {
    stride: usize,
    columns: usize,
    scale: f32,
    threshold: f32,
}

impl Grid {
    fn decode(
        &self,
        class: &Output,
        object: &Output,
        boxes: &Output,
        points: &Output,
        faces: &mut Vec<Detection>,
    ) {
        let cells = class.values.iter().zip(object.values);
        let shapes = boxes.values.chunks_exact(4).zip(points.values.chunks_exact(10));
        let to_frame = self.stride as f32 / self.scale;
        for (index, ((&class, &object), (offsets, landmarks))) in cells.zip(shapes).enumerate() {
            let confidence = (class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0)).sqrt();
            if confidence.is_nan() || confidence < self.threshold {
                continue;
            }
            let column = (index % self.columns.max(1)) as f32;
            let row = (index / self.columns.max(1)) as f32;
            let &[dx, dy, log_width, log_height] = offsets else { continue };
            let (width, height) = (log_width.exp() * to_frame, log_height.exp() * to_frame);
            let (x, y) = ((column + dx) * to_frame, (row + dy) * to_frame);
            let mut landmarks_in_frame = [Point::default(); 5];
            for (point, pair) in landmarks_in_frame.iter_mut().zip(landmarks.chunks_exact(2)) {
                *point = Point { x: (column + pair[0]) * to_frame, y: (row + pair[1]) * to_frame };
            }
            faces.push(Detection {
                box_in_frame: Rect::new(x - width / 2.0, y - height / 2.0, width, height),
                confidence,
                landmarks_in_frame: Some(landmarks_in_frame),
            });
        }
    }
}
