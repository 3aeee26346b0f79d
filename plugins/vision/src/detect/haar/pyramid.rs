//! The image at every searched scale, as integral images (Crow 1984; tilted: Lienhart and Maydt 2002).
//!
//! Scales, sizes, steps and the reduction itself are those of OpenCV's `CascadeClassifier` (its `INTER_LINEAR_EXACT`:
//! bilinear with weights in 1/256, rounded once), so that sums are the same to the last bit.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::frame::Plane;

/// Numbers past the last row, so that lanes that reach over a row's end read zeros and never past the buffer.
pub const SLACK: usize = 64;

/// What a pyramid is made for. Sizes are width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The frame's.
    pub size: (usize, usize),
    /// The cascade's window.
    pub window: (usize, usize),
    /// Ratio between two searched sizes, above 1.
    pub scale_factor: f64,
    /// Smallest face searched, in frame pixels; 0 for the window's own size.
    pub min_size: u32,
    /// Largest face searched, in frame pixels; 0 for no limit.
    pub max_size: u32,
    /// Whether tilted sums are needed.
    pub tilted: bool,
}

/// A searched size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    /// Frame pixels for one of the reduced image.
    pub factor: f32,
    /// Distance between searched windows: 2 below twice the cascade's own size, else 1.
    pub step: usize,
    /// Of the reduced image, in its pixels.
    pub size: (usize, usize),
}

impl Scale {
    fn new(factor: f32, frame: (usize, usize)) -> Self {
        let side = |length: usize| round(f64::from(length as f32 / factor)).max(0) as usize;
        Self { factor, step: if factor >= 2.0 { 1 } else { 2 }, size: (side(frame.0), side(frame.1)) }
    }

    /// Searched windows across and down, for a cascade's window of this size.
    pub fn windows(&self, window: (usize, usize)) -> (usize, usize) {
        let fits = |image: usize, window: usize| (image + 1).saturating_sub(window).div_ceil(self.step);
        (fits(self.size.0, window.0), fits(self.size.1, window.1))
    }

    /// Where the window of this column or row begins, in frame pixels.
    pub fn place(&self, index: usize) -> i32 {
        round(f64::from((index * self.step) as f32 * self.factor)) as i32
    }

    /// A side of the cascade's window in frame pixels.
    pub fn side(&self, length: usize) -> i32 {
        round(length as f64 * f64::from(self.factor)) as i32
    }
}

/// The image at one scale. Columns of windows a step apart lie side by side: with a step of 2, a row holds its even
/// columns and then, from `phase` on, its odd ones.
#[derive(Debug, Default)]
pub struct Level {
    /// Its size and steps.
    pub scale: Scale,
    /// Numbers from row to row of the integral images.
    pub stride: usize,
    /// Where a row's odd columns begin.
    pub phase: usize,
    /// Sum of the pixels above and left.
    pub sum: Vec<i32>,
    /// Sum of their squares, modulo 2^32.
    pub squares: Vec<u32>,
    /// Sum of the triangle above, where the cascade has tilted features.
    pub tilted: Vec<i32>,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    scratch: Scratch,
}

/// Rows on their way into a level.
#[derive(Debug, Default)]
struct Scratch {
    /// Two rows of the frame mixed, in 1/256.
    mixed: Vec<u16>,
    /// Each of these, and its right neighbour in the upper half.
    pairs: Vec<u32>,
    /// A row of the reduced image, and the one before.
    line: Vec<u8>,
    last: Vec<u8>,
}

impl Level {
    fn new(scale: Scale, shape: &Shape) -> Self {
        let (width, height) = scale.size;
        let phase = width / scale.step + 1;
        let stride = phase * scale.step;
        let length = stride * (height + 1) + SLACK;
        Self {
            scale,
            stride,
            phase,
            sum: vec![0; length],
            squares: vec![0; length],
            tilted: if shape.tilted { vec![0; length] } else { Vec::new() },
            columns: (0..width).map(|x| tap(x, shape.size.0, width)).collect(),
            rows: (0..height).map(|y| tap(y, shape.size.1, height)).collect(),
            scratch: Scratch {
                mixed: vec![0; shape.size.0],
                pairs: vec![0; shape.size.0],
                line: vec![0; width],
                last: vec![0; width],
            },
        }
    }

    /// Where column `x` of row `y` lies, for a window at the first column of its row.
    pub fn offset(&self, x: usize, y: usize) -> usize {
        y * self.stride + (x % self.scale.step) * self.phase + x / self.scale.step
    }

    /// Reduces the image and sums it up, row by row.
    fn fill(&mut self, image: Plane<'_>) {
        let Self {
            scale: Scale { step, .. },
            stride,
            phase,
            sum,
            squares,
            tilted,
            columns,
            rows,
            scratch,
            ..
        } = self;
        let Scratch { mixed, pairs, line, last } = scratch;
        for (y, row) in rows.iter().enumerate() {
            // Both directions are exact in 24 bits and rounded once, so their order is free: this way round,
            // all but a reduced row's own pixels are mixed many at a time.
            let (upper, lower) = (image.row(row.first as usize), image.row(row.second as usize));
            mix_rows(upper, lower, row.weight as u16, mixed, pairs);
            reduce_row(pairs, columns, line);
            let above = y * *stride;
            match step {
                1 => sum_row(line, sum, squares, above, *stride),
                _ => sum_row_by_twos(line, sum, squares, above, *stride, *phase),
            }
            if !tilted.is_empty() {
                let at = |x: usize| (x % *step) * *phase + x / *step;
                tilt_row(line, last, tilted, above, *stride, at);
                std::mem::swap(line, last);
            }
        }
    }
}

/// All scales of a frame.
#[derive(Debug, Default)]
pub struct Pyramid {
    /// From the smallest faces to the largest.
    pub levels: Vec<Level>,
    shape: Option<Shape>,
}

impl Pyramid {
    /// Integral images of every scale of a gray image. Memory is taken again only when the shape changes.
    pub fn build(&mut self, image: Plane<'_>, shape: Shape) {
        if self.shape != Some(shape) {
            self.levels = scales(&shape).into_iter().map(|scale| Level::new(scale, &shape)).collect();
            self.shape = Some(shape);
        }
        // One by one: the first levels are most of the work.
        self.levels.par_iter_mut().with_max_len(1).for_each(|level| level.fill(image));
    }
}

/// The searched scales: powers of the factor whose window fits the image and the limits; where none does, the one
/// nearest to the smallest size, as in OpenCV.
pub fn scales(shape: &Shape) -> Vec<Scale> {
    let sides = |scale: f64| {
        let side = |length: usize| round(length as f64 * scale);
        (side(shape.window.0), side(shape.window.1))
    };
    let fits = |(width, height): (i64, i64)| width <= shape.size.0 as i64 && height <= shape.size.1 as i64;
    let mut all = Vec::new();
    let mut factor = 1.0;
    while fits(sides(factor)) {
        all.push(factor as f32);
        // Below this, thousands of scales would differ by less than a pixel.
        factor *= shape.scale_factor.max(1.0001);
    }
    let (least, most) = (i64::from(shape.min_size), i64::from(shape.max_size));
    let within = |&factor: &f32| {
        let (width, height) = sides(f64::from(factor));
        width.min(height) >= least && (most == 0 || width.max(height) <= most)
    };
    let kept: Vec<f32> = all.iter().copied().filter(within).collect();
    let scale = |factor: f32| Scale::new(factor, shape.size);
    if !kept.is_empty() {
        return kept.into_iter().map(scale).collect();
    }
    let distance = |factor: f32| {
        let (width, height) = sides(f64::from(factor));
        (least - width).pow(2) + (least - height).pow(2)
    };
    all.into_iter().min_by_key(|&factor| distance(factor)).map(scale).into_iter().collect()
}

/// To the nearest integer, halves to even, as OpenCV's `cvRound`.
pub fn round(value: f64) -> i64 {
    value.round_ties_even() as i64
}

/// A source position between two pixels: the first and how much the second counts, in 1/256.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// The nearer the origin.
    pub first: u32,
    /// Its neighbour; the same at the image's edges.
    pub second: u32,
    /// The neighbour's share, 0 to 256.
    pub weight: u32,
}

/// Where pixel `index` of a row or column of `reduced` pixels looks in one of `length`.
pub fn tap(index: usize, length: usize, reduced: usize) -> Tap {
    let inverse = reduced as f64 / length as f64;
    let position = (1.0 / inverse) * (index as f64 + 0.5) - 0.5;
    let first = position.floor();
    if first < 0.0 || length < 2 {
        return Tap { first: 0, second: 0, weight: 0 };
    }
    let (first, last) = (first as u32, length as u32 - 1);
    if first >= last {
        return Tap { first: last, second: last, weight: 0 };
    }
    let weight = round((position - f64::from(first)) * 256.0) as u32;
    Tap { first, second: first + 1, weight }
}

/// `upper` and `lower` in 1/256, the latter with this weight of 256.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn mix_rows(upper: &[u8], lower: &[u8], weight: u16, mixed: &mut [u16], pairs: &mut [u32]) {
    for ((value, &a), &b) in mixed.iter_mut().zip(upper).zip(lower) {
        *value = u16::from(a) * (256 - weight) + u16::from(b) * weight;
    }
    let (Some(&last), Some(slot)) = (mixed.last(), pairs.last_mut()) else { return };
    *slot = u32::from(last) | u32::from(last) << 16;
    let right = mixed.get(1..).unwrap_or_default();
    for (pair, (&left, &right)) in pairs.iter_mut().zip(mixed.iter().zip(right)) {
        *pair = u32::from(left) | u32::from(right) << 16;
    }
}

/// Picks a reduced row's pixels out of a mixed one, given as pairs of neighbours: one load a pixel.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn reduce_row(pairs: &[u32], taps: &[Tap], line: &mut [u8]) {
    for (pixel, tap) in line.iter_mut().zip(taps) {
        let pair = pairs.get(tap.first as usize).copied().unwrap_or(0);
        let (a, b) = (pair & 0xffff, pair >> 16);
        *pixel = ((a * (256 - tap.weight) + b * tap.weight + (1 << 15)) >> 16) as u8;
    }
}

/// Writes the row of the integral images that follows the one at `above`.
fn sum_row(line: &[u8], sum: &mut [i32], squares: &mut [u32], above: usize, stride: usize) {
    let (upper, row) = sum.split_at_mut(above + stride);
    let (upper_squares, row_squares) = squares.split_at_mut(above + stride);
    let sums = row.iter_mut().zip(&upper[above..]).skip(1);
    let all = sums.zip(row_squares.iter_mut().zip(&upper_squares[above..]).skip(1));
    let (mut total, mut total_squares) = (0i32, 0u32);
    for (&pixel, ((sum, &upper), (squares, &upper_squares))) in line.iter().zip(all) {
        total += i32::from(pixel);
        total_squares = total_squares.wrapping_add(u32::from(pixel) * u32::from(pixel));
        *sum = upper + total;
        *squares = upper_squares.wrapping_add(total_squares);
    }
}

/// The same with even columns before `phase` and odd ones behind it.
fn sum_row_by_twos(
    line: &[u8],
    sum: &mut [i32],
    squares: &mut [u32],
    above: usize,
    stride: usize,
    phase: usize,
) {
    let (upper, row) = sum.split_at_mut(above + stride);
    let (upper_squares, row_squares) = squares.split_at_mut(above + stride);
    let (upper, upper_squares) = (&upper[above..], &upper_squares[above..]);
    let (mut total, mut total_squares) = (0i32, 0u32);
    for (index, pair) in line.chunks(2).enumerate() {
        for (&pixel, at) in pair.iter().zip([phase + index, index + 1]) {
            total += i32::from(pixel);
            total_squares = total_squares.wrapping_add(u32::from(pixel) * u32::from(pixel));
            row[at] = upper[at] + total;
            row_squares[at] = upper_squares[at].wrapping_add(total_squares);
        }
    }
}

/// The same for the tilted image: column X of row Y sums the pixels of the rows y above it with |x - X + 1| < Y - y.
fn tilt_row(
    line: &[u8],
    last: &[u8],
    tilted: &mut [i32],
    above: usize,
    stride: usize,
    at: impl Fn(usize) -> usize,
) {
    let (upper, row) = tilted.split_at_mut(above + stride);
    let one_up = |x: usize| upper[above + at(x)];
    let two_up = |x: usize| if above == 0 { 0 } else { upper[above - stride + at(x)] };
    // Left of the image the triangle is the one of its right neighbour a row up, right of it the one two rows up.
    row[at(0)] = if line.is_empty() { 0 } else { one_up(1) };
    for x in 1..=line.len() {
        let pixels = i32::from(line[x - 1]) + if above == 0 { 0 } else { i32::from(last[x - 1]) };
        let right = if x == line.len() { two_up(x) } else { one_up(x + 1) };
        row[at(x)] = one_up(x - 1) + right - two_up(x) + pixels;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(size: (usize, usize), window: (usize, usize)) -> Shape {
        Shape { size, window, scale_factor: 1.2, min_size: 0, max_size: 0, tilted: true }
    }

    #[test]
    fn an_image_smaller_than_the_window_has_no_levels() {
        assert!(scales(&shape((23, 100), (24, 24))).is_empty());
        assert_eq!(scales(&shape((24, 24), (24, 24)))[..], [Scale { factor: 1.0, step: 2, size: (24, 24) }]);
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_definition(
            (width, height) in (3usize..24, 3usize..24),
            pixels in prop::collection::vec(any::<u8>(), 24 * 24),
        ) {
            let mut pyramid = Pyramid::default();
            let image = Plane { data: &pixels[..width * height], stride: width };
            pyramid.build(image, shape((width, height), (3, 3)));
            let level = &pyramid.levels[0];
            prop_assert_eq!(level.scale.size, (width, height));
            let sum = |inside: &dyn Fn(i64, i64) -> bool| -> i32 {
                let all = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
                all.filter(|&(x, y)| inside(x as i64, y as i64)).map(|(x, y)| i32::from(pixels[y * width + x])).sum()
            };
            for (column, row) in [(0, 0), (1, 1), (width, height), (width / 2, height), (width, height / 2), (0, height)] {
                let (cx, cy) = (column as i64, row as i64);
                let at = level.offset(column, row);
                prop_assert_eq!(level.sum[at], sum(&|x, y| x < cx && y < cy));
                prop_assert_eq!(level.tilted[at], sum(&|x, y| y < cy && (x - cx + 1).abs() < cy - y));
            }
        }
    }
}
