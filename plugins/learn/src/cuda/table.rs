//! Which pixels the taps of a window see: what tells one convolution from another. The transpose of one and
//! the gradients of both differ in nothing else.

use crate::kernels::planes::window::{Border, Window};

/// For each pixel of a result and each tap of a window, the pixels that it is summed from: up to `share` of
/// them, -1 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Taps of the window.
    pub taps: usize,
    /// Pixels at most that a tap sees at once: more than one where the gradients of reflected pixels meet.
    pub share: usize,
    /// Pixels x taps x share.
    pub entries: Vec<i32>,
}

/// Lines and pixels in a line.
pub type Side = (usize, usize);

impl Table {
    /// A window over maps of `side`.
    pub fn convolution(window: Window, side: Side) -> Self {
        let to = (window.places(side.0), window.places(side.1));
        Self::new(window.kernel, to, side, |place, tap, side| window.source(place, tap, side))
    }

    /// The transpose of a window (of zero borders) from maps of `side`, reflected by `border` pixels, onto
    /// maps `window.stride` times as large.
    pub fn transposed(window: Window, border: usize, side: Side) -> Self {
        let reflected = Window { kernel: 1, stride: 1, padding: border, border: Border::Reflection };
        let to = (window.stride * side.0, window.stride * side.1);
        Self::new(window.kernel, to, side, |pixel, tap, side| {
            let from_first = (pixel + window.padding).checked_sub(tap)?;
            let place = from_first / window.stride;
            let is_place = from_first.is_multiple_of(window.stride) && place < side + 2 * border;
            is_place.then(|| reflected.source(place, 0, side)).flatten()
        })
    }

    fn new(
        kernel: usize,
        to: Side,
        from: Side,
        source: impl Fn(usize, usize, usize) -> Option<usize>,
    ) -> Self {
        let mut entries = Vec::with_capacity(to.0 * to.1 * kernel * kernel);
        for (y, x) in (0..to.0).flat_map(|y| (0..to.1).map(move |x| (y, x))) {
            for (down, across) in (0..kernel).flat_map(|down| (0..kernel).map(move |across| (down, across))) {
                let seen = source(y, down, from.0).zip(source(x, across, from.1));
                entries.push(seen.map_or(-1, |(line, pixel)| (line * from.1 + pixel) as i32));
            }
        }
        Self { taps: kernel * kernel, share: 1, entries }
    }

    /// The table of the gradient: for each of `pixels` that are seen, the pixels that see it through each tap.
    pub fn inverse(&self, pixels: usize) -> Self {
        let mut seen_by = vec![Vec::new(); pixels * self.taps];
        for (index, seen) in self.entries.iter().enumerate() {
            let (pixel, tap) = (index / self.share / self.taps, index / self.share % self.taps);
            if let Some(list) =
                usize::try_from(*seen).ok().and_then(|seen| seen_by.get_mut(seen * self.taps + tap))
            {
                list.push(pixel as i32);
            }
        }
        let share = seen_by.iter().map(Vec::len).max().unwrap_or(1).max(1);
        seen_by.iter_mut().for_each(|list| list.resize(share, -1));
        Self { taps: self.taps, share, entries: seen_by.concat() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_window_sees_what_lies_below_it_and_nothing_beyond_a_border_of_zeros() {
        let table = Table::convolution(Window::new(3, 2, 1), (4, 4));
        assert_eq!((table.taps, table.share, table.entries.len()), (9, 1, 4 * 9));
        assert_eq!(table.entries[..9], [-1, -1, -1, -1, 0, 1, -1, 4, 5]);
        assert_eq!(table.entries[27..], [5, 6, 7, 9, 10, 11, 13, 14, 15]);
    }

    #[test]
    fn where_reflected_pixels_meet_a_tap_is_seen_through_more_than_once() {
        let table = Table::convolution(Window::reflecting(3), (3, 3));
        // The corner sees its neighbours twice.
        assert_eq!(table.entries[..9], [4, 3, 4, 1, 0, 1, 4, 3, 4]);
        let inverse = table.inverse(9);
        assert_eq!(inverse.share, 4);
        // The middle is what all four corners see through their first tap, reflected; and the lower right one
        // as it is.
        let seen = &inverse.entries[4 * 9 * 4..][..4];
        assert_eq!(seen, [0, 2, 6, 8]);
    }

    #[test]
    fn a_transpose_is_the_gradient_of_its_window() {
        let window = Window::new(3, 2, 1);
        let of_window = Table::convolution(window, (8, 6)).inverse(48);
        assert_eq!(of_window.share, 1);
        assert_eq!(Table::transposed(window, 0, (4, 3)), of_window);
    }

    #[test]
    fn a_transpose_over_a_reflected_map_is_a_turned_window_that_reflects() {
        let turned = Table::transposed(Window::new(7, 1, 6), 3, (8, 8));
        let plain = Table::convolution(Window::reflecting(7), (8, 8));
        let back: Vec<i32> = plain.entries.chunks(49).flat_map(|taps| taps.iter().rev().copied()).collect();
        assert_eq!(turned.entries, back);
    }
}
