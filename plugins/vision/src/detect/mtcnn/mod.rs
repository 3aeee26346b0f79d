//! MTCNN (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks",
//! 2016): a small network proposes windows at every scale, two larger ones refine what the one before has
//! left; five landmarks. Thresholds, suppression and geometry are those of the Python package `mtcnn` 1.0.0.
//!
//! A frame flows one way: [`reduce`] → [`propose`] → [`refine`] twice.

mod propose;
mod reduce;
mod refine;
mod suppress;

use self::{
    propose::Proposer,
    refine::Refiner,
    suppress::{Overlap, suppress},
};
use super::{DetectError, DetectorConfig, FaceDetector, nms};
use crate::{face::Detection, frame::Frame, geometry::Rect, model::ModelFile, sample::ImageSpec};

/// Smallest face that is searched unless told otherwise, in frame pixels.
const MIN_SIZE: u32 = 20;

/// Least confidences of the first two networks; the third's is the detector's threshold.
const THRESHOLDS: [f32; 2] = [0.6, 0.7];

/// Overlap above which the weaker of two windows goes, after the second network (shared part of both) and
/// after the third (part of the smaller).
const OVERLAPS: [f32; 2] = [0.7, 0.7];

/// Most windows that are refined: noise can propose tens of thousands, no crowd does.
const MOST_WINDOWS: usize = 2000;

/// The detector. All networks see RGB as (pixel - 127.5) / 128.
pub struct Mtcnn {
    proposer: Proposer,
    refiners: [Refiner; 2],
    config: DetectorConfig,
    windows: Vec<Detection>,
}

impl Mtcnn {
    /// Opens the three networks, proposing, refining and answering, and checks their inputs and outputs.
    pub fn open([pnet, rnet, onet]: &[ModelFile; 3], config: &DetectorConfig) -> Result<Self, DetectError> {
        Ok(Self {
            proposer: Proposer::open(pnet, config)?,
            refiners: [Refiner::open(rnet, config, 24, false)?, Refiner::open(onet, config, 48, true)?],
            config: config.clone(),
            windows: Vec::new(),
        })
    }
}

impl FaceDetector for Mtcnn {
    fn detect(&mut self, frame: &Frame<'_>, faces: &mut Vec<Detection>) -> Result<(), DetectError> {
        faces.clear();
        let Self { proposer, refiners: [rnet, onet], config, windows } = self;
        let min_size = if config.min_size == 0 { MIN_SIZE } else { config.min_size };
        proposer.propose(frame, min_size, THRESHOLDS[0], windows)?;
        windows.truncate(MOST_WINDOWS);
        square(windows);
        rnet.refine(frame, THRESHOLDS[1], windows)?;
        suppress(windows, OVERLAPS[0], Overlap::Union, MOST_WINDOWS);
        square(windows);
        onet.refine(frame, config.threshold, windows)?;
        nms::drop_outside(windows, frame);
        suppress(windows, OVERLAPS[1], Overlap::Smaller, config.max_detections);
        let limit = config.max_size as f32;
        faces.extend(windows.drain(..).filter(|face| limit == 0.0 || face.box_in_frame.width <= limit));
        Ok(())
    }

    fn describe(&self) -> String {
        self.proposer.describe()
    }
}

/// Each window becomes a square around its centre.
fn square(windows: &mut [Detection]) {
    windows.iter_mut().for_each(|window| window.box_in_frame = window.box_in_frame.squared());
}

/// A window's sides moved by a network's answer: shares of `width` and `height`, left, top, right, bottom.
fn moved(window: &Rect, (width, height): (f32, f32), [left, top, right, bottom]: [f32; 4]) -> Rect {
    Rect::from_corners(
        window.x + left * width,
        window.y + top * height,
        window.right() + right * width,
        window.bottom() + bottom * height,
    )
}

/// The input of one network.
fn spec(width: usize, height: usize) -> ImageSpec {
    use crate::sample::{ColorOrder, TensorLayout};
    ImageSpec {
        width,
        height,
        color: ColorOrder::Rgb,
        layout: TensorLayout::Nchw,
        scale: 1.0,
        mean: [127.5; 3],
        std: [128.0; 3],
    }
}
