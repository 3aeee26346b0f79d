//! Pictures from files, in colour.

use std::{fs, path::Path};

use ferroflow_vision::frame::{Frame, FrameError, PixelFormat, Plane, YuvEncoding};
use image::RgbImage;

use crate::batch::data::picture;

/// A picture in memory: red, green, blue.
pub struct Picture {
    pixels: RgbImage,
}

impl Picture {
    /// Decodes a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { pixels: picture::decode(&fs::read(path)?)?.into_rgb8() })
    }

    /// It as a frame.
    pub fn frame(&self) -> Result<Frame<'_>, FrameError> {
        let (width, height) = (self.pixels.width() as usize, self.pixels.height() as usize);
        let plane = Plane { data: self.pixels.as_raw(), stride: width * 3 };
        Frame::new(PixelFormat::RGB, width, height, &[plane], YuvEncoding::default())
    }
}
