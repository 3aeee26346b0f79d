//! Blends rectangles and glyphs into raw frames of any of our formats, where they lie.

use ferroflow_vision::frame::{FrameMut, PixelFormat, PlaneMut, YuvEncoding};

/// A colour as red, green and blue, 0 to 255.
pub type Color = [u8; 3];

/// A frame to be drawn into.
pub struct Canvas<'a, 'f> {
    format: PixelFormat,
    encoding: YuvEncoding,
    /// Frame width in pixels.
    pub width: i32,
    /// Frame height in pixels.
    pub height: i32,
    planes: &'a mut [PlaneMut<'f>; 3],
}

impl<'a, 'f> Canvas<'a, 'f> {
    /// Over a whole frame.
    pub fn new(frame: &'a mut FrameMut<'f>) -> Self {
        let seen = frame.as_frame();
        let (format, encoding) = (seen.format(), seen.encoding());
        let (width, height) = (seen.width() as i32, seen.height() as i32);
        Self { format, encoding, width, height, planes: frame.planes_mut() }
    }
}

/// How much of a pixel is covered, 0 to 255, by position inside a mask.
type Coverage<'a> = &'a dyn Fn(i32, i32) -> u8;

fn mix(pixel: &mut u8, color: u8, alpha: u32) {
    *pixel = ((u32::from(*pixel) * (255 - alpha) + u32::from(color) * alpha + 127) / 255) as u8;
}

impl Canvas<'_, '_> {
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
            let [PlaneMut { data, stride }, ..] = self.planes;
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
        let encoding = match self.format {
            PixelFormat::Gray8 => YuvEncoding { bt709: false, full_range: true },
            _ => self.encoding,
        };
        let [luma, cb, cr] = encoding.from_rgb(color);
        let [PlaneMut { data, stride }, chroma @ ..] = self.planes;
        for py in y0..y1 {
            let row = data.get_mut(py as usize * *stride + x0 as usize..).unwrap_or_default();
            for (px, pixel) in (x0..x1).zip(row) {
                mix(pixel, luma, inside(px, py));
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
        for (PlaneMut { data, stride }, color) in chroma.iter_mut().zip([first, second]) {
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
                        [a] => mix(a, color, alpha),
                        _ => {}
                    }
                }
            }
        }
    }
}
