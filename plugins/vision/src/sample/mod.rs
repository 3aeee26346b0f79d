//! Cuts a part out of a frame, of any pixel format, straight into a network's input tensor: crop, bilinear resize,
//! colour conversion and normalisation in one pass, so that no RGB copy of the frame is ever made.
//!
//! Pixel centres are aligned as in OpenCV's `INTER_LINEAR`: output column `i` looks at `(i + 0.5)·scale -
//! 0.5`. Of crops, where two pixels of the frame and more fall into one, it is the mean of several such
//! looks; detectors, which follow their references, look once. Where the part reaches past the frame, the
//! frame's edge pixels are repeated.

mod lines;
mod spec;

pub use spec::{ColorOrder, ImageSpec, TensorLayout};

use self::lines::{Columns, Rows, Slant, Tap, taps};
use crate::{
    align::Crop,
    frame::{Frame, PixelFormat, Plane},
    geometry::{Point, Rect},
};

/// Reusable scratch space of the sampler: after the first frame of a size nothing is allocated.
#[derive(Debug, Default)]
pub struct Sampler {
    columns: Columns,
    rows: Vec<Tap>,
    chroma_columns: Columns,
    chroma_rows: Vec<Tap>,
    /// Of each line, the rows it lies between.
    stretched: [Rows; 3],
    lines: [Vec<f32>; 3],
    /// Sums of pixels where several are one.
    sums: [Vec<f32>; 3],
}

/// How many columns and rows of samples become one pixel.
type Fineness = [usize; 2];

/// At most so many in each direction: enough for faces of 400 pixels in networks of 48, and quick for larger ones.
const FINEST: f32 = 8.0;

impl Sampler {
    /// Fills `output` (`spec.len()` values) with the part `part_in_frame` of the frame.
    ///
    /// A part that is not finite or of no area is answered with the frame's nearest pixels, never with a panic;
    /// an `output` of another length is filled as far as it goes.
    pub fn sample(&mut self, frame: &Frame<'_>, part_in_frame: Rect, spec: &ImageSpec, output: &mut [f32]) {
        self.sample_upright(frame, part_in_frame, spec, [1, 1], output);
    }

    fn sample_upright(
        &mut self,
        frame: &Frame<'_>,
        part_in_frame: Rect,
        spec: &ImageSpec,
        fineness: Fineness,
        output: &mut [f32],
    ) {
        let part = sane(part_in_frame);
        let [width, height] = [spec.width * fineness[0], spec.height * fineness[1]];
        let pixel_stride = match frame.format() {
            PixelFormat::Packed { pixel_stride, .. } => pixel_stride,
            _ => 1,
        };
        self.columns.fill(taps(width, part.x, part.width, frame.width()), pixel_stride);
        self.rows.clear();
        self.rows.extend(taps(height, part.y, part.height, frame.height()));
        self.stretched.iter_mut().for_each(Rows::forget);
        let planar_color = spec.color != ColorOrder::Gray && chroma(frame).is_some();
        if planar_color {
            let (half_width, half_height) = (frame.width().div_ceil(2), frame.height().div_ceil(2));
            let step = chroma_stride(frame);
            let (x, y, w, h) = (part.x / 2.0, part.y / 2.0, part.width / 2.0, part.height / 2.0);
            self.chroma_columns.fill(taps(width, x, w, half_width), step);
            self.chroma_rows.clear();
            self.chroma_rows.extend(taps(height, y, h, half_height));
        }
        self.lines(spec, fineness, output, |sampler, y| sampler.sample_line(frame, y, spec.color));
    }

    /// Fills `output` with a part of the frame that may be turned, by the same rules, but that pixels which
    /// many of the frame fall into are their mean: of a large face, single pixels would be little more than
    /// noise. An upright part takes the faster way.
    pub fn sample_crop(&mut self, frame: &Frame<'_>, crop: &Crop, spec: &ImageSpec, output: &mut [f32]) {
        let Crop { corner, across, down } = *crop;
        let fine = |side: Point, length: usize| {
            // What is not a number is 0 as a whole one.
            ((side.x.hypot(side.y) / length.max(1) as f32).clamp(1.0, FINEST) as usize).max(1)
        };
        let fineness = [fine(across, spec.width), fine(down, spec.height)];
        if across.y == 0.0 && down.x == 0.0 && across.x > 0.0 && down.y > 0.0 {
            let part = Rect::new(corner.x, corner.y, across.x, down.y);
            return self.sample_upright(frame, part, spec, fineness, output);
        }
        let [width, height] =
            [spec.width * fineness[0], spec.height * fineness[1]].map(|side| side.max(1) as f32);
        let step = Point { x: across.x / width, y: across.y / width };
        self.lines(spec, fineness, output, |sampler, y| {
            let along = (y as f32 + 0.5) / height;
            let start = Point { x: corner.x + along * down.x, y: corner.y + along * down.y };
            sampler.sample_slant(frame, start, step, spec.color);
        });
    }

    /// Has `sample` fill the lines one after the other, and writes each, or the mean of some, into `output`.
    fn lines(
        &mut self,
        spec: &ImageSpec,
        [columns, rows]: Fineness,
        output: &mut [f32],
        sample: impl Fn(&mut Self, usize),
    ) {
        for line in &mut self.lines {
            line.resize(spec.width * columns, 0.0);
        }
        for y in 0..spec.height {
            if [columns, rows] == [1, 1] {
                sample(self, y);
                spec.write_line(&self.lines, y, output);
                continue;
            }
            for sum in &mut self.sums {
                sum.clear();
                sum.resize(spec.width, 0.0);
            }
            for row in 0..rows {
                sample(self, y * rows + row);
                for (sum, line) in self.sums.iter_mut().zip(&self.lines) {
                    for (sum, samples) in sum.iter_mut().zip(line.chunks_exact(columns)) {
                        *sum += samples.iter().sum::<f32>();
                    }
                }
            }
            let share = 1.0 / (columns * rows) as f32;
            self.sums.iter_mut().flatten().for_each(|sum| *sum *= share);
            spec.write_line(&self.sums, y, output);
        }
    }

    /// Fills `lines` with pixels from `start` on, `step` apart.
    fn sample_slant(&mut self, frame: &Frame<'_>, start: Point, step: Point, color: ColorOrder) {
        let [first, second, third] = &mut self.lines;
        let [plane, ..] = frame.planes();
        let (width, height) = (frame.width(), frame.height());
        let whole = Slant { start, step, shared: 1.0, size: [width, height], pixel_stride: 1, offset: 0 };
        if let PixelFormat::Packed { pixel_stride, red, green, blue } = frame.format() {
            for (line, offset) in [(&mut *first, red), (&mut *second, green), (&mut *third, blue)] {
                lines::follow(line, plane, &Slant { pixel_stride, offset, ..whole });
            }
            if color == ColorOrder::Gray {
                lines::rgb_to_gray(first, second, third);
            }
            return;
        }
        lines::follow(first, plane, &whole);
        if frame.format() == PixelFormat::Gray8 {
            second.copy_from_slice(first);
            third.copy_from_slice(first);
            return;
        }
        let k = frame.encoding().coefficients();
        match (color, chroma(frame)) {
            (ColorOrder::Rgb | ColorOrder::Bgr, Some([cb, cr])) => {
                let pixel_stride = chroma_stride(frame);
                let half = Slant { shared: 2.0, size: [width.div_ceil(2), height.div_ceil(2)], ..whole };
                for (line, (plane, offset)) in [(&mut *second, cb), (&mut *third, cr)] {
                    lines::follow(line, &plane, &Slant { pixel_stride, offset, ..half });
                }
                lines::yuv_to_rgb(first, second, third, &k);
            }
            _ => lines::luma_to_gray(first, &k),
        }
    }

    /// Fills `lines` with output row `y`: red, green, blue, or gray in the first.
    fn sample_line(&mut self, frame: &Frame<'_>, y: usize, color: ColorOrder) {
        let Some(&row) = self.rows.get(y) else { return };
        let [first, second, third] = &mut self.lines;
        let [in_first, in_second, in_third] = &mut self.stretched;
        let [plane, ..] = frame.planes();
        if let PixelFormat::Packed { red, green, blue, .. } = frame.format() {
            in_first.mix(first, plane, row, &self.columns, red);
            in_second.mix(second, plane, row, &self.columns, green);
            in_third.mix(third, plane, row, &self.columns, blue);
            if color == ColorOrder::Gray {
                lines::rgb_to_gray(first, second, third);
            }
            return;
        }
        in_first.mix(first, plane, row, &self.columns, 0);
        if frame.format() == PixelFormat::Gray8 {
            second.copy_from_slice(first);
            third.copy_from_slice(first);
            return;
        }
        let k = frame.encoding().coefficients();
        match (color, chroma(frame), self.chroma_rows.get(y)) {
            (ColorOrder::Rgb | ColorOrder::Bgr, Some([cb, cr]), Some(&chroma_row)) => {
                in_second.mix(second, &cb.0, chroma_row, &self.chroma_columns, cb.1);
                in_third.mix(third, &cr.0, chroma_row, &self.chroma_columns, cr.1);
                lines::yuv_to_rgb(first, second, third, &k);
            }
            _ => lines::luma_to_gray(first, &k),
        }
    }
}

/// Bytes from one sample of Cb or Cr to the next.
fn chroma_stride(frame: &Frame<'_>) -> usize {
    if matches!(frame.format(), PixelFormat::Nv12 | PixelFormat::Nv21) { 2 } else { 1 }
}

/// The planes of Cb and Cr, each with the offset of its first sample.
fn chroma<'a>(frame: &Frame<'a>) -> Option<[(Plane<'a>, usize); 2]> {
    let [_, second, third] = *frame.planes();
    match frame.format() {
        PixelFormat::I420 => Some([(second, 0), (third, 0)]),
        PixelFormat::Yv12 => Some([(third, 0), (second, 0)]),
        PixelFormat::Nv12 => Some([(second, 0), (second, 1)]),
        PixelFormat::Nv21 => Some([(second, 1), (second, 0)]),
        PixelFormat::Gray8 | PixelFormat::Packed { .. } => None,
    }
}

/// A part that arithmetic can be done with.
fn sane(part: Rect) -> Rect {
    let finite = |value: f32| if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
    Rect::new(finite(part.x), finite(part.y), finite(part.width).max(1e-3), finite(part.height).max(1e-3))
}

#[cfg(test)]
mod tests;
