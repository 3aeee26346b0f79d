//! Pictures in memory, and in files.

use std::io::Cursor;

use anyhow::{Context, anyhow, bail};
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, codecs::png};

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

/// Decodes PNG or JPEG, the right way up: what EXIF says of how the camera was held is followed.
pub fn decode(bytes: &[u8]) -> anyhow::Result<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().context("a picture")?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_PIXELS), Some(MOST_PIXELS));
    reader.limits(limits.clone());
    let mut upright = |reader: ImageReader<_>| {
        let mut decoder = reader.into_decoder()?;
        // Decoders count what they need besides the picture only.
        limits.reserve(decoder.total_bytes())?;
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        image::ImageResult::Ok(picture)
    };
    let picture = upright(reader).map_err(|error| undecodable(&error))?;
    if is_cut_short(bytes) {
        bail!("the picture is cut short: its JPEG has no end");
    }
    Ok(picture)
}

/// Whether this is a JPEG whose pixels do not end (ISO 10918-1): decoders make gray of what is missing.
fn is_cut_short(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    let Some(mut rest) = bytes.strip_prefix(&[0xff, 0xd8]) else { return false };
    // Segments before the pixels say how long they are; a thumbnail in one has an end of its own.
    while let [0xff, kind, high, low, ..] = rest {
        if *kind == 0xda {
            return !rest.windows(2).any(|pair| pair == END);
        }
        let length = 2 + usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(length..).unwrap_or_default();
    }
    // Not as one expects it: the decoder has the last word.
    false
}

/// Decodes PNG or JPEG to gray (ITU-R BT.709 luma for colour pictures), the right way up.
pub fn decode_gray(bytes: &[u8]) -> anyhow::Result<Gray> {
    let picture = decode(bytes)?.into_luma8();
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
    reader.into_dimensions().map_err(|error| undecodable(&error))
}

/// What the decoder says, which names its causes itself.
fn undecodable(error: &image::ImageError) -> anyhow::Error {
    let reason = error.to_string();
    anyhow!("not a picture that can be decoded (PNG or JPEG): {}", reason.trim_end().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

    use super::*;

    #[test]
    fn a_jpeg_that_is_cut_short_is_refused() {
        let mut jpeg = Vec::new();
        let pixels: Vec<u8> = (0..64 * 64).map(|at| (at * 31 % 251) as u8).collect();
        JpegEncoder::new(&mut jpeg).write_image(&pixels, 64, 64, ExtendedColorType::L8).unwrap();
        assert!(decode_gray(&jpeg).is_ok());
        assert!(decode_gray(&[&jpeg[..], b"what some cameras put behind"].concat()).is_ok());
        let error = decode_gray(&jpeg[..jpeg.len() * 2 / 3]).unwrap_err();
        assert_eq!(error.to_string(), "the picture is cut short: its JPEG has no end");
    }

    #[test]
    fn a_small_file_cannot_promise_a_picture_that_fills_the_memory() {
        let (width, height) = (16_000, 12_000);
        let mut bytes = Vec::new();
        let white = vec![255; 3 * width as usize * height as usize];
        let encoder = png::PngEncoder::new(&mut bytes);
        encoder.write_image(&white, width, height, ExtendedColorType::Rgb8).unwrap();
        assert!(bytes.len() < 4 << 20);
        let error = format!("{:#}", decode(&bytes).unwrap_err());
        assert!(error.contains("Memory limit exceeded"), "{error}");
    }

    #[test]
    fn a_picture_that_lies_on_its_side_is_set_upright() {
        // Dark at the left, and to be turned a quarter clockwise (EXIF's 6): then that is the top.
        let (width, height) = (32, 16);
        let lying: Vec<u8> =
            (0..width * height).map(|at| if at % width < width / 2 { 10 } else { 240 }).collect();
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.write_image(&lying, width, height, ExtendedColorType::L8).unwrap();
        let picture = decode_gray(&jpeg).unwrap();
        assert_eq!((picture.width, picture.height), (16, 32));
        assert!(picture.pixels[..16 * 14].iter().all(|pixel| *pixel < 60), "the top is dark");
        assert!(picture.pixels[16 * 18..].iter().all(|pixel| *pixel > 190), "the bottom is bright");
    }
}
