//! The first network, run over the whole frame at every scale: windows of 12 pixels, 2 apart.

use std::sync::Arc;

use super::{
    moved,
    reduce::Reducer,
    spec,
    suppress::{Overlap, suppress},
};
use crate::{
    detect::{DetectError, DetectorConfig},
    face::Detection,
    frame::Frame,
    geometry::Rect,
    inference::{Output, SharedSession},
    model::ModelFile,
    sample::Sampler,
};

/// Side of a window in network pixels.
const WINDOW: usize = 12;

/// Distance between two windows in network pixels.
const STRIDE: usize = 2;

/// Ratio between two scales.
const FACTOR: f64 = 0.709;

/// Overlap above which the weaker of two windows goes, within a scale and over all.
const OVERLAPS: [f32; 2] = [0.5, 0.7];

/// Proposes windows.
pub struct Proposer {
    session: Arc<SharedSession>,
    sampler: Sampler,
    reducer: Reducer,
    image: Vec<f32>,
    reduced: Vec<f32>,
    at_scale: Vec<Detection>,
}

impl Proposer {
    /// Opens the network and checks its input and outputs.
    pub fn open(model: &ModelFile, config: &DetectorConfig) -> Result<Self, DetectError> {
        let session = SharedSession::open(&model.path, &config.session)?;
        let shape = |shape: &[i64], channels: i64| shape.len() == 4 && shape.get(1) == Some(&channels);
        let takes = matches!(session.inputs(), [input] if shape(&input.shape, 3));
        let gives = matches!(session.outputs(), [offsets, scores] if shape(&offsets.shape, 4) && shape(&scores.shape, 2));
        if !takes || !gives {
            let reason = "MTCNN's first network takes [1, 3, height, width] and gives offsets [1, 4, h, w] and scores [1, 2, h, w]";
            return Err(session.misfit(reason).into());
        }
        let (sampler, reducer, image, reduced, at_scale) = Default::default();
        Ok(Self { session, sampler, reducer, image, reduced, at_scale })
    }

    /// Replaces `windows` with the windows that may hold a face of at least `min_size` frame pixels, the most
    /// confident first.
    pub fn propose(
        &mut self,
        frame: &Frame<'_>,
        min_size: u32,
        threshold: f32,
        windows: &mut Vec<Detection>,
    ) -> Result<(), DetectError> {
        windows.clear();
        let (width, height) = (frame.width(), frame.height());
        let whole = spec(width, height);
        self.image.resize(whole.len(), 0.0);
        self.sampler.sample(frame, Rect::new(0.0, 0.0, width as f32, height as f32), &whole, &mut self.image);
        for scale in scales(width.min(height), min_size) {
            let to = ((width as f64 * scale) as usize, (height as f64 * scale) as usize);
            // The largest faces are searched in what is hardly larger than a window.
            if to.0 < WINDOW || to.1 < WINDOW {
                continue;
            }
            self.reduced.resize(3 * to.0 * to.1, 0.0);
            self.reducer.reduce(&self.image, (width, height), &mut self.reduced, to);
            let at_scale = &mut self.at_scale;
            at_scale.clear();
            self.session.run([1, 3, to.1, to.0], &mut self.reduced, |outputs| {
                if let [offsets, scores] = outputs {
                    decode(offsets, scores, scale as f32, threshold, at_scale);
                }
            })?;
            suppress(at_scale, OVERLAPS[0], Overlap::Union, usize::MAX);
            windows.append(at_scale);
        }
        suppress(windows, OVERLAPS[1], Overlap::Union, usize::MAX);
        Ok(())
    }

    /// Model and device, for logs.
    pub fn describe(&self) -> String {
        format!("mtcnn on {}", self.session.device())
    }
}

/// Network pixels for one of the frame, from the smallest faces to the largest that fit. Frames are never enlarged: a
/// pixel of `min_size` would make a small camera's frame fill the memory.
fn scales(shortest: usize, min_size: u32) -> impl Iterator<Item = f64> {
    let count = -((shortest as f64 / WINDOW as f64).ln() / FACTOR.ln() + 1.0);
    let first = WINDOW as f64 / f64::from(min_size).max(WINDOW as f64);
    (0..count.round().max(0.0) as i32).map(move |index| first * FACTOR.powi(index))
}

/// Appends the windows of one scale. Offsets are shares of the window's side: left, top, right, bottom.
fn decode(
    offsets: &Output<'_>,
    scores: &Output<'_>,
    scale: f32,
    threshold: f32,
    windows: &mut Vec<Detection>,
) {
    let &[.., columns] = scores.shape else { return };
    let columns = usize::try_from(columns).unwrap_or(0).max(1);
    let cells = scores.values.len() / 2;
    let faces = scores.values.get(cells..).unwrap_or_default();
    for (index, &confidence) in faces.iter().enumerate() {
        if confidence.is_nan() || confidence <= threshold {
            continue;
        }
        let offset = |side: usize| offsets.values.get(side * cells + index).copied().unwrap_or(0.0);
        let (x, y) = ((index % columns * STRIDE) as f32, (index / columns * STRIDE) as f32);
        // From corner pixel to corner pixel.
        let side = (WINDOW - 1) as f32;
        let window = Rect::new(x + 1.0, y + 1.0, side, side);
        let found = moved(&window, (side, side), [0, 1, 2, 3].map(offset));
        let box_in_frame =
            Rect::new(found.x / scale, found.y / scale, found.width / scale, found.height / scale);
        windows.push(Detection { box_in_frame, confidence, landmarks_in_frame: None });
    }
}
