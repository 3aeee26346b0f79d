//! Faces on their way into the network: cut, varied, normalised, laid out.

use std::ops::Range;

use super::network::INPUTS;
use super::settings::Augmentation;
use crate::faces::Faces;
use crate::kernels::grid::Grid;
use crate::random::Random;

/// Pixels that are cut off the picture's sides together: room for shifts, and a sixth less to compute at 48.
const BORDER: usize = 4;

/// Below this deviation of the gray values (0 to 255) a picture's contrast is not raised further.
pub(super) const LEAST_DEVIATION: f32 = 8.0;

/// The size at which the network begins: (lines, pixels in a line).
pub(crate) const fn begin(faces: Faces<'_>) -> (usize, usize) {
    (faces.height.saturating_sub(BORDER) / 2, faces.width.saturating_sub(BORDER) / 2)
}

/// The columns and lines of a picture of even sides that a face which is not varied is cut to.
pub(super) const fn inner((width, height): (usize, usize)) -> [Range<usize>; 2] {
    const fn middle(length: usize) -> Range<usize> {
        let kept = length.saturating_sub(BORDER) / 2 * 2;
        let start = (length - kept) / 2;
        start..start + kept
    }
    [middle(width), middle(height)]
}

/// How one face is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    mirrored: bool,
    /// Degrees.
    rotation: f32,
    /// Pixels of the picture for each pixel seen.
    scale: f32,
    /// Pixels.
    shift: (f32, f32),
    /// A blanked rectangle, as parts of the size: (left, top, side).
    erased: Option<(f32, f32, f32)>,
}

impl View {
    /// As it is.
    pub(crate) const fn plain(mirrored: bool, scale: f32) -> Self {
        Self { mirrored, rotation: 0.0, scale, shift: (0.0, 0.0), erased: None }
    }

    /// A random one.
    pub(crate) fn random(augmentation: &Augmentation, random: &mut Random) -> Self {
        let mut about = |greatest: f32| greatest * (2.0 * random.unit() - 1.0);
        let rotation = about(augmentation.rotation);
        let scale = 1.0 + about(augmentation.zoom);
        let shift = (about(augmentation.shift), about(augmentation.shift));
        let mirrored = random.unit() < 0.5;
        let erased = random.unit() < augmentation.erase;
        let side = augmentation.erase_side * (0.5 + 0.5 * random.unit());
        let corner = (random.unit() - side / 2.0, random.unit() - side / 2.0);
        Self { mirrored, rotation, scale, shift, erased: erased.then_some((corner.0, corner.1, side)) }
    }
}

/// A batch: each row of `faces` as its view sees it, in the network's layout (`INPUTS` channels).
pub(crate) fn batch(
    faces: Faces<'_>,
    rows: impl ExactSizeIterator<Item = (usize, View)>,
) -> (Grid, Vec<f32>) {
    let (height, width) = begin(faces);
    let grid = Grid { faces: rows.len(), height, width };
    let mut out = vec![0.0; grid.rows() * INPUTS];
    let mut seen = vec![0.0; 4 * height * width];
    for (index, (row, view)) in rows.enumerate() {
        render(faces, row, view, &mut seen);
        for y in 0..height {
            let start = grid.row(index, y) * INPUTS;
            let line = out[start..start + width * INPUTS].chunks_exact_mut(INPUTS);
            for (x, out) in line.enumerate() {
                let upper = 2 * y * 2 * width + 2 * x;
                let lower = upper + 2 * width;
                out.copy_from_slice(&[seen[upper], seen[upper + 1], seen[lower], seen[lower + 1]]);
            }
        }
    }
    (grid, out)
}

/// One face through its view, with mean 0 and deviation 1; pixels outside the picture are those of its edge.
fn render(faces: Faces<'_>, row: usize, view: View, seen: &mut [f32]) {
    let face = faces.face(row);
    let (lines, pixels) = (2 * begin(faces).0, 2 * begin(faces).1);
    let (sine, cosine) = view.rotation.to_radians().sin_cos();
    let (sine, cosine) = (sine * view.scale, cosine * view.scale);
    let middle = ((pixels - 1) as f32 / 2.0, (lines - 1) as f32 / 2.0);
    let centre =
        ((faces.width - 1) as f32 / 2.0 + view.shift.0, (faces.height - 1) as f32 / 2.0 + view.shift.1);
    let (right, bottom) = ((faces.width - 1) as f32, (faces.height - 1) as f32);
    for y in 0..lines {
        let dy = y as f32 - middle.1;
        for x in 0..pixels {
            let dx = x as f32 - middle.0;
            let dx = if view.mirrored { -dx } else { dx };
            let at_x = (centre.0 + dx * cosine - dy * sine).clamp(0.0, right);
            let at_y = (centre.1 + dx * sine + dy * cosine).clamp(0.0, bottom);
            let (left, top) = (at_x as usize, at_y as usize);
            let (next_x, next_y) = ((left + 1).min(faces.width - 1), (top + 1).min(faces.height - 1));
            let (part_x, part_y) = (at_x - left as f32, at_y - top as f32);
            let gray = |x: usize, y: usize| f32::from(face[y * faces.width + x]);
            let above = gray(left, top) + part_x * (gray(next_x, top) - gray(left, top));
            let below = gray(left, next_y) + part_x * (gray(next_x, next_y) - gray(left, next_y));
            seen[y * pixels + x] = above + part_y * (below - above);
        }
    }
    let count = seen.len() as f32;
    let mean = seen.iter().sum::<f32>() / count;
    let variance = seen.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
    let factor = 1.0 / variance.sqrt().max(LEAST_DEVIATION);
    for value in seen.iter_mut() {
        *value = (*value - mean) * factor;
    }
    if let Some((left, top, side)) = view.erased {
        let range = |start: f32, length: usize| {
            let end = ((start + side) * length as f32).clamp(0.0, length as f32) as usize;
            ((start * length as f32).clamp(0.0, length as f32) as usize).min(end)..end
        };
        for line in range(top, lines) {
            let erased = range(left, pixels);
            seen[line * pixels + erased.start..line * pixels + erased.end].fill(0.0);
        }
    }
}
