//! A square window that slides over maps, and the maps unfolded into the columns that it sees.
//!
//! A convolution is then one matrix product, its two gradients two more, and a transposed convolution is the
//! gradient of one (Chellapilla, Puri & Simard 2006; Dumoulin & Visin 2016).

use std::ops::Range;

/// What lies around a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zeros,
    /// The map itself, mirrored at its outermost pixels, which are not repeated.
    Reflection,
}

/// A square window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its side in pixels.
    pub kernel: usize,
    /// From one place to the next.
    pub stride: usize,
    /// How far it reaches over each border. Reflections need maps larger than this.
    pub padding: usize,
    /// What it sees there.
    pub border: Border,
}

/// Channels, lines and pixels in a line.
pub type Size = (usize, usize, usize);

impl Window {
    /// A window that reaches over borders of zeros.
    pub const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel, stride, padding, border: Border::Zeros }
    }

    /// One of stride 1 that leaves maps as large as they are, and reflects them; `kernel` is odd.
    pub const fn reflecting(kernel: usize) -> Self {
        Self { kernel, stride: 1, padding: kernel / 2, border: Border::Reflection }
    }

    /// Its places along a side.
    pub const fn places(self, side: usize) -> usize {
        (side + 2 * self.padding).saturating_sub(self.kernel) / self.stride + 1
    }

    /// Places in a map.
    pub const fn columns(self, (_, height, width): Size) -> usize {
        self.places(height) * self.places(width)
    }

    /// Numbers in a column.
    pub const fn depth(self, channels: usize) -> usize {
        channels * self.kernel * self.kernel
    }

    /// Where on a side of the map the `tap`-th pixel of the window at `place` lies; `None` over a border of zeros.
    pub fn source(self, place: usize, tap: usize, side: usize) -> Option<usize> {
        let at = place * self.stride + tap;
        let (low, high) = (self.padding, self.padding + side);
        match self.border {
            _ if (low..high).contains(&at) => Some(at - low),
            Border::Zeros => None,
            Border::Reflection if at < low => Some(low - at),
            Border::Reflection => Some(2 * (side - 1) + low - at),
        }
    }

    /// The places at which the `tap`-th pixel lies within the map.
    fn within(self, tap: usize, side: usize) -> Range<usize> {
        let end = self.places(side).min((self.padding + side - tap).div_ceil(self.stride));
        let start = self.padding.saturating_sub(tap).div_ceil(self.stride).min(end);
        start..end
    }

    /// Shows for each row of the columns and each line of places: where the line begins among the columns,
    /// its line of the map, the horizontal tap, and the places at which it lies within the map. Plain loops,
    /// since lines are short: an iterator took as long as the copying.
    fn for_each_line(
        self,
        (channels, height, width): Size,
        mut see: impl FnMut(usize, Option<usize>, usize, Range<usize>),
    ) {
        let (down, across) = (self.places(height), self.places(width));
        let mut start = 0;
        for channel in 0..channels {
            for above in 0..self.kernel {
                for tap in 0..self.kernel {
                    let within = self.within(tap, width);
                    for y in 0..down {
                        let line = self.source(y, above, height);
                        let line = line.map(|line| (channel * height + line) * width);
                        see(start, line, tap, within.clone());
                        start += across;
                    }
                }
            }
        }
    }
}

/// Writes what the window sees at each place into `columns`: a row for each channel, line and column of the
/// window (in this order), a column for each place.
pub fn unfold(map: &[f32], size: Size, window: Window, columns: &mut [f32]) {
    let width = size.2;
    let across = window.places(width);
    window.for_each_line(size, |start, line, tap, within| {
        let out = &mut columns[start..start + across];
        let Some(line) = line else { return out.fill(0.0) };
        let line = &map[line..line + width];
        for place in (0..within.start).chain(within.end..across) {
            out[place] = window.source(place, tap, width).map_or(0.0, |at| line[at]);
        }
        if within.is_empty() {
            return;
        }
        let first = within.start * window.stride + tap - window.padding;
        if window.stride == 1 {
            out[within.clone()].copy_from_slice(&line[first..first + within.len()]);
        } else {
            let from = line[first..].iter().step_by(window.stride);
            out[within].iter_mut().zip(from).for_each(|(out, value)| *out = *value);
        }
    });
}

/// The opposite: adds each number of `columns` to the pixel of `map` that it was seen at.
pub fn fold(columns: &[f32], size: Size, window: Window, map: &mut [f32]) {
    let width = size.2;
    let across = window.places(width);
    window.for_each_line(size, |start, line, tap, within| {
        let Some(line) = line else { return };
        let values = &columns[start..start + across];
        let line = &mut map[line..line + width];
        for place in (0..within.start).chain(within.end..across) {
            if let Some(at) = window.source(place, tap, width) {
                line[at] += values[place];
            }
        }
        if within.is_empty() {
            return;
        }
        let first = within.start * window.stride + tap - window.padding;
        let values = values[within].iter();
        if window.stride == 1 {
            line[first..].iter_mut().zip(values).for_each(|(pixel, value)| *pixel += value);
        } else {
            line[first..]
                .iter_mut()
                .step_by(window.stride)
                .zip(values)
                .for_each(|(pixel, value)| *pixel += value);
        }
    });
}
