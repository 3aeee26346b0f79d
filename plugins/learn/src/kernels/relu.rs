//! A bias on each channel, then ReLU.

use super::grid::Grid;
use super::norm;

/// What becomes of `x`; rows that are no pixels become zeros.
pub fn forward(x: &[f32], bias: &[f32], grid: Grid) -> Vec<f32> {
    norm::forward(x, &vec![1.0; bias.len()], bias, grid)
}

/// Makes the gradient of the result `y` that of what was given, with zeros in rows that are no pixels, and
/// answers the bias's.
pub fn backward(y: &[f32], gradient: &mut [f32], channels: usize) -> Vec<f32> {
    let mut total = vec![0.0f64; channels];
    let rows = y.chunks_exact(channels).zip(gradient.chunks_exact_mut(channels));
    for (y, gradient) in rows {
        for ((gradient, y), total) in gradient.iter_mut().zip(y).zip(&mut total) {
            // Rows that are no pixels are zeros in `y`.
            if *y > 0.0 {
                *total += f64::from(*gradient);
            } else {
                *gradient = 0.0;
            }
        }
    }
    total.into_iter().map(|sum| sum as f32).collect()
}
