//! Text in the font Hack, which travels in the crate `epaint_default_fonts`. Glyphs are drawn once for a size
//! and kept.

use std::{collections::HashMap, sync::LazyLock};

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

use super::canvas::{Canvas, Color};

static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(epaint_default_fonts::HACK_REGULAR).ok());

/// A drawn character: coverage 0 to 255, row by row, and where it stands relative to the pen on the baseline.
struct Glyph {
    left: i32,
    top: i32,
    width: i32,
    height: i32,
    coverage: Vec<u8>,
    advance: f32,
}

/// Writes text of one size.
pub struct Text {
    size: f32,
    glyphs: HashMap<char, Glyph>,
}

impl Text {
    /// Text whose lines are `size` pixels high.
    pub fn new(size: f32) -> Self {
        Self { size, glyphs: HashMap::new() }
    }

    /// Height of a line in pixels.
    pub fn line_height(&self) -> i32 {
        self.size.ceil() as i32
    }

    /// Width in pixels that `text` takes.
    pub fn width(&mut self, text: &str) -> i32 {
        text.chars().map(|character| self.glyph(character).advance).sum::<f32>().ceil() as i32
    }

    /// Writes `text` with its upper left corner at `x`, `y`.
    pub fn draw(&mut self, canvas: &mut Canvas<'_, '_>, x: i32, y: i32, text: &str, color: Color) {
        let baseline = y + (self.size * 0.78).round() as i32;
        let mut pen = x as f32;
        for character in text.chars() {
            let glyph = self.glyph(character);
            let (left, top) = (pen.round() as i32 + glyph.left, baseline + glyph.top);
            canvas.blend(left, top, glyph.width, glyph.height, color, &|gx, gy| {
                glyph.coverage.get((gy * glyph.width + gx) as usize).copied().unwrap_or(0)
            });
            pen += glyph.advance;
        }
    }

    fn glyph(&mut self, character: char) -> &Glyph {
        self.glyphs.entry(character).or_insert_with(|| rasterise(character, self.size))
    }
}

fn rasterise(character: char, size: f32) -> Glyph {
    let mut glyph = Glyph { left: 0, top: 0, width: 0, height: 0, coverage: Vec::new(), advance: size * 0.6 };
    let Some(font) = &*FONT else { return glyph };
    let scaled = font.as_scaled(PxScale::from(size));
    let id = scaled.glyph_id(character);
    glyph.advance = scaled.h_advance(id);
    let Some(outline) = scaled.outline_glyph(id.with_scale(PxScale::from(size))) else { return glyph };
    let bounds = outline.px_bounds();
    (glyph.left, glyph.top) = (bounds.min.x as i32, bounds.min.y as i32);
    (glyph.width, glyph.height) = (bounds.width().ceil() as i32, bounds.height().ceil() as i32);
    glyph.coverage = vec![0; (glyph.width * glyph.height).max(0) as usize];
    outline.draw(|x, y, covered| {
        if let Some(pixel) = glyph.coverage.get_mut((y as i32 * glyph.width + x as i32) as usize) {
            *pixel = (covered * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    });
    glyph
}
