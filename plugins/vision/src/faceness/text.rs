//! Whether a picture looks like writing: many small pieces of ink on an even ground. "The image is no longer
//! available" and its placeholder signs do; so does little else, but a face drawn with a few strokes can,
//! which is why text is asked for only where no face is found.

use super::canvas::Reduced;

/// The ground is the range of this many gray levels that holds the most pixels.
const GROUND_LEVELS: usize = 17;

/// Ink is at least so many gray levels from the middle of the ground: half of that range, and as much again for what
/// compression and blur leave around letters.
const INK_DISTANCE: usize = 24;

/// Least share of the picture that is ground. Faces on white leave less.
const LEAST_GROUND: f32 = 0.5;

/// Fewest pieces of ink: an exclamation mark's two in a triangle are a sign, not a text.
const FEWEST_PIECES: usize = 3;

/// A piece is small that is at most this share of the picture's height; banners that fill a crop have letters
/// of a quarter.
const SMALL: f32 = 0.3;

/// Looks for writing. Keeps its scratch space.
#[derive(Default)]
pub struct TextReader {
    ink: Vec<bool>,
    open: Vec<usize>,
}

impl TextReader {
    /// The share of the ink that is in small pieces, 0 to 1; 0 without an even ground or with too few pieces.
    pub fn likeness(&mut self, picture: &Reduced) -> f32 {
        let Reduced { pixels, width, height } = picture;
        let (ground, count) = ground(pixels);
        if (count as f32) < LEAST_GROUND * pixels.len() as f32 {
            return 0.0;
        }
        self.ink.clear();
        self.ink.extend(pixels.iter().map(|&pixel| usize::from(pixel).abs_diff(ground) >= INK_DISTANCE));
        let (mut all, mut small, mut pieces) = (0, 0, 0);
        for start in 0..pixels.len() {
            if !self.ink[start] {
                continue;
            }
            let Piece { area, top, bottom } = self.take_piece(start, (*width, *height));
            all += area;
            if (bottom - top + 1) as f32 <= SMALL * *height as f32 {
                small += area;
                pieces += 1;
            }
        }
        if pieces < FEWEST_PIECES { 0.0 } else { small as f32 / all as f32 }
    }

    /// Removes the piece of touching ink (also by corners) that this pixel belongs to.
    fn take_piece(&mut self, start: usize, (width, height): (usize, usize)) -> Piece {
        let Self { ink, open } = self;
        let mut piece = Piece { area: 0, top: start / width, bottom: start / width };
        ink[start] = false;
        open.push(start);
        while let Some(at) = open.pop() {
            let (x, y) = (at % width, at / width);
            piece.area += 1;
            piece.bottom = piece.bottom.max(y);
            piece.top = piece.top.min(y);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    let near = y * width + x;
                    if std::mem::take(&mut ink[near]) {
                        open.push(near);
                    }
                }
            }
        }
        piece
    }
}

/// Touching ink.
struct Piece {
    /// Pixels.
    area: usize,
    /// First row.
    top: usize,
    /// Last row.
    bottom: usize,
}

/// The middle of the range of gray levels that holds the most pixels, and how many.
fn ground(pixels: &[u8]) -> (usize, usize) {
    let mut histogram = [0usize; 256];
    pixels.iter().for_each(|&pixel| histogram[usize::from(pixel)] += 1);
    let range = |middle: usize| {
        let half = GROUND_LEVELS / 2;
        histogram[middle.saturating_sub(half)..(middle + half + 1).min(256)].iter().sum::<usize>()
    };
    // The first of equals, so that a white ground is the middle of its levels or as near as 255 lets it be.
    let middle = (0..256).rev().max_by_key(|&middle| range(middle)).unwrap_or(0);
    (middle, range(middle))
}
