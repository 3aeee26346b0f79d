//! Reduces an image by averaging the area under each pixel, as TensorFlow's `ResizeMethod.AREA` does, which
//! the proposing network's windows are sensitive to.

use multiversion::multiversion;

/// Scratch space for a reduction.
#[derive(Debug, Default)]
pub struct Reducer {
    row: Vec<f32>,
    /// Of each column of the reduced image, the first column under it and where its shares end.
    columns: Vec<(usize, usize)>,
    /// The shares of all columns, one column's behind the other's.
    shares: Vec<f32>,
}

impl Reducer {
    /// Reduces planes of `from` (width, height) pixels to planes of `to`, neither side larger than before.
    pub fn reduce(&mut self, planes: &[f32], from: (usize, usize), reduced: &mut [f32], to: (usize, usize)) {
        let (columns, rows) = (from.0 as f32 / to.0 as f32, from.1 as f32 / to.1 as f32);
        let (source, target) = ((from.0 * from.1).max(1), (to.0 * to.1).max(1));
        self.columns.clear();
        self.shares.clear();
        for x in 0..to.0 {
            let mut first = None;
            each_under(x, columns, from.0, |index, share| {
                first.get_or_insert(index);
                self.shares.push(share);
            });
            self.columns.push((first.unwrap_or_default(), self.shares.len()));
        }
        for (plane, reduced) in planes.chunks_exact(source).zip(reduced.chunks_exact_mut(target)) {
            for (y, line) in reduced.chunks_exact_mut(to.0).enumerate() {
                self.row.clear();
                self.row.resize(from.0, 0.0);
                each_under(y, rows, from.1, |index, share| {
                    add(&mut self.row, plane.get(index * from.0..).unwrap_or_default(), share);
                });
                let mut begin = 0;
                for (pixel, &(first, end)) in line.iter_mut().zip(&self.columns) {
                    let shares = self.shares.get(begin..end).unwrap_or_default();
                    let values = self.row.get(first..).unwrap_or_default();
                    *pixel = shares.iter().zip(values).fold(0.0, |sum, (share, value)| sum + share * value);
                    begin = end;
                }
            }
        }
    }
}

/// Adds a share of one row to another.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi2",
    "x86_64+avx2+bmi2",
    "aarch64+neon"
))]
fn add(row: &mut [f32], source: &[f32], share: f32) {
    for (sum, value) in row.iter_mut().zip(source) {
        *sum += share * value;
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
        fn shares_looked_up_are_those_reckoned_pixel_by_pixel(width in 2usize..30, height in 2usize..30, w in 1usize..30, h in 1usize..30) {
            let (to, from) = ((w.min(width), h.min(height)), (width, height));
            let image: Vec<f32> = (0..width * height).map(|i| (i * 37 % 97) as f32 / 7.0).collect();
            let mut reduced = vec![0.0; to.0 * to.1];
            Reducer::default().reduce(&image, from, &mut reduced, to);
            for (at, &pixel) in reduced.iter().enumerate() {
                let mut expected = 0f32;
                each_under(at % to.0, from.0 as f32 / to.0 as f32, from.0, |x, across| {
                    let mut sum = 0f32;
                    each_under(at / to.0, from.1 as f32 / to.1 as f32, from.1, |y, down| sum += down * image[y * from.0 + x]);
                    expected += across * sum;
                });
                prop_assert_eq!(pixel.to_bits(), expected.to_bits());
            }
        }

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
