//! Cuts a part out of a frame, of any pixel format, straight into a network's input tensor: crop, bilinear resize,
//! colour conversion and normalisation in one pass, so that no RGB copy of the frame is ever made.
//!
//! Pixel centres are aligned as in OpenCV's `INTER_LINEAR`: output column `i` looks at `(i + 0.5)·scale - 0.5`. Of crops, where two pixels of
//! the frame and more fall into one, it is the mean of several such looks; detectors, which follow their references, look once.
//! Where the part reaches past the frame, the frame's edge pixels are repeated.

use crate::{
    align::Crop,
    frame::{Frame, PixelFormat, Plane, YuvCoefficients},
    geometry::{Point, Rect},
};

/// Colour order of a tensor's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorOrder {
    /// One channel of luma (BT.601 weights).
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

impl ColorOrder {
    /// Number of channels.
    pub const fn channels(self) -> usize {
        if matches!(self, Self::Gray) { 1 } else { 3 }
    }
}

/// Where a pixel's channels lie in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorLayout {
    /// Channel after channel: channels × height × width.
    Chw,
    /// Pixel after pixel: height × width × channels.
    Hwc,
}

/// Shape, colour and value range of one image in an input tensor: `value = (pixel·scale - mean) / std`, pixel 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageSpec {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Colour order.
    pub color: ColorOrder,
    /// Order of axes.
    pub layout: TensorLayout,
    /// Factor on the pixel value.
    pub scale: f32,
    /// Subtracted from each channel, after the factor.
    pub mean: [f32; 3],
    /// Divides each channel, last.
    pub std: [f32; 3],
}

impl ImageSpec {
    /// Gray levels as they are, 0 to 255.
    pub const fn gray(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            color: ColorOrder::Gray,
            layout: TensorLayout::Chw,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    /// Values an image takes in the tensor.
    pub fn len(&self) -> usize {
        self.width * self.height * self.color.channels()
    }

    /// The tensor of a batch of such images, outermost side first.
    pub const fn shape(&self, batch: usize) -> [usize; 4] {
        let channels = self.color.channels();
        match self.layout {
            TensorLayout::Chw => [batch, channels, self.height, self.width],
            TensorLayout::Hwc => [batch, self.height, self.width, channels],
        }
    }

    /// True when the image has no pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One output column or row: the two neighbours to mix, as byte offsets or row numbers, and the second one's weight.
#[derive(Clone, Copy, Debug, Default)]
struct Tap {
    first: u32,
    second: u32,
    weight: f32,
}

/// Taps along one axis for `length` outputs over `[start, start + extent)` of an axis of `size` samples.
fn fill_taps(taps: &mut Vec<Tap>, length: usize, start: f32, extent: f32, size: usize, step: usize) {
    taps.clear();
    let scale = extent / length as f32;
    let last = size.saturating_sub(1) as f32;
    taps.extend((0..length).map(|i| {
        let position = (start + (i as f32 + 0.5) * scale - 0.5).clamp(0.0, last);
        let first = position.floor();
        let second = (first + 1.0).min(last);
        Tap {
            first: (first as usize * step) as u32,
            second: (second as usize * step) as u32,
            weight: position - first,
        }
    }));
}

/// Reusable scratch space of the sampler: after the first frame of a size nothing is allocated.
#[derive(Debug, Default)]
pub struct Sampler {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    chroma_columns: Vec<Tap>,
    chroma_rows: Vec<Tap>,
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
        fill_taps(&mut self.columns, width, part.x, part.width, frame.width(), pixel_stride);
        fill_taps(&mut self.rows, height, part.y, part.height, frame.height(), 1);
        let planar_color = spec.color != ColorOrder::Gray && chroma(frame).is_some();
        if planar_color {
            let (half_width, half_height) = (frame.width().div_ceil(2), frame.height().div_ceil(2));
            let step = if matches!(frame.format(), PixelFormat::Nv12 | PixelFormat::Nv21) { 2 } else { 1 };
            let (x, y, w, h) = (part.x / 2.0, part.y / 2.0, part.width / 2.0, part.height / 2.0);
            fill_taps(&mut self.chroma_columns, width, x, w, half_width, step);
            fill_taps(&mut self.chroma_rows, height, y, h, half_height, 1);
        }
        self.lines(spec, fineness, output, |sampler, y| sampler.sample_line(frame, y, spec.color));
    }

    /// Fills `output` with a part of the frame that may be turned, by the same rules, but that pixels which many of the frame fall into are
    /// their mean: of a large face, single pixels would be little more than noise. An upright part takes the faster way.
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
                write_line(&self.lines, y, spec, output);
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
            write_line(&self.sums, y, spec, output);
        }
    }

    /// Fills `lines` with pixels from `start` on, `step` apart.
    fn sample_slant(&mut self, frame: &Frame<'_>, start: Point, step: Point, color: ColorOrder) {
        let [first, second, third] = &mut self.lines;
        let [plane, ..] = frame.planes();
        let size = (frame.width(), frame.height());
        let place = |x: usize| {
            let along = x as f32 + 0.5;
            Point { x: start.x + along * step.x, y: start.y + along * step.y }
        };
        let k = frame.encoding().coefficients();
        let format = frame.format();
        for (x, ((r, g), b)) in first.iter_mut().zip(second.iter_mut()).zip(third.iter_mut()).enumerate() {
            let at = place(x);
            let (column, row) = (point_tap(at.x - 0.5, size.0), point_tap(at.y - 0.5, size.1));
            if let PixelFormat::Packed { pixel_stride, red, green, blue } = format {
                let [red, green, blue] =
                    [red, green, blue].map(|offset| lerp(plane, row, column, pixel_stride, offset));
                let gray = 0.299 * red + 0.587 * green + 0.114 * blue;
                (*r, *g, *b) =
                    if color == ColorOrder::Gray { (gray, gray, gray) } else { (red, green, blue) };
                continue;
            }
            let luma = lerp(plane, row, column, 1, 0);
            match (color, chroma(frame)) {
                _ if format == PixelFormat::Gray8 => (*r, *g, *b) = (luma, luma, luma),
                (ColorOrder::Rgb | ColorOrder::Bgr, Some([cb, cr])) => {
                    let half = (size.0.div_ceil(2), size.1.div_ceil(2));
                    let (column, row) =
                        (point_tap(at.x / 2.0 - 0.5, half.0), point_tap(at.y / 2.0 - 0.5, half.1));
                    let pixel_stride =
                        if matches!(format, PixelFormat::Nv12 | PixelFormat::Nv21) { 2 } else { 1 };
                    let [cb, cr] =
                        [cb, cr].map(|(plane, offset)| lerp(&plane, row, column, pixel_stride, offset));
                    (*r, *g, *b) = (luma, cb, cr);
                }
                _ => *r = (k.gain * (luma - k.offset)).clamp(0.0, 255.0),
            }
        }
        if color != ColorOrder::Gray && chroma(frame).is_some() {
            yuv_to_rgb(first, second, third, &k);
        }
    }

    /// Fills `lines` with output row `y`: red, green, blue, or gray in the first.
    fn sample_line(&mut self, frame: &Frame<'_>, y: usize, color: ColorOrder) {
        let Some(&row) = self.rows.get(y) else { return };
        let [first, second, third] = &mut self.lines;
        let [plane, ..] = frame.planes();
        if let PixelFormat::Packed { red, green, blue, .. } = frame.format() {
            lerp_line(first, plane, row, &self.columns, red);
            lerp_line(second, plane, row, &self.columns, green);
            lerp_line(third, plane, row, &self.columns, blue);
            if color == ColorOrder::Gray {
                for ((r, g), b) in first.iter_mut().zip(second.iter()).zip(third.iter()) {
                    *r = 0.299 * *r + 0.587 * g + 0.114 * b;
                }
            }
            return;
        }
        lerp_line(first, plane, row, &self.columns, 0);
        if frame.format() == PixelFormat::Gray8 {
            second.copy_from_slice(first);
            third.copy_from_slice(first);
            return;
        }
        let k = frame.encoding().coefficients();
        match (color, chroma(frame), self.chroma_rows.get(y)) {
            (ColorOrder::Rgb | ColorOrder::Bgr, Some([cb, cr]), Some(&chroma_row)) => {
                lerp_line(second, &cb.0, chroma_row, &self.chroma_columns, cb.1);
                lerp_line(third, &cr.0, chroma_row, &self.chroma_columns, cr.1);
                yuv_to_rgb(first, second, third, &k);
            }
            _ => {
                for value in first.iter_mut() {
                    *value = (k.gain * (*value - k.offset)).clamp(0.0, 255.0);
                }
            }
        }
    }
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

/// The tap at one position on an axis of `size` samples.
fn point_tap(position: f32, size: usize) -> Tap {
    let last = size.saturating_sub(1) as f32;
    let position = if position.is_finite() { position.clamp(0.0, last) } else { 0.0 };
    let first = position.floor();
    Tap { first: first as u32, second: (first + 1.0).min(last) as u32, weight: position - first }
}

/// One sample between four pixels.
fn lerp(plane: &Plane<'_>, row: Tap, column: Tap, pixel_stride: usize, offset: usize) -> f32 {
    let at = |y: u32, x: u32| {
        let index = x as usize * pixel_stride + offset;
        f32::from(plane.row(y as usize).get(index).copied().unwrap_or(0))
    };
    let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
    let top = mix(at(row.first, column.first), at(row.first, column.second), column.weight);
    let bottom = mix(at(row.second, column.first), at(row.second, column.second), column.weight);
    mix(top, bottom, row.weight)
}

fn lerp_line(line: &mut [f32], plane: &Plane<'_>, row: Tap, columns: &[Tap], offset: usize) {
    let upper = plane.row(row.first as usize).get(offset..).unwrap_or_default();
    let lower = plane.row(row.second as usize).get(offset..).unwrap_or_default();
    let at = |pixels: &[u8], index: u32| f32::from(pixels.get(index as usize).copied().unwrap_or(0));
    for (value, tap) in line.iter_mut().zip(columns) {
        let (a, b) = (at(upper, tap.first), at(upper, tap.second));
        let (c, d) = (at(lower, tap.first), at(lower, tap.second));
        let top = a + tap.weight * (b - a);
        let bottom = c + tap.weight * (d - c);
        *value = top + row.weight * (bottom - top);
    }
}

/// Turns luma, Cb and Cr in place into red, green and blue.
fn yuv_to_rgb(first: &mut [f32], second: &mut [f32], third: &mut [f32], k: &YuvCoefficients) {
    for ((y, cb), cr) in first.iter_mut().zip(second).zip(third) {
        let luma = k.gain * (*y - k.offset);
        let (blue_diff, red_diff) = (*cb - 128.0, *cr - 128.0);
        *y = (luma + k.cr_r * red_diff).clamp(0.0, 255.0);
        *cb = (luma - k.cb_g * blue_diff - k.cr_g * red_diff).clamp(0.0, 255.0);
        *cr = (luma + k.cb_b * blue_diff).clamp(0.0, 255.0);
    }
}

/// Normalises a line of red, green and blue into row `y` of the tensor.
fn write_line([red, green, blue]: &[Vec<f32>; 3], y: usize, spec: &ImageSpec, output: &mut [f32]) {
    let channels: &[&Vec<f32>] = match spec.color {
        ColorOrder::Gray => &[red],
        ColorOrder::Rgb => &[red, green, blue],
        ColorOrder::Bgr => &[blue, green, red],
    };
    for (index, (line, (mean, std))) in channels.iter().zip(spec.mean.iter().zip(&spec.std)).enumerate() {
        let (factor, shift) = (spec.scale / std, mean / std);
        let normalised = line.iter().map(|pixel| pixel * factor - shift);
        match spec.layout {
            TensorLayout::Chw => {
                let start = (index * spec.height + y) * spec.width;
                let row = output.get_mut(start..).unwrap_or_default();
                row.iter_mut().zip(normalised).for_each(|(out, value)| *out = value);
            }
            TensorLayout::Hwc => {
                let start = y * spec.width * channels.len() + index;
                let row = output.get_mut(start..).unwrap_or_default();
                row.iter_mut().step_by(channels.len()).zip(normalised).for_each(|(out, value)| *out = value);
            }
        }
    }
}

/// A part that arithmetic can be done with.
fn sane(part: Rect) -> Rect {
    let finite = |value: f32| if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
    Rect::new(finite(part.x), finite(part.y), finite(part.width).max(1e-3), finite(part.height).max(1e-3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::YuvEncoding;

    fn spec(width: usize, height: usize, color: ColorOrder) -> ImageSpec {
        ImageSpec {
            width,
            height,
            color,
            layout: TensorLayout::Chw,
            scale: 1.0,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    #[test]
    fn a_whole_frame_at_its_own_size_comes_out_unchanged() {
        let pixels: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let frame = Frame::gray(&pixels, 4, 3).unwrap();
        let mut output = vec![0.0; 12];
        Sampler::default().sample(
            &frame,
            Rect::new(0.0, 0.0, 4.0, 3.0),
            &spec(4, 3, ColorOrder::Gray),
            &mut output,
        );
        assert_eq!(output, pixels.iter().map(|&v| f32::from(v)).collect::<Vec<_>>());
    }

    #[test]
    fn pixels_of_a_large_face_are_means() {
        // A ramp from left to right, and on it noise that changes from pixel to pixel.
        let side = 240;
        let ramp = |x: usize| 40.0 + 0.5 * x as f32;
        let noisy = |at: usize| {
            ramp(at % side) + if (at / side + at % side).is_multiple_of(2) { 30.0 } else { -30.0 }
        };
        let pixels: Vec<u8> = (0..side * side).map(|at| noisy(at) as u8).collect();
        let plane = [Plane { data: &pixels, stride: side }];
        let frame = Frame::new(PixelFormat::Gray8, side, side, &plane, YuvEncoding::default()).unwrap();
        let spec = spec(24, 24, ColorOrder::Gray);
        let centre = Point { x: 120.0, y: 120.0 };
        for turn in [0.0f32, 0.1] {
            let (across, down) = (
                Point { x: 160.0 * turn.cos(), y: 160.0 * turn.sin() },
                Point { x: -160.0 * turn.sin(), y: 160.0 * turn.cos() },
            );
            let corner =
                Point { x: centre.x - (across.x + down.x) / 2.0, y: centre.y - (across.y + down.y) / 2.0 };
            let mut output = vec![0.0; spec.len()];
            Sampler::default().sample_crop(&frame, &Crop { corner, across, down }, &spec, &mut output);
            for (at, value) in output.iter().enumerate() {
                let (right, under) = ((at % 24) as f32 + 0.5, (at / 24) as f32 + 0.5);
                let x = corner.x + (right * across.x + under * down.x) / 24.0 - 0.5;
                let expected = 40.0 + 0.5 * x;
                assert!((value - expected).abs() < 6.0, "{at}: {value} where {expected} is expected");
            }
        }
    }

    #[test]
    fn colour_orders_and_layouts_place_the_channels() {
        let frame = Frame::rgb(&[10, 20, 30, 40, 50, 60], 2, 1).unwrap();
        let part = Rect::new(0.0, 0.0, 2.0, 1.0);
        let mut output = vec![0.0; 6];
        let mut sampler = Sampler::default();
        sampler.sample(&frame, part, &spec(2, 1, ColorOrder::Bgr), &mut output);
        assert_eq!(output, [30.0, 60.0, 20.0, 50.0, 10.0, 40.0]);
        let interleaved = ImageSpec { layout: TensorLayout::Hwc, ..spec(2, 1, ColorOrder::Rgb) };
        sampler.sample(&frame, part, &interleaved, &mut output);
        assert_eq!(output, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    }

    #[test]
    fn limited_range_luma_spreads_over_0_to_255() {
        let data = [16u8, 235, 235, 16, 128, 128];
        let planes = [
            Plane { data: &data[..4], stride: 2 },
            Plane { data: &data[4..5], stride: 1 },
            Plane { data: &data[5..], stride: 1 },
        ];
        let frame = Frame::new(PixelFormat::I420, 2, 2, &planes, YuvEncoding::default()).unwrap();
        let mut output = vec![0.0; 12];
        Sampler::default().sample(
            &frame,
            Rect::new(0.0, 0.0, 2.0, 2.0),
            &spec(2, 2, ColorOrder::Rgb),
            &mut output,
        );
        for (value, expected) in output.iter().zip([0.0, 255.0, 255.0, 0.0].iter().cycle()) {
            assert!((value - expected).abs() < 0.01, "{output:?}");
        }
    }

    proptest! {
        #[test]
        fn any_part_of_any_frame_gives_pixels_of_the_frame(
            width in 1usize..40, height in 1usize..40,
            x in -100f32..100.0, y in -100f32..100.0, w in -5f32..100.0, h in -5f32..100.0,
            format in prop::sample::select(vec![PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::BGRX]),
        ) {
            let data: Vec<Vec<u8>> = format.plane_sizes(width, height).into_iter().map(|(w, h)| vec![128; w * h]).collect();
            let planes: Vec<Plane> = data.iter().zip(format.plane_sizes(width, height)).map(|(data, (stride, _))| Plane { data, stride }).collect();
            let encoding = YuvEncoding { full_range: true, bt709: false };
            let frame = Frame::new(format, width, height, &planes, encoding).unwrap();
            let mut output = vec![-1.0; 7 * 5 * 3];
            Sampler::default().sample(&frame, Rect::new(x, y, w, h), &spec(7, 5, ColorOrder::Rgb), &mut output);
            prop_assert!(output.iter().all(|v| (v - 128.0).abs() < 0.01));
        }

        #[test]
        fn a_crop_turned_by_nothing_is_the_upright_one(
            width in 2usize..40, height in 2usize..40,
            x in -20f32..40.0, y in -20f32..40.0, side in 1f32..60.0,
            format in prop::sample::select(vec![PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::BGRX]),
            color in prop::sample::select(vec![ColorOrder::Gray, ColorOrder::Rgb, ColorOrder::Bgr]),
        ) {
            let data: Vec<Vec<u8>> = format.plane_sizes(width, height).into_iter()
                .map(|(w, h)| (0..w * h).map(|i| (i * 37 % 251) as u8).collect()).collect();
            let planes: Vec<Plane> = data.iter().zip(format.plane_sizes(width, height)).map(|(data, (stride, _))| Plane { data, stride }).collect();
            let frame = Frame::new(format, width, height, &planes, YuvEncoding::default()).unwrap();
            let spec = spec(9, 9, color);
            let (mut upright, mut turned) = (vec![0.0; spec.len()], vec![0.0; spec.len()]);
            let mut sampler = Sampler::default();
            let mut crop = Crop::upright(Rect::new(x, y, side, side));
            sampler.sample_crop(&frame, &crop, &spec, &mut upright);
            // Small enough not to matter, but it takes the other way.
            crop.across.y = 1e-6;
            sampler.sample_crop(&frame, &crop, &spec, &mut turned);
            for (a, b) in upright.iter().zip(&turned) {
                prop_assert!((a - b).abs() < 0.1, "{a} {b}");
            }
        }

        #[test]
        fn a_quarter_turn_swaps_rows_and_columns(pixels in prop::collection::vec(any::<u8>(), 64)) {
            let frame = Frame::gray(&pixels, 8, 8).unwrap();
            let spec = spec(8, 8, ColorOrder::Gray);
            let mut output = vec![0.0; 64];
            let crop = Crop {
                corner: Point { x: 8.0, y: 0.0 },
                across: Point { x: 0.0, y: 8.0 },
                down: Point { x: -8.0, y: 0.0 },
            };
            Sampler::default().sample_crop(&frame, &crop, &spec, &mut output);
            for (index, value) in output.iter().enumerate() {
                let (row, column) = (index / 8, index % 8);
                prop_assert!((value - f32::from(pixels[column * 8 + 7 - row])).abs() < 0.01);
            }
        }

        #[test]
        fn short_planes_are_refused(width in 1usize..30, height in 1usize..30, missing in 1usize..10) {
            let length = (width * height).saturating_sub(missing);
            let data = vec![0u8; length];
            prop_assert!(Frame::gray(&data, width, height).is_err());
        }
    }
}
