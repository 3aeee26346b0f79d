//! How a frame is laid into the input of a detector that takes any size: reduced to a longest side, never
//! enlarged, at the top left corner, with its edge pixels repeated up to the next multiple of the largest
//! stride.

use crate::{
    frame::Frame,
    geometry::Rect,
    inference::{SharedSession, TensorInfo, listed},
};

/// Sides are multiples of this: the largest stride of the detectors that use it.
const MULTIPLE: usize = 32;

/// The size of a network's input and what of the frame it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// Network pixels for one of the frame.
    pub scale: f32,
    /// Input width in pixels.
    pub width: usize,
    /// Input height in pixels.
    pub height: usize,
}

impl Letterbox {
    /// Fits a frame into an input whose longest side is `input_size` (0 for the frame's own), or into the
    /// only size that the network takes, height and width.
    pub fn fit(frame: &Frame<'_>, input_size: usize, fixed: Option<(usize, usize)>) -> Self {
        let (width, height) = (frame.width(), frame.height());
        if let Some((fixed_height, fixed_width)) = fixed {
            let fit = (fixed_width as f32 / width as f32).min(fixed_height as f32 / height as f32);
            return Self { scale: fit.min(1.0), width: fixed_width, height: fixed_height };
        }
        let scale = match input_size {
            0 => 1.0,
            limit => (limit as f32 / width.max(height) as f32).min(1.0),
        };
        let side =
            |length: usize| ((length as f32 * scale).round() as usize).max(1).next_multiple_of(MULTIPLE);
        Self { scale, width: side(width), height: side(height) }
    }

    /// What the input shows, in frame pixels; reaches past the frame's right and lower edge.
    pub fn part_in_frame(&self) -> Rect {
        Rect::new(0.0, 0.0, self.width as f32 / self.scale, self.height as f32 / self.scale)
    }
}

/// The height and width of a model's only input, [1 or N, 3, height, width], where it is bound to them; or
/// what is wrong.
pub fn fixed_size(session: &SharedSession, detector: &str) -> Result<Option<(usize, usize)>, String> {
    match session.inputs() {
        [TensorInfo { shape, .. }] if matches!(shape[..], [_, 3, _, _]) => {
            let side = |index: usize| shape.get(index).and_then(|&side| usize::try_from(side).ok());
            Ok(side(2).zip(side(3)))
        }
        inputs => {
            Err(format!("{detector} takes one input of [N, 3, height, width], found {}", listed(inputs)))
        }
    }
}
