//! Pictures in memory, and in files.

use std::io::Cursor;

use anyhow::Context;
use image::{ImageEncoder, ImageFormat, ImageReader, codecs::png};

/// The most pixels a picture may have: a small file can promise a picture that fills all memory.
const MOST_PIXELS: u32 = 16384;

/// A gray picture: full range, row by row without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gray {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 0 black to 255 white.
    pub pixels: Vec<u8>,
}

/// Decodes PNG or JPEG to gray (ITU-R BT.709 luma for colour pictures).
pub fn decode_gray(bytes: &[u8]) -> anyhow::Result<Gray> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().context("a picture")?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_PIXELS), Some(MOST_PIXELS));
    reader.limits(limits);
    let picture = reader.decode().context("not a picture that can be decoded (PNG or JPEG)")?.into_luma8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Gray { width, height, pixels: picture.into_raw() })
}

/// Encodes as PNG.
pub fn encode_png(picture: &Gray) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(picture.pixels.len());
    let (width, height) = (u32::try_from(picture.width)?, u32::try_from(picture.height)?);
    png::PngEncoder::new_with_quality(&mut bytes, png::CompressionType::Default, png::FilterType::Adaptive)
        .write_image(&picture.pixels, width, height, image::ExtendedColorType::L8)?;
    Ok(bytes)
}

/// The name of a format that can be decoded, or nothing.
pub fn format(bytes: &[u8]) -> Option<&'static str> {
    match image::guess_format(bytes).ok()? {
        ImageFormat::Png => Some("png"),
        ImageFormat::Jpeg => Some("jpeg"),
        _ => None,
    }
}

/// Width and height, without decoding all of it.
pub fn size(bytes: &[u8]) -> anyhow::Result<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.into_dimensions().context("not a picture that can be decoded (PNG or JPEG)")
}
