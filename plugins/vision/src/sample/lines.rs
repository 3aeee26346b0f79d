//! The loops of the sampler over a line of pixels: plain ones, compiled for several instruction sets and
//! chosen at run time. None of these changes what comes out, to the last bit.

use multiversion::multiversion;

use crate::{
    frame::{Plane, YuvCoefficients},
    geometry::Point,
};

/// Pixels of a turned line that are looked up at once.
const LANES: usize = 16;

/// A place on an axis: the two samples to mix and the second one's weight.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tap {
    pub first: u32,
    pub second: u32,
    pub weight: f32,
}

/// The taps of `length` outputs over `[start, start + extent)` of an axis of `size` samples.
pub fn taps(length: usize, start: f32, extent: f32, size: usize) -> impl Iterator<Item = Tap> {
    let scale = extent / length as f32;
    let last = size.saturating_sub(1) as f32;
    (0..length).map(move |i| {
        let position = (start + (i as f32 + 0.5) * scale - 0.5).clamp(0.0, last);
        let first = position.floor();
        let second = (first + 1.0).min(last);
        Tap { first: first as u32, second: second as u32, weight: position - first }
    })
}

/// The taps of all columns, as byte offsets into a row.
#[derive(Debug, Default)]
pub struct Columns {
    first: Vec<u32>,
    second: Vec<u32>,
    weight: Vec<f32>,
    /// Where the first one lies, if all are samples as they are, one byte behind the other.
    as_they_are: Option<usize>,
}

impl Columns {
    /// Takes these taps, of samples `step` bytes apart.
    pub fn fill(&mut self, taps: impl Iterator<Item = Tap>, step: usize) {
        self.first.clear();
        self.second.clear();
        self.weight.clear();
        for tap in taps {
            self.first.push(tap.first * step as u32);
            self.second.push(tap.second * step as u32);
            self.weight.push(tap.weight);
        }
        let start = self.first.first().copied().unwrap_or_default();
        let follows = self.first.iter().zip(start..).all(|(&first, place)| first == place);
        let are_whole = self.weight.iter().all(|&weight| weight == 0.0);
        self.as_they_are = (follows && are_whole).then_some(start as usize);
    }
}

/// Rows of a plane, stretched to the columns: neighbouring lines of the output often lie between the same two.
#[derive(Debug, Default)]
pub struct Rows {
    lines: [Vec<f32>; 2],
    /// Which rows these are.
    are: [Option<u32>; 2],
    /// Bytes on their way into a line.
    bytes: [Vec<u8>; 2],
}

impl Rows {
    /// Forgets the rows: those that come are of another frame, or have other columns.
    pub fn forget(&mut self) {
        self.are = [None; 2];
    }

    /// Fills `line` with what lies at this tap between two rows; the first sample of a row lies `offset` bytes in.
    pub fn mix(&mut self, line: &mut [f32], plane: &Plane<'_>, row: Tap, columns: &Columns, offset: usize) {
        let upper = self.slot(row.first, row.second, plane, columns, offset);
        if row.weight == 0.0 {
            let upper = self.lines.get(upper).into_iter().flatten();
            return line.iter_mut().zip(upper).for_each(|(value, upper)| *value = *upper);
        }
        let lower = self.slot(row.second, row.first, plane, columns, offset);
        if let (Some(upper), Some(lower)) = (self.lines.get(upper), self.lines.get(lower)) {
            mix_lines(line, upper, lower, row.weight);
        }
    }

    /// Where a row stands, stretched; `other` stays if it is there.
    fn slot(&mut self, row: u32, other: u32, plane: &Plane<'_>, columns: &Columns, offset: usize) -> usize {
        if let Some(slot) = self.are.iter().position(|known| *known == Some(row)) {
            return slot;
        }
        let slot = usize::from(self.are[0] == Some(other));
        self.are[slot] = Some(row);
        let pixels = plane.row(row as usize).get(offset..).unwrap_or_default();
        let line = &mut self.lines[slot];
        line.resize(columns.weight.len(), 0.0);
        match columns.as_they_are.and_then(|start| pixels.get(start..start + line.len())) {
            Some(pixels) => widen(line, pixels),
            None => {
                let [first, second] = &mut self.bytes;
                pick(first, pixels, &columns.first);
                pick(second, pixels, &columns.second);
                mix_pixels(line, first, second, &columns.weight);
            }
        }
        slot
    }
}

/// Replaces `bytes` with those at these places, 0 where there is none.
fn pick(bytes: &mut Vec<u8>, pixels: &[u8], places: &[u32]) {
    bytes.clear();
    bytes.extend(places.iter().map(|&place| pixels.get(place as usize).copied().unwrap_or(0)));
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn widen(line: &mut [f32], pixels: &[u8]) {
    for (value, &pixel) in line.iter_mut().zip(pixels) {
        *value = f32::from(pixel);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn mix_pixels(line: &mut [f32], first: &[u8], second: &[u8], weights: &[f32]) {
    for ((value, weight), (&a, &b)) in line.iter_mut().zip(weights).zip(first.iter().zip(second)) {
        *value = between(f32::from(a), f32::from(b), *weight);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn mix_lines(line: &mut [f32], upper: &[f32], lower: &[f32], weight: f32) {
    for (value, (&upper, &lower)) in line.iter_mut().zip(upper.iter().zip(lower)) {
        *value = between(upper, lower, weight);
    }
}

#[inline(always)]
fn between(a: f32, b: f32, weight: f32) -> f32 {
    a + weight * (b - a)
}

/// Where the pixels of a turned line lie in a plane.
#[derive(Clone, Copy, Debug)]
pub struct Slant {
    /// Where the line begins, in the frame's pixels.
    pub start: Point,
    /// From pixel to pixel of the line.
    pub step: Point,
    /// Pixels of the frame that share a sample of the plane, in each direction.
    pub shared: f32,
    /// Samples across and down.
    pub size: [usize; 2],
    /// Bytes from sample to sample.
    pub pixel_stride: usize,
    /// Where a row's first sample lies.
    pub offset: usize,
}

/// Fills a line with the samples along a slant.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
pub fn follow(line: &mut [f32], plane: &Plane<'_>, slant: &Slant) {
    let Slant { start, step, shared, size: [width, height], pixel_stride, offset } = *slant;
    let [right, bottom] = [width, height].map(|side| side.saturating_sub(1) as f32);
    let (mut xs, mut ys) = ([Tap::default(); LANES], [Tap::default(); LANES]);
    for (chunk, values) in line.chunks_mut(LANES).enumerate() {
        for lane in 0..LANES {
            let along = (chunk * LANES + lane) as f32 + 0.5;
            xs[lane] = tap((start.x + along * step.x) / shared - 0.5, right);
            ys[lane] = tap((start.y + along * step.y) / shared - 0.5, bottom);
        }
        let mut corners = [[0u8; LANES]; 4];
        for lane in 0..values.len().min(LANES) {
            let (x, y) = (xs[lane], ys[lane]);
            let [left, right] = [x.first, x.second].map(|x| x as usize * pixel_stride + offset);
            let [upper, lower] = [y.first, y.second].map(|y| y as usize * plane.stride);
            let at = |place: usize| plane.data.get(place).copied().unwrap_or(0);
            corners[0][lane] = at(upper + left);
            corners[1][lane] = at(upper + right);
            corners[2][lane] = at(lower + left);
            corners[3][lane] = at(lower + right);
        }
        let mut mixed = [0.0; LANES];
        for lane in 0..LANES {
            let [a, b, c, d] = [0, 1, 2, 3].map(|corner: usize| f32::from(corners[corner][lane]));
            let (top, bottom) = (between(a, b, xs[lane].weight), between(c, d, xs[lane].weight));
            mixed[lane] = between(top, bottom, ys[lane].weight);
        }
        values.iter_mut().zip(mixed).for_each(|(value, mixed)| *value = mixed);
    }
}

/// The tap at one position on an axis; the middle of its first sample where there is no such position.
#[inline(always)]
fn tap(position: f32, last: f32) -> Tap {
    let position = if position.is_finite() { position.clamp(0.0, last) } else { 0.0 };
    let first = position.floor();
    Tap { first: first as u32, second: (first + 1.0).min(last) as u32, weight: position - first }
}

/// Turns luma into gray, in place.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
pub fn luma_to_gray(line: &mut [f32], k: &YuvCoefficients) {
    for value in line {
        *value = (k.gain * (*value - k.offset)).clamp(0.0, 255.0);
    }
}

/// Turns red into gray, in place (BT.601 weights).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
pub fn rgb_to_gray(first: &mut [f32], second: &[f32], third: &[f32]) {
    for ((r, g), b) in first.iter_mut().zip(second).zip(third) {
        *r = 0.299 * *r + 0.587 * g + 0.114 * b;
    }
}

/// Turns luma, Cb and Cr in place into red, green and blue.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
pub fn yuv_to_rgb(first: &mut [f32], second: &mut [f32], third: &mut [f32], k: &YuvCoefficients) {
    for ((y, cb), cr) in first.iter_mut().zip(second).zip(third) {
        let luma = k.gain * (*y - k.offset);
        let (blue_diff, red_diff) = (*cb - 128.0, *cr - 128.0);
        *y = (luma + k.cr_r * red_diff).clamp(0.0, 255.0);
        *cb = (luma - k.cb_g * blue_diff - k.cr_g * red_diff).clamp(0.0, 255.0);
        *cr = (luma + k.cb_b * blue_diff).clamp(0.0, 255.0);
    }
}

/// Writes a line as `pixel·factor - shift`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
pub fn normalise(line: &[f32], factor: f32, shift: f32, row: &mut [f32]) {
    for (value, pixel) in row.iter_mut().zip(line) {
        *value = pixel * factor - shift;
    }
}
