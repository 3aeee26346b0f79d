//! The suppression of the package `mtcnn`: a window goes when it overlaps any more confident one, also one
//! that goes itself, where greedy suppression asks only those that stay.

use crate::{detect::nms, face::Detection, geometry::Rect};

/// Most windows of one scale, or of all, that are compared; group photos of 1280x960 have a thousand.
const MOST_COMPARED: usize = 5000;

/// What an overlap is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Of both boxes together.
    Union,
    /// Of the smaller box: one inside another goes, however small it is.
    Smaller,
}

/// Sorts by falling confidence, drops what overlaps by more than `threshold`, and keeps at most `most`. Boxes
/// that are not finite or empty are dropped first, and landmarks that are not finite are taken off.
pub fn suppress(windows: &mut Vec<Detection>, threshold: f32, overlap: Overlap, most: usize) {
    nms::drop_impossible(windows);
    windows.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    // Noise, or a network that has gone mad, proposes tens of thousands, each of which is held against all others.
    windows.truncate(MOST_COMPARED);
    let share = |a: &Rect, b: &Rect| match overlap {
        Overlap::Union => a.iou(b),
        Overlap::Smaller => a.intersection_area(b) / a.area().min(b.area()),
    };
    // From the weakest on, so that all that are better still stand where they stood.
    for index in (1..windows.len()).rev() {
        let (better, rest) = windows.split_at_mut(index);
        if let Some(window) = rest.first_mut()
            && better.iter().any(|better| share(&better.box_in_frame, &window.box_in_frame) > threshold)
        {
            window.confidence = f32::NAN;
        }
    }
    windows.retain(|window| window.confidence.is_finite());
    windows.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_takes_others_with_it() {
        let window = |x: f32, confidence: f32| Detection {
            box_in_frame: Rect::new(x, 0.0, 10.0, 10.0),
            confidence,
            landmarks_in_frame: None,
        };
        // The third overlaps the second enough, but not the first.
        let mut windows = vec![window(6.0, 0.7), window(0.0, 0.9), window(3.0, 0.8)];
        suppress(&mut windows, 0.5, Overlap::Union, 10);
        assert_eq!(windows, [window(0.0, 0.9)]);
        let small = Detection { box_in_frame: Rect::new(1.0, 1.0, 2.0, 2.0), ..window(0.0, 0.5) };
        let mut nested = vec![window(0.0, 0.9), small];
        suppress(&mut nested, 0.7, Overlap::Smaller, 10);
        assert_eq!(nested.len(), 1);
    }
}
