//! Where a face lies and which way it looks.

use super::Found;
use crate::{
    face::Detection,
    geometry::{Point, Rect},
};

/// Measures a face against the box in which the picture should show it.
pub fn measure(face: &Detection, expected: &Rect) -> Found {
    let (roll, yaw) = match &face.landmarks_in_frame {
        Some(landmarks) => (Some(roll(landmarks)), Some(yaw(landmarks))),
        None => (None, None),
    };
    Found { confidence: face.confidence, fit: face.box_in_frame.iou(expected), roll, yaw }
}

/// Slope of the line through the eyes in degrees, -180 to 180, clockwise; upright is 0.
fn roll(&[left, right, ..]: &[Point; 5]) -> f32 {
    (right.y - left.y).atan2(right.x - left.x).to_degrees()
}

/// How far the nose's tip stands beside the middle of eyes and mouth, along the line through the eyes, as a
/// share of the distance between eyes and mouth: 0 straight ahead, negative to the image's left. Seen from
/// the side, the eyes' distance shrinks to nothing; that between eyes and mouth stays, which makes it the
/// better yardstick. On FER2013 half of all faces are below 0.06, and above 0.4 one eye is hidden.
fn yaw(&[left, right, nose, mouth_left, mouth_right]: &[Point; 5]) -> f32 {
    let middle = |a: Point, b: Point| Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 };
    let (eyes, mouth) = (middle(left, right), middle(mouth_left, mouth_right));
    let center = middle(eyes, mouth);
    let eye_distance = (right.x - left.x).hypot(right.y - left.y);
    let face_length = (mouth.x - eyes.x).hypot(mouth.y - eyes.y);
    if eye_distance <= f32::EPSILON || face_length <= f32::EPSILON {
        // Eyes or features in one place: as far from straight ahead as can be.
        return 1.0;
    }
    let along_eyes = (nose.x - center.x) * (right.x - left.x) + (nose.y - center.y) * (right.y - left.y);
    along_eyes / eye_distance / face_length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: [[f32; 2]; 5]) -> [Point; 5] {
        values.map(|[x, y]| Point { x, y })
    }

    #[test]
    fn a_face_straight_ahead_has_neither_roll_nor_yaw() {
        let face = points([[10.0, 10.0], [30.0, 10.0], [20.0, 20.0], [12.0, 30.0], [28.0, 30.0]]);
        assert_eq!((roll(&face), yaw(&face)), (0.0, 0.0));
    }

    #[test]
    fn yaw_is_the_same_on_a_face_that_lies_on_its_side() {
        let face = points([[10.0, 10.0], [30.0, 10.0], [28.0, 20.0], [12.0, 30.0], [28.0, 30.0]]);
        let lying = face.map(|Point { x, y }| Point { x: -y, y: x });
        assert!((yaw(&face) - 0.4).abs() < 1e-6, "{}", yaw(&face));
        assert!((yaw(&lying) - 0.4).abs() < 1e-6, "{}", yaw(&lying));
        assert_eq!(roll(&lying), 90.0);
    }

    #[test]
    fn eyes_in_one_place_look_aside() {
        assert_eq!(yaw(&[Point::default(); 5]), 1.0);
    }
}
