//! A borrowed view of one raw video frame in the layout the decoder gave it, so that nothing has to be copied
//! or converted before the parts that a network needs are sampled out of it.

use thiserror::Error;

/// How the pixels of a frame lie in memory. All are 8 bits a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Planar luma, then Cb and Cr at half the width and height (rounded up).
    I420,
    /// Like [`PixelFormat::I420`] with Cr before Cb.
    Yv12,
    /// Planar luma, then interleaved Cb Cr at half the width and height (rounded up).
    Nv12,
    /// Like [`PixelFormat::Nv12`] with Cr before Cb.
    Nv21,
    /// Luma only, full range.
    Gray8,
    /// Interleaved components: bytes a pixel and the offsets of red, green and blue among them.
    Packed {
        /// Bytes a pixel, 3 or 4.
        pixel_stride: usize,
        /// Offset of red.
        red: usize,
        /// Offset of green.
        green: usize,
        /// Offset of blue.
        blue: usize,
    },
}

impl PixelFormat {
    /// Red, green, blue; 3 bytes a pixel.
    pub const RGB: Self = Self::packed(3, [0, 1, 2]);
    /// Blue, green, red; 3 bytes a pixel.
    pub const BGR: Self = Self::packed(3, [2, 1, 0]);
    /// Red, green, blue and a byte that is skipped (RGBx, RGBA).
    pub const RGBX: Self = Self::packed(4, [0, 1, 2]);
    /// Blue, green, red and a byte that is skipped (BGRx, BGRA).
    pub const BGRX: Self = Self::packed(4, [2, 1, 0]);

    const fn packed(pixel_stride: usize, [red, green, blue]: [usize; 3]) -> Self {
        Self::Packed { pixel_stride, red, green, blue }
    }

    /// The planes of a frame of this size: bytes a row that carry pixels, and number of rows; 0 of planes that the format lacks.
    pub const fn plane_sizes(self, width: usize, height: usize) -> [(usize, usize); 3] {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        match self {
            Self::I420 | Self::Yv12 => {
                [(width, height), (half_width, half_height), (half_width, half_height)]
            }
            Self::Nv12 | Self::Nv21 => [(width, height), (2 * half_width, half_height), (0, 0)],
            Self::Gray8 => [(width, height), (0, 0), (0, 0)],
            Self::Packed { pixel_stride, .. } => [(width * pixel_stride, height), (0, 0), (0, 0)],
        }
    }
}

/// The matrix and range that turn luma and chroma into red, green and blue
/// (ITU-R BT.601-7 section 2.5, BT.709-6 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct YuvEncoding {
    /// BT.709 rather than BT.601.
    pub bt709: bool,
    /// Luma 0 to 255 rather than 16 to 235.
    pub full_range: bool,
}

/// Coefficients of `r = luma + cr_r·cr`, `g = luma - cb_g·cb - cr_g·cr`, `b = luma + cb_b·cb`, with
/// `luma = gain·(y - offset)` and chroma centred on zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct YuvCoefficients {
    pub offset: f32,
    pub gain: f32,
    pub cr_r: f32,
    pub cb_g: f32,
    pub cr_g: f32,
    pub cb_b: f32,
}

impl YuvEncoding {
    /// The weights of red and blue in luma.
    const fn weights(self) -> (f32, f32) {
        if self.bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) }
    }

    /// What luma lies above zero, and how much full luma and chroma are enlarged by.
    const fn range(self) -> (f32, f32, f32) {
        if self.full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) }
    }

    /// A colour of red, green and blue, 0 to 255, as luma, Cb and Cr.
    pub fn from_rgb(self, rgb: [u8; 3]) -> [u8; 3] {
        let [red, green, blue] = rgb.map(f32::from);
        let ((kr, kb), (offset, gain, chroma_gain)) = (self.weights(), self.range());
        let luma = kr * red + (1.0 - kr - kb) * green + kb * blue;
        let chroma = |difference: f32, weight: f32| 128.0 + difference / (2.0 * (1.0 - weight)) / chroma_gain;
        [luma / gain + offset, chroma(blue - luma, kb), chroma(red - luma, kr)]
            .map(|value| value.round() as u8)
    }

    pub(crate) fn coefficients(self) -> YuvCoefficients {
        let ((kr, kb), (offset, gain, chroma_gain)) = (self.weights(), self.range());
        let kg = 1.0 - kr - kb;
        YuvCoefficients {
            offset,
            gain,
            cr_r: 2.0 * (1.0 - kr) * chroma_gain,
            cb_g: 2.0 * (1.0 - kb) * kb / kg * chroma_gain,
            cr_g: 2.0 * (1.0 - kr) * kr / kg * chroma_gain,
            cb_b: 2.0 * (1.0 - kb) * chroma_gain,
        }
    }
}

/// One plane of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    /// The rows, `stride` bytes apart; the last row may end with its last pixel.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// Row `y` and all that follows it; empty past the end.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        self.data.get(y * self.stride..).unwrap_or_default()
    }
}

/// A frame whose planes do not hold what its format and size promise.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Width or height is zero.
    #[error("a frame of {width}x{height} pixels has nothing to look at")]
    Empty {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// A plane is missing, too short or its rows overlap.
    #[error(
        "plane {plane} of a {width}x{height} {format:?} frame holds {found} bytes at stride {stride}, {expected} are needed"
    )]
    ShortPlane {
        /// Which plane, from 0.
        plane: usize,
        /// The frame's format.
        format: PixelFormat,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes there are.
        found: usize,
        /// Bytes from row to row.
        stride: usize,
        /// Bytes there must be.
        expected: usize,
    },
}

/// One frame, borrowed. Planes are checked when it is made, so that samplers need not check again.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: [Plane<'a>; 3],
    encoding: YuvEncoding,
}

impl<'a> Frame<'a> {
    /// A frame of `width` × `height` pixels over planes in the order of `format`.
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: &[Plane<'a>],
        encoding: YuvEncoding,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width, height });
        }
        let mut checked = [Plane::default(); 3];
        let sizes = format.plane_sizes(width, height).into_iter().enumerate();
        for (index, (row_bytes, rows)) in sizes.filter(|(_, (_, rows))| *rows > 0) {
            let plane = planes.get(index).copied().unwrap_or_default();
            let expected = plane.stride.max(row_bytes).saturating_mul(rows - 1).saturating_add(row_bytes);
            if plane.data.len() < expected || (plane.stride < row_bytes && rows > 1) {
                return Err(FrameError::ShortPlane {
                    plane: index,
                    format,
                    width,
                    height,
                    found: plane.data.len(),
                    stride: plane.stride,
                    expected,
                });
            }
            if let Some(slot) = checked.get_mut(index) {
                *slot = plane;
            }
        }
        Ok(Self { format, width, height, planes: checked, encoding })
    }

    /// A tightly packed RGB frame: `data` holds `height` rows of `width` × 3 bytes.
    pub fn rgb(data: &'a [u8], width: usize, height: usize) -> Result<Self, FrameError> {
        let plane = Plane { data, stride: width * 3 };
        Self::new(PixelFormat::RGB, width, height, &[plane], YuvEncoding::default())
    }

    /// A tightly packed gray frame: `data` holds `height` rows of `width` bytes.
    pub fn gray(data: &'a [u8], width: usize, height: usize) -> Result<Self, FrameError> {
        let plane = Plane { data, stride: width };
        Self::new(PixelFormat::Gray8, width, height, &[plane], YuvEncoding::default())
    }

    /// The matrix and range of its luma and chroma.
    pub const fn encoding(&self) -> YuvEncoding {
        self.encoding
    }

    /// Memory layout.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn planes(&self) -> &[Plane<'a>; 3] {
        &self.planes
    }

    /// The plane that serves as gray image as it is, if the format has one. Luma of limited range is left so.
    pub fn luma_plane(&self) -> Option<Plane<'a>> {
        match self.format {
            PixelFormat::Packed { .. } => None,
            _ => Some(self.planes[0]),
        }
    }

    /// Writes the frame as gray, `width` × `height` bytes without gaps (BT.601 weights for packed formats; luma as
    /// it is for the others).
    pub fn write_gray(&self, gray: &mut Vec<u8>) {
        gray.clear();
        let [plane, ..] = &self.planes;
        for y in 0..self.height {
            let row = plane.row(y);
            match self.format {
                PixelFormat::Packed { pixel_stride, red, green, blue } => {
                    gray.extend(row.chunks_exact(pixel_stride).take(self.width).map(|pixel| {
                        // 0.299, 0.587 and 0.114 in 1/2^14, as OpenCV's cvtColor has them.
                        let sum = 4899 * u32::from(pixel[red])
                            + 9617 * u32::from(pixel[green])
                            + 1868 * u32::from(pixel[blue]);
                        ((sum + (1 << 13)) >> 14) as u8
                    }));
                }
                _ => gray.extend_from_slice(&row[..self.width]),
            }
        }
    }
}

/// One plane of a frame that is written into.
#[derive(Debug, Default)]
pub struct PlaneMut<'a> {
    /// The rows, as in [`Plane`].
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One frame, borrowed to be changed where it lies.
#[derive(Debug)]
pub struct FrameMut<'a> {
    format: PixelFormat,
    width: usize,
    height: usize,
    planes: [PlaneMut<'a>; 3],
    encoding: YuvEncoding,
}

impl<'a> FrameMut<'a> {
    /// A frame over planes in the order of `format`, checked as [`Frame::new`] does; those the format lacks
    /// stay empty.
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: [PlaneMut<'a>; 3],
        encoding: YuvEncoding,
    ) -> Result<Self, FrameError> {
        let frame = Self { format, width, height, planes, encoding };
        Frame::new(format, width, height, &frame.as_frame().planes, encoding)?;
        Ok(frame)
    }

    /// The frame as it is now, to be looked at.
    pub fn as_frame(&self) -> Frame<'_> {
        let planes = self.planes.each_ref().map(|plane| Plane { data: plane.data, stride: plane.stride });
        Frame { format: self.format, width: self.width, height: self.height, planes, encoding: self.encoding }
    }

    /// Its planes, in the order of its format.
    pub fn planes_mut(&mut self) -> &mut [PlaneMut<'a>; 3] {
        &mut self.planes
    }

    /// Row `y` of the first plane, which carries the brightness, and all that follows it; empty past the end.
    pub(crate) fn first_row_mut(&mut self, y: usize) -> &mut [u8] {
        let [plane, ..] = &mut self.planes;
        plane.data.get_mut(y * plane.stride..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_colour_goes_to_luma_and_chroma_and_back(
            rgb in prop::array::uniform3(0u8..=255), bt709 in any::<bool>(), full_range in any::<bool>(),
        ) {
            let encoding = YuvEncoding { bt709, full_range };
            let [y, cb, cr] = encoding.from_rgb(rgb).map(f32::from);
            let YuvCoefficients { offset, gain, cr_r, cb_g, cr_g, cb_b } = encoding.coefficients();
            let (luma, cb, cr) = (gain * (y - offset), cb - 128.0, cr - 128.0);
            let back = [luma + cr_r * cr, luma - cb_g * cb - cr_g * cr, luma + cb_b * cb];
            for (before, after) in rgb.into_iter().zip(back) {
                // What rounding to whole numbers takes.
                prop_assert!((f32::from(before) - after).abs() < 2.5, "{rgb:?} {back:?}");
            }
        }
    }
}
