//! Reduces an image by averaging the area under each pixel, as TensorFlow's `ResizeMethod.AREA` does, which the proposing
//! network's windows are sensitive to.

/// Scratch space for a reduction.
#[derive(Debug, Default)]
pub struct Reducer {
    row: Vec<f32>,
}

impl Reducer {
    /// Reduces planes of `from` (width, height) pixels to planes of `to`, neither side larger than before.
    pub fn reduce(&mut self, planes: &[f32], from: (usize, usize), reduced: &mut [f32], to: (usize, usize)) {
        let (columns, rows) = (from.0 as f32 / to.0 as f32, from.1 as f32 / to.1 as f32);
        let (source, target) = ((from.0 * from.1).max(1), (to.0 * to.1).max(1));
        for (plane, reduced) in planes.chunks_exact(source).zip(reduced.chunks_exact_mut(target)) {
            for (y, line) in reduced.chunks_exact_mut(to.0).enumerate() {
                self.row.clear();
                self.row.resize(from.0, 0.0);
                each_under(y, rows, from.1, |index, share| {
                    let source = plane.get(index * from.0..).unwrap_or_default();
                    self.row.iter_mut().zip(source).for_each(|(sum, value)| *sum += share * value);
                });
                for (x, pixel) in line.iter_mut().enumerate() {
                    *pixel = 0.0;
                    each_under(x, columns, from.0, |index, share| {
                        *pixel += share * self.row.get(index).copied().unwrap_or_default();
                    });
                }
            }
        }
    }
}

/// Calls `each` with every source pixel under pixel `index` and the share of it that lies there; shares sum to 1.
fn each_under(index: usize, scale: f32, length: usize, mut each: impl FnMut(usize, f32)) {
    let (start, end) = (index as f32 * scale, ((index + 1) as f32 * scale).min(length as f32));
    let extent = (end - start).max(f32::EPSILON);
    let first = start as usize;
    for source in first..(end.ceil() as usize).min(length) {
        let part = (end.min((source + 1) as f32) - start.max(source as f32)).max(0.0);
        each(source, part / extent);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pixels_are_the_means_of_what_lies_under_them() {
        let mut reduced = [0.0; 2];
        Reducer::default().reduce(&[1.0, 2.0, 6.0, 3.0, 4.0, 8.0], (3, 2), &mut reduced, (2, 1));
        let left = (1.0 + 3.0 + (2.0 + 4.0) / 2.0) / 3.0;
        let right = (6.0 + 8.0 + (2.0 + 4.0) / 2.0) / 3.0;
        assert!((reduced[0] - left).abs() < 1e-5 && (reduced[1] - right).abs() < 1e-5, "{reduced:?}");
    }

    proptest! {
        #[test]
        fn the_mean_of_an_image_stays(width in 2usize..30, height in 2usize..30, w in 1usize..30, h in 1usize..30, seed in any::<u32>()) {
            let (to, from) = ((w.min(width), h.min(height)), (width, height));
            let image: Vec<f32> = (0..3 * width * height).map(|i| ((i as u32 ^ seed) % 97) as f32).collect();
            let mut reduced = vec![0.0; 3 * to.0 * to.1];
            Reducer::default().reduce(&image, from, &mut reduced, to);
            let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
            for (before, after) in image.chunks(width * height).zip(reduced.chunks(to.0 * to.1)) {
                prop_assert!((mean(before) - mean(after)).abs() < 0.01);
            }
        }
    }
}
