//! Frames the right way up: cameras note how they were held, a video's in its tags, a picture's in EXIF.

use std::path::Path;

use gst::prelude::*;
use image::{ImageDecoder, ImageReader, metadata::Orientation};

/// Turns a decoder's frames as the file's note says, and passes them on as they are where there is none.
pub fn upright(input: &Path) -> Result<gst::Element, gst::glib::BoolError> {
    let flip = gst::ElementFactory::make("videoflip").build()?;
    flip.set_property_from_str("video-direction", direction(input));
    Ok(flip)
}

/// What `videoflip` is to do. A video's note comes with its frames (`auto`); EXIF is not read by GStreamer's
/// JPEG decoders.
fn direction(input: &Path) -> &'static str {
    let decoder = ImageReader::open(input)
        .and_then(ImageReader::with_guessed_format)
        .ok()
        .map(ImageReader::into_decoder);
    let Some(Ok(mut decoder)) = decoder else { return "auto" };
    match decoder.orientation() {
        Ok(Orientation::Rotate90) => "90r",
        Ok(Orientation::Rotate180) => "180",
        Ok(Orientation::Rotate270) => "90l",
        Ok(Orientation::FlipHorizontal) => "horiz",
        Ok(Orientation::FlipVertical) => "vert",
        Ok(Orientation::Rotate90FlipH) => "ul-lr",
        Ok(Orientation::Rotate270FlipH) => "ur-ll",
        Ok(Orientation::NoTransforms) | Err(_) => "auto",
    }
}
