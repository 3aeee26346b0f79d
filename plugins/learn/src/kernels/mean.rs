//! The mean over the pixels of each map.

use super::grid::Grid;

/// Maps x channels.
pub fn forward(x: &[f32], grid: Grid, channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; grid.faces * channels];
    for (face, out) in out.chunks_exact_mut(channels).enumerate() {
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            for x in x[row..row + grid.width * channels].chunks_exact(channels) {
                out.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
            }
        }
        let pixels = (grid.height * grid.width) as f32;
        out.iter_mut().for_each(|sum| *sum /= pixels);
    }
    out
}

/// The gradient of `x`, with zeros where no pixels are.
pub fn backward(gradient: &[f32], grid: Grid, channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; grid.rows() * channels];
    let pixels = (grid.height * grid.width) as f32;
    for (face, gradient) in gradient.chunks_exact(channels).enumerate() {
        let share: Vec<f32> = gradient.iter().map(|gradient| gradient / pixels).collect();
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            for out in out[row..row + grid.width * channels].chunks_exact_mut(channels) {
                out.copy_from_slice(&share);
            }
        }
    }
    out
}
