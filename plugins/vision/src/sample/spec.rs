//! What an image is in a network's input tensor, and where its pixels lie there.

use serde::{Deserialize, Serialize};

use super::lines;

/// Colour order of a tensor's channels; in cards `gray`, `rgb`, `bgr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// Where a pixel's channels lie in a tensor of images; in cards `nchw`, `nhwc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorLayout {
    /// Channel after channel: channels × height × width.
    #[default]
    Nchw,
    /// Pixel after pixel: height × width × channels.
    Nhwc,
}

/// Shape, colour and value range of one image in an input tensor: `value = (pixel·scale - mean) / std`, pixel
/// 0 to 255.
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
            layout: TensorLayout::Nchw,
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
            TensorLayout::Nchw => image.chunks_exact_mut(self.width.max(1)).for_each(<[f32]>::reverse),
            TensorLayout::Nhwc => {
                let channels = self.color.channels();
                for row in image.chunks_exact_mut((self.width * channels).max(1)) {
                    // Pixels change places, and their channels back.
                    row.reverse();
                    row.chunks_exact_mut(channels).for_each(<[f32]>::reverse);
                }
            }
        }
    }

    /// Normalises a line of red, green and blue into row `y` of the tensor.
    pub(super) fn write_line(&self, [red, green, blue]: &[Vec<f32>; 3], y: usize, output: &mut [f32]) {
        let channels: &[&Vec<f32>] = match self.color {
            ColorOrder::Gray => &[red],
            ColorOrder::Rgb => &[red, green, blue],
            ColorOrder::Bgr => &[blue, green, red],
        };
        for (index, (line, (mean, std))) in channels.iter().zip(self.mean.iter().zip(&self.std)).enumerate() {
            let (factor, shift) = (self.scale / std, mean / std);
            match self.layout {
                TensorLayout::Nchw => {
                    let start = (index * self.height + y) * self.width;
                    lines::normalise(line, factor, shift, output.get_mut(start..).unwrap_or_default());
                }
                TensorLayout::Nhwc => {
                    let start = y * self.width * channels.len() + index;
                    let row = output.get_mut(start..).unwrap_or_default();
                    let normalised = line.iter().map(|pixel| pixel * factor - shift);
                    row.iter_mut()
                        .step_by(channels.len())
                        .zip(normalised)
                        .for_each(|(out, value)| *out = value);
                }
            }
        }
    }

    /// The tensor of a batch of such images, outermost side first.
    pub const fn shape(&self, batch: usize) -> [usize; 4] {
        let channels = self.color.channels();
        match self.layout {
            TensorLayout::Nchw => [batch, channels, self.height, self.width],
            TensorLayout::Nhwc => [batch, self.height, self.width, channels],
        }
    }

    /// True when the image has no pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
