//! How a change of brightness goes back into the frame: the pixels that a crop covers, and what is added to each.

use std::ops::Range;

use crate::{
    align::Crop,
    frame::{Frame, FrameMut, PixelFormat},
    sample::ImageSpec,
};

/// Share of the side, at each border, over which the change fades out.
const FEATHER: f32 = 0.1;

/// Gray levels to add, over the whole of a crop.
pub struct Field<'a> {
    pub values: &'a [f32],
    pub spec: &'a ImageSpec,
}

impl Field<'_> {
    /// The value between four, at a place in the crop: 0 to 1 across and down.
    fn at(&self, across: f32, down: f32) -> f32 {
        let ImageSpec { width, height, .. } = *self.spec;
        let (left, right, x) = neighbours(across, width);
        let (upper, lower, y) = neighbours(down, height);
        let value = |row: usize, column: usize| self.values.get(row * width + column).copied().unwrap_or(0.0);
        let mix = |a: f32, b: f32, weight: f32| a + weight * (b - a);
        mix(
            mix(value(upper, left), value(upper, right), x),
            mix(value(lower, left), value(lower, right), x),
            y,
        )
    }
}

/// The two samples next to a place from 0 to 1 on an axis of `size` samples, and the second one's weight.
fn neighbours(place: f32, size: usize) -> (usize, usize, f32) {
    let last = size.saturating_sub(1);
    let position = (place * size as f32 - 0.5).clamp(0.0, last as f32);
    let first = position as usize;
    (first, (first + 1).min(last), position - first as f32)
}

/// How much of the change is shown at a place from 0 to 1 between two borders: none outside, all of it from a
/// tenth on.
fn fade(place: f32) -> f32 {
    let depth = (place.min(1.0 - place) / FEATHER).clamp(0.0, 1.0);
    depth * depth * (3.0 - 2.0 * depth)
}

/// The pixels of a frame that a crop covers, and the way from a pixel back into the crop.
pub struct Patch {
    columns: Range<usize>,
    rows: Range<usize>,
    corner: [f32; 2],
    /// A pixel to the right and a pixel down, as shares of the crop's edge across.
    across: [f32; 2],
    /// The same as shares of the edge down.
    down: [f32; 2],
}

impl Patch {
    /// None for a crop outside the frame, of less than a pixel, or that arithmetic cannot be done with.
    pub fn new(crop: &Crop, frame: &Frame<'_>) -> Option<Self> {
        let Crop { corner, across, down } = *crop;
        let area = across.x * down.y - across.y * down.x;
        if !(area.is_finite() && area >= 1.0) {
            return None;
        }
        // Casts from floats stop at the ends of what an integer holds.
        let range = |start: f32, one: f32, other: f32, length: usize| {
            let (least, most) =
                (start + one.min(0.0) + other.min(0.0), start + one.max(0.0) + other.max(0.0));
            let range = least.floor() as usize..(most.ceil() as usize).min(length);
            (least.is_finite() && most.is_finite() && !range.is_empty()).then_some(range)
        };
        Some(Self {
            columns: range(corner.x, across.x, down.x, frame.width())?,
            rows: range(corner.y, across.y, down.y, frame.height())?,
            corner: [corner.x, corner.y],
            across: [down.y / area, -down.x / area],
            down: [-across.y / area, across.x / area],
        })
    }

    /// Adds the field to the frame's brightness, less and less towards the crop's borders.
    pub fn add(&self, frame: &mut FrameMut<'_>, field: &Field<'_>, line: &mut Vec<f32>) {
        line.resize(self.columns.len(), 0.0);
        for y in self.rows.clone() {
            let below = y as f32 + 0.5 - self.corner[1];
            for (x, value) in self.columns.clone().zip(line.iter_mut()) {
                let beside = x as f32 + 0.5 - self.corner[0];
                let across = self.across[0] * beside + self.across[1] * below;
                let down = self.down[0] * beside + self.down[1] * below;
                let weight = fade(across) * fade(down);
                *value = if weight > 0.0 { weight * field.at(across, down) } else { 0.0 };
            }
            add_line(frame, y, self.columns.start, line);
        }
    }
}

/// Adds gray levels to the pixels of row `y` from column `start` on.
fn add_line(frame: &mut FrameMut<'_>, y: usize, start: usize, line: &[f32]) {
    let (format, k) = (frame.as_frame().format(), frame.as_frame().encoding().coefficients());
    let row = frame.first_row_mut(y);
    if let PixelFormat::Packed { pixel_stride, red, green, blue } = format {
        let pixels = row.get_mut(start * pixel_stride..).unwrap_or_default();
        for (pixel, change) in pixels.chunks_exact_mut(pixel_stride).zip(line) {
            for channel in [red, green, blue] {
                if let Some(value) = pixel.get_mut(channel) {
                    *value = changed(*value, *change, 0.0, 255.0);
                }
            }
        }
        return;
    }
    let (black, gain) = if format == PixelFormat::Gray8 { (0.0, 1.0) } else { (k.offset, k.gain) };
    let white = black + 255.0 / gain;
    for (value, change) in row.get_mut(start..).unwrap_or_default().iter_mut().zip(line) {
        *value = changed(*value, change / gain, black, white);
    }
}

/// A sample with `change` added, between black and white unless it lay beyond before.
fn changed(value: u8, change: f32, black: f32, white: f32) -> u8 {
    let value = f32::from(value);
    (value + change).clamp(black.min(value), white.max(value)).round() as u8
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        align::Alignment,
        face::Detection,
        frame::{PlaneMut, YuvEncoding},
        geometry::Rect,
    };

    pub const FORMATS: [PixelFormat; 7] = [
        PixelFormat::I420,
        PixelFormat::Yv12,
        PixelFormat::Nv12,
        PixelFormat::Nv21,
        PixelFormat::Gray8,
        PixelFormat::BGR,
        PixelFormat::RGBX,
    ];

    /// A frame's planes one behind the other, as values between black and white that change slowly.
    #[derive(Clone, PartialEq)]
    pub struct Picture {
        pub format: PixelFormat,
        pub width: usize,
        pub height: usize,
        pub planes: [Vec<u8>; 3],
    }

    impl Picture {
        pub fn new(format: PixelFormat, width: usize, height: usize) -> Self {
            let mut planes = [const { Vec::new() }; 3];
            for (plane, (row, rows)) in planes.iter_mut().zip(format.plane_sizes(width, height)) {
                plane.extend((0..rows).flat_map(|y| (0..row).map(move |x| (60 + x / 2 + y) as u8)));
            }
            Self { format, width, height, planes }
        }

        pub fn frame(&mut self) -> FrameMut<'_> {
            let strides = self.format.plane_sizes(self.width, self.height);
            let mut strides = strides.iter().map(|(row, _)| *row);
            let planes =
                self.planes.each_mut().map(|data| PlaneMut { data, stride: strides.next().unwrap_or(0) });
            FrameMut::new(self.format, self.width, self.height, planes, YuvEncoding::default()).unwrap()
        }

        /// Adds one change to all of a face.
        fn add(&mut self, face: &Detection, change: f32) {
            let (crop, spec) = (Crop::of(face, Alignment::Level, 0.0), ImageSpec::gray(16, 16));
            let mut frame = self.frame();
            if let Some(patch) = Patch::new(&crop, &frame.as_frame()) {
                patch.add(&mut frame, &Field { values: &[change; 256], spec: &spec }, &mut Vec::new());
            }
        }

        /// Columns and rows in which the first plane differs.
        pub fn changes(&self, before: &Self) -> Vec<(usize, usize)> {
            assert!(self.planes[1..] == before.planes[1..], "{:?}: chroma has changed", self.format);
            let (row, _) = self.format.plane_sizes(self.width, self.height)[0];
            let pairs = self.planes[0].iter().zip(&before.planes[0]).enumerate();
            pairs
                .filter(|(_, (a, b))| a != b)
                .map(|(at, _)| (at % row * self.width / row, at / row))
                .collect()
        }
    }

    pub fn face(x: f32, y: f32, width: f32, height: f32) -> Detection {
        Detection { box_in_frame: Rect::new(x, y, width, height), confidence: 1.0, landmarks_in_frame: None }
    }

    #[test]
    fn colours_keep_their_distances() {
        let mut before = Picture::new(PixelFormat::RGB, 40, 40);
        before.planes[0].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&[120, 90, 80]));
        let mut after = before.clone();
        after.add(&face(5.0, 5.0, 30.0, 30.0), 59.4);
        let middle = 3 * (20 * 40 + 20);
        assert_eq!(after.planes[0][middle..middle + 3], [179, 149, 139]);
    }

    #[test]
    fn the_change_grows_from_the_border_inwards() {
        let mut before = Picture::new(PixelFormat::Gray8, 100, 100);
        before.planes[0].fill(50);
        let mut after = before.clone();
        after.add(&face(0.0, 0.0, 100.0, 100.0), 155.0);
        let row = &after.planes[0][50 * 100..50 * 100 + 50];
        assert!(row[0] < 53 && row[5] > 100 && row[5] < 180, "{row:?}");
        assert!(row.is_sorted() && row[11..].iter().all(|&value| value == 205), "{row:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_pixel_outside_the_faces_changes(
            (x, y) in (-60f32..90.0, -60f32..90.0), (width, height) in (0f32..120.0, 0f32..120.0),
            size in (1usize..70, 1usize..50), format in prop::sample::select(&FORMATS),
        ) {
            let before = Picture::new(format, size.0, size.1);
            let mut after = before.clone();
            after.add(&face(x, y, width, height), 40.0);
            let square = Rect::new(x, y, width, height).squared();
            for (px, py) in after.changes(&before) {
                let (px, py) = (px as f32 + 0.5, py as f32 + 0.5);
                prop_assert!((square.x..square.right()).contains(&px) && (square.y..square.bottom()).contains(&py));
            }
        }
    }
}
