//! The suppression of the package `mtcnn`: a window goes when it overlaps any more confident one, also one that goes itself,
//! where greedy suppression asks only those that stay.

use crate::{face::Detection, geometry::Rect};

/// What an overlap is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Of both boxes together.
    Union,
    /// Of the smaller box: one inside another goes, however small it is.
    Smaller,
}

/// Sorts by falling confidence, drops what overlaps by more than `threshold`, and keeps at most `most`. Boxes that are
/// not finite or empty are dropped first.
pub fn suppress(windows: &mut Vec<Detection>, threshold: f32, overlap: Overlap, most: usize) {
    windows.retain(|window| window.box_in_frame.is_valid() && window.confidence.is_finite());
    windows.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let share = |a: &Rect, b: &Rect| match overlap {
        Overlap::Union => a.iou(b),
        Overlap::Smaller => a.intersection_area(b) / a.area().min(b.area()),
    };
    let goes = |index: usize, window: &Detection| {
        windows.iter().take(index).any(|better| share(&better.box_in_frame, &window.box_in_frame) > threshold)
    };
    let stays: Vec<bool> = windows.iter().enumerate().map(|(index, window)| !goes(index, window)).collect();
    let mut stays = stays.into_iter();
    windows.retain(|_| stays.next().unwrap_or(false));
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
