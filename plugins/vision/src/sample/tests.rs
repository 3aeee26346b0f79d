//! The sampler against pixels that are asked for one by one.

use proptest::prelude::*;

use super::*;
use crate::frame::YuvEncoding;

fn spec(width: usize, height: usize, color: ColorOrder) -> ImageSpec {
    ImageSpec { width, height, color, layout: TensorLayout::Nchw, scale: 1.0, mean: [0.0; 3], std: [1.0; 3] }
}

/// A pixel between four samples of each plane, asked for one by one: taps across and down, of the first plane
/// and of chroma.
fn plain(frame: &Frame<'_>, [x, y]: [Tap; 2], [chroma_x, chroma_y]: [Tap; 2], color: ColorOrder) -> [f32; 3] {
    let lerp = |plane: &Plane<'_>, [x, y]: [Tap; 2], stride: usize, offset: usize| {
        let at =
            |y: u32, x: u32| f32::from(plane.data[y as usize * plane.stride + x as usize * stride + offset]);
        let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
        let top = mix(at(y.first, x.first), at(y.first, x.second), x.weight);
        mix(top, mix(at(y.second, x.first), at(y.second, x.second), x.weight), y.weight)
    };
    let [plane, ..] = frame.planes();
    if let PixelFormat::Packed { pixel_stride, red, green, blue } = frame.format() {
        let [r, g, b] = [red, green, blue].map(|offset| lerp(plane, [x, y], pixel_stride, offset));
        return if color == ColorOrder::Gray { [0.299 * r + 0.587 * g + 0.114 * b; 3] } else { [r, g, b] };
    }
    let luma = lerp(plane, [x, y], 1, 0);
    let k = frame.encoding().coefficients();
    match (color, chroma(frame)) {
        _ if frame.format() == PixelFormat::Gray8 => [luma; 3],
        (ColorOrder::Rgb | ColorOrder::Bgr, Some(planes)) => {
            let stride = chroma_stride(frame);
            let [cb, cr] = planes.map(|(plane, offset)| lerp(&plane, [chroma_x, chroma_y], stride, offset));
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
    let noisy =
        |at: usize| ramp(at % side) + if (at / side + at % side).is_multiple_of(2) { 30.0 } else { -30.0 };
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
    let interleaved = ImageSpec { layout: TensorLayout::Nhwc, ..spec(2, 1, ColorOrder::Rgb) };
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
