//! Where a face is cut out of its frame: a square around its box, turned level or laid onto a template by its
//! landmarks.

use serde::{Deserialize, Serialize};

use crate::{
    face::Detection,
    frame::Frame,
    geometry::{Point, Rect},
};

/// How a classifier wants its faces; in cards `none`, `level`, `arcface`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// As they stand in the frame.
    #[default]
    None,
    /// Turned around the box's centre so that the eyes are level.
    Level,
    /// With the landmarks on ArcFace's template, by the similarity that fits best.
    ArcFace,
}

/// The five landmarks in a crop of 112x112 pixels (InsightFace, `arcface_dst`).
const ARCFACE: [[f32; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// Side of that crop.
const ARCFACE_SIDE: f32 = 112.0;

/// Least distance of the eyes as a share of the box's longer side; on a profile they fall together and tell no angle.
const LEAST_EYE_DISTANCE: f32 = 0.1;

/// How far outside its box a landmark may lie, as a share of the box's sides.
const STRAY: f32 = 0.5;

/// A turned square of a frame: its top left corner and its edges, in frame pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// The corner that becomes the crop's first pixel.
    pub corner: Point,
    /// From there along the crop's rows, as long as it is wide.
    pub across: Point,
    /// From there along its columns, as long as it is high.
    pub down: Point,
}

impl Crop {
    /// The part of the frame that a rectangle covers.
    pub fn upright(part: Rect) -> Self {
        let Rect { x, y, width, height } = part;
        Self { corner: Point { x, y }, across: Point { x: width, y: 0.0 }, down: Point { x: 0.0, y: height } }
    }

    /// All of a frame.
    pub fn whole(frame: &Frame<'_>) -> Self {
        Self::upright(Rect::new(0.0, 0.0, frame.width() as f32, frame.height() as f32))
    }

    /// Around a face, with `padding` of its box's sides added on each side. Without landmarks, or with ones
    /// that cannot be meant, the square stands upright.
    pub fn of(face: &Detection, alignment: Alignment, padding: f32) -> Self {
        let square = face.box_in_frame.padded(padding).squared();
        let landmarks = face.landmarks_in_frame.filter(|points| are_plausible(points, &face.box_in_frame));
        match (alignment, landmarks) {
            (Alignment::None, _) | (_, None) => Self::upright(square),
            (Alignment::Level, Some([left, right, ..])) => {
                let length = (right.x - left.x).hypot(right.y - left.y);
                let (cos, sin) = ((right.x - left.x) / length, (right.y - left.y) / length);
                let (center, side) = (square.center(), square.width);
                let (across, down) =
                    (Point { x: cos * side, y: sin * side }, Point { x: -sin * side, y: cos * side });
                let corner = Point {
                    x: center.x - (across.x + down.x) / 2.0,
                    y: center.y - (across.y + down.y) / 2.0,
                };
                Self { corner, across, down }
            }
            (Alignment::ArcFace, Some(points)) => Self::onto_template(&points),
        }
    }

    /// The similarity from template to frame with the least squared distance of the landmarks (Umeyama 1991;
    /// in a plane and without mirroring it is a complex number times the template, plus a shift).
    fn onto_template(points: &[Point; 5]) -> Self {
        let mean = |values: [f32; 5]| values.iter().sum::<f32>() / 5.0;
        let (mx, my) = (mean(points.map(|point| point.x)), mean(points.map(|point| point.y)));
        let (mu, mv) = (mean(ARCFACE.map(|[u, _]| u)), mean(ARCFACE.map(|[_, v]| v)));
        let (mut a, mut b, mut spread) = (0.0, 0.0, 0.0);
        for (point, [u, v]) in points.iter().zip(ARCFACE) {
            let (x, y, u, v) = (point.x - mx, point.y - my, u - mu, v - mv);
            a += x * u + y * v;
            b += y * u - x * v;
            spread += u * u + v * v;
        }
        let (a, b) = (a / spread, b / spread);
        Self {
            corner: Point { x: mx - a * mu + b * mv, y: my - b * mu - a * mv },
            across: Point { x: a * ARCFACE_SIDE, y: b * ARCFACE_SIDE },
            down: Point { x: -b * ARCFACE_SIDE, y: a * ARCFACE_SIDE },
        }
    }
}

fn are_plausible(points: &[Point; 5], face: &Rect) -> bool {
    let around = face.padded(STRAY);
    let inside = |point: &Point| {
        (around.x..=around.right()).contains(&point.x) && (around.y..=around.bottom()).contains(&point.y)
    };
    let [left, right, ..] = points;
    let between_eyes = (right.x - left.x).hypot(right.y - left.y);
    points.iter().all(inside) && between_eyes > LEAST_EYE_DISTANCE * face.width.max(face.height)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The template turned by `angle`, enlarged and shifted, in its box.
    fn face(angle: f32, scale: f32, (x, y): (f32, f32)) -> Detection {
        let (sin, cos) = angle.sin_cos();
        let points = ARCFACE
            .map(|[u, v]| Point { x: x + scale * (cos * u - sin * v), y: y + scale * (sin * u + cos * v) });
        let (xs, ys) = (points.map(|point| point.x), points.map(|point| point.y));
        let least = |values: [f32; 5]| values.into_iter().fold(f32::INFINITY, f32::min);
        let most = |values: [f32; 5]| values.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let box_in_frame = Rect::from_corners(least(xs), least(ys), most(xs), most(ys)).padded(0.3);
        Detection { box_in_frame, confidence: 1.0, landmarks_in_frame: Some(points) }
    }

    #[test]
    fn landmarks_that_cannot_be_meant_leave_the_crop_upright() {
        let good = face(0.3, 1.0, (10.0, 10.0));
        let upright = Crop::upright(good.box_in_frame.squared());
        let Some(points) = good.landmarks_in_frame else { panic!() };
        let with = |index: usize, point: Point| {
            let mut points = points;
            points[index] = point;
            Detection { landmarks_in_frame: Some(points), ..good.clone() }
        };
        let bad = [
            Detection { landmarks_in_frame: None, ..good.clone() },
            with(2, Point { x: f32::NAN, y: 5.0 }),
            with(2, Point { x: 1e6, y: 5.0 }),
            with(1, points[0]),
        ];
        for face in bad {
            assert_eq!(Crop::of(&face, Alignment::Level, 0.0), upright);
            assert_eq!(Crop::of(&face, Alignment::ArcFace, 0.0), upright);
        }
        assert_ne!(Crop::of(&good, Alignment::Level, 0.0), upright);
    }

    proptest! {
        #[test]
        fn the_similarity_that_made_the_landmarks_is_found(
            angle in -1.5f32..1.5, scale in 0.3f32..5.0, x in -50f32..500.0, y in -50f32..500.0,
        ) {
            let crop = Crop::of(&face(angle, scale, (x, y)), Alignment::ArcFace, 0.0);
            let (sin, cos) = angle.sin_cos();
            let side = ARCFACE_SIDE * scale;
            let near = |a: Point, (bx, by): (f32, f32)| (a.x - bx).hypot(a.y - by) < 0.01 * side;
            prop_assert!(near(crop.corner, (x, y)), "{crop:?}");
            prop_assert!(near(crop.across, (cos * side, sin * side)), "{crop:?}");
            prop_assert!(near(crop.down, (-sin * side, cos * side)), "{crop:?}");
        }

        #[test]
        fn a_level_crop_is_a_square_around_the_box_along_the_eyes(angle in -1.5f32..1.5, scale in 0.3f32..5.0) {
            let face = face(angle, scale, (100.0, 100.0));
            let crop = Crop::of(&face, Alignment::Level, 0.1);
            let square = face.box_in_frame.padded(0.1).squared();
            prop_assert!((crop.across.x.hypot(crop.across.y) - square.width).abs() < 0.01 * square.width);
            prop_assert!((crop.across.x * crop.down.x + crop.across.y * crop.down.y).abs() < 0.01 * square.area());
            let Some([left, right, ..]) = face.landmarks_in_frame else { panic!() };
            let turn = (right.x - left.x) * crop.across.y - (right.y - left.y) * crop.across.x;
            prop_assert!(turn.abs() < 0.01 * square.area());
            let middle = crop.corner.x + (crop.across.x + crop.down.x) / 2.0;
            prop_assert!((middle - square.center().x).abs() < 0.01 * square.width);
        }
    }
}
