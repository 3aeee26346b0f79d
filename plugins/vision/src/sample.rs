//! Cuts a part out of a frame, of any pixel format, straight into a network's input tensor: crop, bilinear resize,
//! colour conversion and normalisation in one pass, so that no RGB copy of the frame is ever made.
//!
//! Pixel centres are aligned as in OpenCV's `INTER_LINEAR`: output column `i` looks at `(i + 0.5)·scale - 0.5`. Of crops, where two pixels of
//! the frame and more fall into one, it is the mean of several such looks; detectors, which follow their references, look once.
//! Where the part reaches past the frame, the frame's edge pixels are repeated.

mod lines;

use self::lines::{Columns, Rows, Slant, Tap, taps};
use crate::{
    align::Crop,
    frame::{Frame, PixelFormat, Plane},
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

    /// Mirrors an image, left to right.
    pub fn mirror(&self, image: &mut [f32]) {
        match self.layout {
            TensorLayout::Chw => image.chunks_exact_mut(self.width.max(1)).for_each(<[f32]>::reverse),
            TensorLayout::Hwc => {
                let channels = self.color.channels();
                for row in image.chunks_exact_mut((self.width * channels).max(1)) {
                    // Pixels change places, and their channels back.
                    row.reverse();
                    row.chunks_exact_mut(channels).for_each(<[f32]>::reverse);
                }
            }
        }
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

/// Normalises a line of red, green and blue into row `y` of the tensor.
fn write_line([red, green, blue]: &[Vec<f32>; 3], y: usize, spec: &ImageSpec, output: &mut [f32]) {
    let channels: &[&Vec<f32>] = match spec.color {
        ColorOrder::Gray => &[red],
        ColorOrder::Rgb => &[red, green, blue],
        ColorOrder::Bgr => &[blue, green, red],
    };
    for (index, (line, (mean, std))) in channels.iter().zip(spec.mean.iter().zip(&spec.std)).enumerate() {
        let (factor, shift) = (spec.scale / std, mean / std);
        match spec.layout {
            TensorLayout::Chw => {
                let start = (index * spec.height + y) * spec.width;
                lines::normalise(line, factor, shift, output.get_mut(start..).unwrap_or_default());
            }
            TensorLayout::Hwc => {
                let start = y * spec.width * channels.len() + index;
                let row = output.get_mut(start..).unwrap_or_default();
                let normalised = line.iter().map(|pixel| pixel * factor - shift);
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

    /// A pixel between four samples of each plane, asked for one by one: taps across and down, of the first plane and of chroma.
    fn plain(
        frame: &Frame<'_>,
        [x, y]: [Tap; 2],
        [chroma_x, chroma_y]: [Tap; 2],
        color: ColorOrder,
    ) -> [f32; 3] {
        let lerp = |plane: &Plane<'_>, [x, y]: [Tap; 2], stride: usize, offset: usize| {
            let at = |y: u32, x: u32| {
                f32::from(plane.data[y as usize * plane.stride + x as usize * stride + offset])
            };
            let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
            let top = mix(at(y.first, x.first), at(y.first, x.second), x.weight);
            mix(top, mix(at(y.second, x.first), at(y.second, x.second), x.weight), y.weight)
        };
        let [plane, ..] = frame.planes();
        if let PixelFormat::Packed { pixel_stride, red, green, blue } = frame.format() {
            let [r, g, b] = [red, green, blue].map(|offset| lerp(plane, [x, y], pixel_stride, offset));
            return if color == ColorOrder::Gray {
                [0.299 * r + 0.587 * g + 0.114 * b; 3]
            } else {
                [r, g, b]
            };
        }
        let luma = lerp(plane, [x, y], 1, 0);
        let k = frame.encoding().coefficients();
        match (color, chroma(frame)) {
            _ if frame.format() == PixelFormat::Gray8 => [luma; 3],
            (ColorOrder::Rgb | ColorOrder::Bgr, Some(planes)) => {
                let stride = chroma_stride(frame);
                let [cb, cr] =
                    planes.map(|(plane, offset)| lerp(&plane, [chroma_x, chroma_y], stride, offset));
                let (luma, cb, cr) = (k.gain * (luma - k.offset), cb - 128.0, cr - 128.0);
                [luma + k.cr_r * cr, luma - k.cb_g * cb - k.cr_g * cr, luma + k.cb_b * cb]
                    .map(|v| v.clamp(0.0, 255.0))
            }
            _ => [(k.gain * (luma - k.offset)).clamp(0.0, 255.0); 3],
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
        fn lines_at_once_are_pixels_one_by_one_to_the_last_bit(
            (width, height) in (1usize..40, 1usize..40),
            (x, y, w, h) in (-20f32..40.0, -20f32..40.0, 1f32..80.0, 1f32..80.0),
            whole in any::<bool>(), turn in prop::sample::select(vec![0.0f32, 0.4]), side in 1usize..40,
            format in prop::sample::select(vec![PixelFormat::I420, PixelFormat::Nv21, PixelFormat::Gray8, PixelFormat::BGRX]),
            color in prop::sample::select(vec![ColorOrder::Gray, ColorOrder::Rgb, ColorOrder::Bgr]),
        ) {
            let data: Vec<Vec<u8>> = format.plane_sizes(width, height).into_iter()
                .map(|(w, h)| (0..w * h).map(|i| (i * 37 % 251) as u8).collect()).collect();
            let planes: Vec<Plane> = data.iter().zip(format.plane_sizes(width, height)).map(|(data, (stride, _))| Plane { data, stride }).collect();
            let frame = Frame::new(format, width, height, &planes, YuvEncoding::default()).unwrap();
            let part = if whole { Rect::new(0.0, 0.0, width as f32, height as f32) } else { Rect::new(x, y, w, h) };
            let spec = if whole { spec(width, height, color) } else { spec(side, side, color) };
            let half = [width.div_ceil(2), height.div_ceil(2)];
            let mut sampler = Sampler::default();
            let (mut output, mut expected) = (vec![0.0; spec.len()], vec![0.0; spec.len()]);
            let mut put = |x: usize, y: usize, pixel: [f32; 3]| {
                let order = if color == ColorOrder::Bgr { [2, 1, 0] } else { [0, 1, 2] };
                for (channel, from) in order.into_iter().enumerate().take(color.channels()) {
                    expected[(channel * spec.height + y) * spec.width + x] = pixel[from];
                }
            };
            let places = (0..spec.height).flat_map(|y| (0..spec.width).map(move |x| (x, y)));
            if turn == 0.0 {
                sampler.sample(&frame, part, &spec, &mut output);
                let tap = |at: usize, length, start, extent, size| taps(length, start, extent, size).nth(at).unwrap();
                for (x, y) in places {
                    let (to, [w, h]) = ([spec.width, spec.height], half);
                    let first = [tap(x, to[0], part.x, part.width, width), tap(y, to[1], part.y, part.height, height)];
                    let chroma = [
                        tap(x, to[0], part.x / 2.0, part.width / 2.0, w),
                        tap(y, to[1], part.y / 2.0, part.height / 2.0, h),
                    ];
                    put(x, y, plain(&frame, first, chroma, color));
                }
            } else {
                // No larger than the output, so that every pixel is one look.
                let (across, down) = (Point { x: 0.9, y: turn }, Point { x: -turn, y: 0.9 });
                let [across, down] = [(across, spec.width), (down, spec.height)]
                    .map(|(side, length)| Point { x: side.x * length as f32, y: side.y * length as f32 });
                let corner = Point { x, y };
                sampler.sample_crop(&frame, &Crop { corner, across, down }, &spec, &mut output);
                let step = Point { x: across.x / spec.width as f32, y: across.y / spec.width as f32 };
                let tap = |position: f32, size: usize| {
                    let last = size as f32 - 1.0;
                    let first = position.clamp(0.0, last).floor();
                    Tap { first: first as u32, second: (first + 1.0).min(last) as u32, weight: position.clamp(0.0, last) - first }
                };
                for (x, y) in places {
                    let (right, under) = (x as f32 + 0.5, (y as f32 + 0.5) / spec.height as f32);
                    let start = Point { x: corner.x + under * down.x, y: corner.y + under * down.y };
                    let at = Point { x: start.x + right * step.x, y: start.y + right * step.y };
                    let first = [tap(at.x - 0.5, width), tap(at.y - 0.5, height)];
                    let chroma = [tap(at.x / 2.0 - 0.5, half[0]), tap(at.y / 2.0 - 0.5, half[1])];
                    put(x, y, plain(&frame, first, chroma, color));
                }
            }
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&output), bits(&expected));
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
