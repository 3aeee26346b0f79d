//! Greedy non-maximum suppression.

use crate::{face::Detection, frame::Frame, geometry::Point};

/// Drops faces of which nothing is in the frame: on noise, networks move boxes far out of it.
pub fn drop_outside(detections: &mut Vec<Detection>, frame: &Frame<'_>) {
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    detections.retain(|face| face.box_in_frame.clamped(width, height).area() > 0.0);
}

/// Drops faces whose box is not finite or empty, or whose confidence is not finite, and takes off landmarks
/// that are not finite, so that a network's NaN cannot pass.
pub fn drop_impossible(detections: &mut Vec<Detection>) {
    detections.retain_mut(|face| {
        let are_finite = |points: &[Point; 5]| points.iter().all(|p| p.x.is_finite() && p.y.is_finite());
        face.landmarks_in_frame = face.landmarks_in_frame.filter(are_finite);
        face.box_in_frame.is_valid() && face.confidence.is_finite()
    });
}

/// Sorts by falling confidence, drops boxes that overlap a more confident one by more than `iou_threshold`, and keeps
/// at most `max_detections`. Impossible ones are dropped first.
pub fn suppress(detections: &mut Vec<Detection>, iou_threshold: f32, max_detections: usize) {
    drop_impossible(detections);
    detections.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut kept = 0;
    for index in 0..detections.len() {
        if kept == max_detections {
            break;
        }
        let candidate = detections[index].box_in_frame;
        if detections[..kept].iter().all(|face| face.box_in_frame.iou(&candidate) <= iou_threshold) {
            detections.swap(kept, index);
            kept += 1;
        }
    }
    detections.truncate(kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::Rect;

    fn face((x, y, size, confidence): (f32, f32, f32, f32)) -> Detection {
        Detection { box_in_frame: Rect::new(x, y, size, size), confidence, landmarks_in_frame: None }
    }

    #[test]
    fn boxes_of_nan_are_dropped() {
        let mut faces = vec![
            face((f32::NAN, 0.0, 5.0, 0.9)),
            face((0.0, 0.0, 5.0, f32::NAN)),
            face((0.0, 0.0, 5.0, 0.5)),
        ];
        suppress(&mut faces, 0.5, 10);
        assert_eq!(faces, [face((0.0, 0.0, 5.0, 0.5))]);
    }

    #[test]
    fn landmarks_of_nan_are_taken_off_their_face() {
        let landmarks_in_frame = Some([Point { x: 1.0, y: f32::NAN }; 5]);
        let mut faces = vec![Detection { landmarks_in_frame, ..face((0.0, 0.0, 5.0, 0.5)) }];
        suppress(&mut faces, 0.5, 10);
        assert_eq!(faces, [face((0.0, 0.0, 5.0, 0.5))]);
    }

    proptest! {
        #[test]
        fn survivors_do_not_overlap_and_every_casualty_overlaps_a_better_one(
            boxes in prop::collection::vec((0f32..100.0, 0f32..100.0, 1f32..50.0, 0f32..1.0), 0..40),
        ) {
            let all: Vec<_> = boxes.into_iter().map(face).collect();
            let mut kept = all.clone();
            suppress(&mut kept, 0.4, usize::MAX);
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[..i] {
                    prop_assert!(a.box_in_frame.iou(&b.box_in_frame) <= 0.4);
                    prop_assert!(a.confidence <= b.confidence);
                }
            }
            for lost in all.iter().filter(|face| !kept.contains(face)) {
                prop_assert!(kept.iter().any(|k| k.confidence >= lost.confidence && k.box_in_frame.iou(&lost.box_in_frame) > 0.4));
            }
        }
    }
}
