//! The second and third network: all windows of a frame in one batch, each with a new confidence, moved sides
//! and, from the third, landmarks.

use std::sync::Arc;

use super::{moved, spec};
use crate::{
    detect::{DetectError, DetectorConfig},
    face::Detection,
    frame::Frame,
    geometry::{Point, Rect},
    inference::{Output, SharedSession},
    model::ModelFile,
    sample::Sampler,
};

/// Refines windows.
pub struct Refiner {
    session: Arc<SharedSession>,
    /// Side of its input in pixels.
    side: usize,
    /// Where offsets, scores and, of the third network, landmarks stand among the outputs.
    outputs: (usize, usize, Option<usize>),
    sampler: Sampler,
    input: Vec<f32>,
}

impl Refiner {
    /// Opens a network of this input side and checks its input and outputs.
    pub fn open(
        model: &ModelFile,
        config: &DetectorConfig,
        side: usize,
        gives_landmarks: bool,
    ) -> Result<Self, DetectError> {
        let session = SharedSession::open(&model.path, &config.session)?;
        let expected = [3, side as i64, side as i64];
        let takes = matches!(session.inputs(), [input] if input.shape.get(1..) == Some(&expected[..]));
        let of_width =
            |width: i64| session.outputs().iter().position(|output| output.shape.last() == Some(&width));
        match (takes, of_width(4), of_width(2), of_width(10)) {
            (true, Some(offsets), Some(scores), landmarks) if landmarks.is_some() == gives_landmarks => {
                let (sampler, input) = Default::default();
                Ok(Self { session, side, outputs: (offsets, scores, landmarks), sampler, input })
            }
            _ => {
                let landmarks = if gives_landmarks { ", landmarks [N, 10]" } else { "" };
                let reason = format!(
                    "this network of MTCNN takes [N, 3, {side}, {side}] and gives offsets [N, 4], scores [N, 2]{landmarks}"
                );
                Err(session.misfit(reason).into())
            }
        }
    }

    /// Keeps the windows above the threshold, with what the network says of them.
    pub fn refine(
        &mut self,
        frame: &Frame<'_>,
        threshold: f32,
        windows: &mut Vec<Detection>,
    ) -> Result<(), DetectError> {
        if windows.is_empty() {
            return Ok(());
        }
        let spec = spec(self.side, self.side);
        self.input.resize(spec.len() * windows.len(), 0.0);
        for (window, image) in windows.iter().zip(self.input.chunks_exact_mut(spec.len())) {
            let part = corner_to_corner(&window.box_in_frame, (frame.width(), frame.height()), self.side);
            self.sampler.sample(frame, part, &spec, image);
        }
        let (offsets, scores, landmarks) = self.outputs;
        let shape = [windows.len(), 3, self.side, self.side];
        self.session.run(shape, &mut self.input, |outputs| {
            let values =
                |index: usize| outputs.get(index).map_or(&[][..], |output: &Output<'_>| output.values);
            let offsets = values(offsets).as_chunks::<4>().0;
            let scores = values(scores).as_chunks::<2>().0;
            let landmarks = landmarks.map_or(&[][..], |index| values(index).as_chunks::<10>().0);
            let answers = offsets.iter().zip(scores);
            for (index, (window, (offsets, &[_, score]))) in windows.iter_mut().zip(answers).enumerate() {
                window.confidence = score;
                let before = window.box_in_frame;
                // A pixel more than the difference of the corners: the networks were trained with corners as pixels.
                let sides = (before.width + 1.0, before.height + 1.0);
                window.box_in_frame = moved(&before, sides, *offsets);
                window.landmarks_in_frame =
                    landmarks.get(index).map(|points| points_in_frame(&before, sides, points));
            }
        })?;
        windows.retain(|window| window.confidence > threshold);
        Ok(())
    }
}

/// What the sampler must look at for its first and last pixel to lie on the window's corners, as in TensorFlow's
/// `crop_and_resize`, where corners are shares of the frame and 1 is its last pixel.
fn corner_to_corner(window: &Rect, (width, height): (usize, usize), side: usize) -> Rect {
    let along = |start: f32, extent: f32, length: usize| {
        let to_last = (length as f32 - 1.0) / length as f32;
        let step = extent * to_last / (side as f32 - 1.0);
        (start * to_last - 0.5 * step + 0.5, step * side as f32)
    };
    let (x, w) = along(window.x, window.width, width);
    let (y, h) = along(window.y, window.height, height);
    Rect::new(x, y, w, h)
}

/// Landmarks, first all columns and then all rows, as shares of the window.
fn points_in_frame(window: &Rect, (width, height): (f32, f32), shares: &[f32; 10]) -> [Point; 5] {
    let (columns, rows) = shares.split_at(5);
    let mut points = [Point::default(); 5];
    for (point, (x, y)) in points.iter_mut().zip(columns.iter().zip(rows)) {
        *point = Point { x: window.x + x * width - 1.0, y: window.y + y * height - 1.0 };
    }
    points
}
