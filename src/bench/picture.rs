//! Pictures from files, through OpenCV.

use std::path::Path;

use anyhow::{Context, bail};
use ferroflow_vision::frame::{Frame, FrameError, PixelFormat, Plane, YuvEncoding};
use opencv::{imgcodecs, prelude::*};

/// A picture in memory: blue, green, red.
pub struct Picture {
    pixels: Mat,
}

impl Picture {
    /// Decodes a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.to_str().context("its name is not UTF-8")?;
        if !path.is_file() {
            bail!("there is no such file");
        }
        let pixels = imgcodecs::imread(name, imgcodecs::IMREAD_COLOR)?;
        if pixels.empty() || !pixels.is_continuous() {
            bail!("it is not a picture that OpenCV can read");
        }
        Ok(Self { pixels })
    }

    /// It as a frame.
    pub fn frame(&self) -> anyhow::Result<Frame<'_>> {
        let data = self.pixels.data_bytes()?;
        let (width, height) = (self.pixels.cols().unsigned_abs(), self.pixels.rows().unsigned_abs());
        let (width, height) = (width as usize, height as usize);
        let frame = |stride| -> Result<Frame<'_>, FrameError> {
            Frame::new(PixelFormat::BGR, width, height, &[Plane { data, stride }], YuvEncoding::default())
        };
        Ok(frame(width * 3)?)
    }
}
