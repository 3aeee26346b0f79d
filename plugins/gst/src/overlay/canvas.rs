//! Blends rectangles and glyphs into raw frames of any of our formats, where they lie.

use ferroflow_vision::frame::PixelFormat;

/// A colour as red, green and blue, 0 to 255.
pub type Color = [u8; 3];

/// The planes of one mapped frame, to be drawn into.
pub struct Canvas<'a> {
    /// Memory layout.
    pub format: PixelFormat,
    /// Luma 0 to 255 rather than 16 to 235.
    pub full_range: bool,
    /// Frame width in pixels.
    pub width: i32,
    /// Frame height in pixels.
    pub height: i32,
    /// Rows of each plane and the bytes from one to the next.
    pub planes: Vec<(&'a mut [u8], usize)>,
}

/// How much of a pixel is covered, 0 to 255, by position inside a mask.
type Coverage<'a> = &'a dyn Fn(i32, i32) -> u8;

fn mix(pixel: &mut u8, color: u8, alpha: u32) {
    *pixel = ((u32::from(*pixel) * (255 - alpha) + u32::from(color) * alpha + 127) / 255) as u8;
}

impl Canvas<'_> {
    /// Fills a rectangle, of which the part inside the frame is drawn. `alpha` 255 covers, 0 leaves as it is.
    pub fn fill(&mut self, x: i32, y: i32, width: i32, height: i32, color: Color, alpha: u8) {
        self.blend(x, y, width, height, color, &|_, _| alpha);
    }

    /// Draws the outline of a rectangle, `line` pixels thick, inside it.
    pub fn outline(&mut self, x: i32, y: i32, width: i32, height: i32, line: i32, color: Color) {
        self.fill(x, y, width, line, color, 255);
        self.fill(x, y + height - line, width, line, color, 255);
        self.fill(x, y + line, line, height - 2 * line, color, 255);
        self.fill(x + width - line, y + line, line, height - 2 * line, color, 255);
    }

    /// Blends `color` into the rectangle with a coverage for each pixel.
    pub fn blend(&mut self, x: i32, y: i32, width: i32, height: i32, color: Color, coverage: Coverage<'_>) {
        let (x0, x1) = (x.clamp(0, self.width), x.saturating_add(width).clamp(0, self.width));
        let (y0, y1) = (y.clamp(0, self.height), y.saturating_add(height).clamp(0, self.height));
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        let inside = |px: i32, py: i32| u32::from(coverage(px - x, py - y));
        if let PixelFormat::Packed { pixel_stride, red, green, blue } = self.format {
            let Some((data, stride)) = self.planes.first_mut() else { return };
            for py in y0..y1 {
                let row = data.get_mut(py as usize * *stride..).unwrap_or_default();
                let pixels = row.chunks_exact_mut(pixel_stride).skip(x0 as usize);
                for (px, pixel) in (x0..x1).zip(pixels) {
                    let alpha = inside(px, py);
                    mix(&mut pixel[red], color[0], alpha);
                    mix(&mut pixel[green], color[1], alpha);
                    mix(&mut pixel[blue], color[2], alpha);
                }
            }
            return;
        }
        let [luma, cb, cr] = self.yuv(color);
        if let Some((data, stride)) = self.planes.first_mut() {
            for py in y0..y1 {
                let row = data.get_mut(py as usize * *stride + x0 as usize..).unwrap_or_default();
                for (px, pixel) in (x0..x1).zip(row) {
                    mix(pixel, luma, inside(px, py));
                }
            }
        }
        // A chroma sample belongs to 2x2 pixels: their mean coverage, of which those outside the mask have none.
        let mean = |cx: i32, cy: i32| {
            let cell = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| (2 * cx + dx, 2 * cy + dy));
            let covered = cell.iter().filter(|&&(px, py)| px >= x0 && px < x1 && py >= y0 && py < y1);
            covered.map(|&(px, py)| inside(px, py)).sum::<u32>() / 4
        };
        let (first, second) = match self.format {
            PixelFormat::Yv12 | PixelFormat::Nv21 => (cr, cb),
            _ => (cb, cr),
        };
        let interleaved = matches!(self.format, PixelFormat::Nv12 | PixelFormat::Nv21);
        let step = if interleaved { 2 } else { 1 };
        for (index, (data, stride)) in self.planes.iter_mut().enumerate().skip(1) {
            for cy in y0 / 2..(y1 + 1) / 2 {
                let start = cy as usize * *stride + (x0 / 2) as usize * step;
                let row = data.get_mut(start..).unwrap_or_default();
                for (cx, samples) in (x0 / 2..(x1 + 1) / 2).zip(row.chunks_exact_mut(step)) {
                    let alpha = mean(cx, cy);
                    match samples {
                        [a, b] => {
                            mix(a, first, alpha);
                            mix(b, second, alpha);
                        }
                        [a] => mix(a, if index == 1 { first } else { second }, alpha),
                        _ => {}
                    }
                }
            }
        }
    }

    /// BT.601, which at 8 bits and for a label's colour is close enough to BT.709.
    fn yuv(&self, [r, g, b]: Color) -> [u8; 3] {
        let [r, g, b] = [f32::from(r), f32::from(g), f32::from(b)];
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let (luma_gain, luma_offset, chroma_gain) = if self.full_range || self.format == PixelFormat::Gray8 {
            (1.0, 0.0, 1.0)
        } else {
            (219.0 / 255.0, 16.0, 224.0 / 255.0)
        };
        let chroma = |difference: f32, range: f32| (128.0 + difference / range * chroma_gain).round() as u8;
        [(luma * luma_gain + luma_offset).round() as u8, chroma(b - luma, 1.772), chroma(r - luma, 1.402)]
    }
}
