//! The greatest of each 2x2 pixels; an odd last line or column is left out.

use multiversion::multiversion;

use super::grid::Grid;

/// What remains of `x`, in the layout of `grid.halved()`, with zeros where no pixels are.
pub fn forward(x: &[f32], grid: Grid, channels: usize) -> Vec<f32> {
    let half = grid.halved();
    let mut out = vec![0.0; half.rows() * channels];
    for face in 0..grid.faces {
        for y in 0..half.height {
            let upper = grid.row(face, 2 * y) * channels;
            let lower = grid.row(face, 2 * y + 1) * channels;
            let length = 2 * half.width * channels;
            let row = half.row(face, y) * channels;
            greatest(
                &x[upper..upper + length],
                &x[lower..lower + length],
                channels,
                &mut out[row..row + half.width * channels],
            );
        }
    }
    out
}

/// The gradient of `x`: that of the result goes to the pixel it came from, the first of equals.
pub fn backward(x: &[f32], gradient: &[f32], grid: Grid, channels: usize) -> Vec<f32> {
    let half = grid.halved();
    let mut out = vec![0.0; grid.rows() * channels];
    for face in 0..grid.faces {
        for y in 0..half.height {
            let upper = grid.row(face, 2 * y) * channels;
            let lower = grid.row(face, 2 * y + 1) * channels;
            let length = 2 * half.width * channels;
            let row = half.row(face, y) * channels;
            let (before, after) = out.split_at_mut(lower);
            give_back(
                [&x[upper..upper + length], &x[lower..lower + length]],
                &gradient[row..row + half.width * channels],
                channels,
                [&mut before[upper..upper + length], &mut after[..length]],
            );
        }
    }
    out
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn greatest(upper: &[f32], lower: &[f32], channels: usize, out: &mut [f32]) {
    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    for ((upper, lower), out) in pairs.zip(out.chunks_exact_mut(channels)) {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        let (b, c, d) = (&b[..channels], &c[..channels], &d[..channels]);
        for channel in 0..channels {
            out[channel] = a[channel].max(b[channel]).max(c[channel].max(d[channel]));
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn give_back(
    [upper, lower]: [&[f32]; 2],
    gradient: &[f32],
    channels: usize,
    [out_upper, out_lower]: [&mut [f32]; 2],
) {
    let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    let outs = out_upper.chunks_exact_mut(2 * channels).zip(out_lower.chunks_exact_mut(2 * channels));
    for (((upper, lower), (out_upper, out_lower)), gradient) in
        pairs.zip(outs).zip(gradient.chunks_exact(channels))
    {
        let (a, b) = upper.split_at(channels);
        let (c, d) = lower.split_at(channels);
        let (out_a, out_b) = out_upper.split_at_mut(channels);
        let (out_c, out_d) = out_lower.split_at_mut(channels);
        let (b, c, d) = (&b[..channels], &c[..channels], &d[..channels]);
        let (out_b, out_c, out_d) = (&mut out_b[..channels], &mut out_c[..channels], &mut out_d[..channels]);
        for channel in 0..channels {
            let (a, b, c, d) = (a[channel], b[channel], c[channel], d[channel]);
            let greatest = a.max(b).max(c.max(d));
            let g = gradient[channel];
            let is_a = a == greatest;
            let is_b = b == greatest && !is_a;
            let is_c = c == greatest && !is_a && !is_b;
            out_a[channel] = if is_a { g } else { 0.0 };
            out_b[channel] = if is_b { g } else { 0.0 };
            out_c[channel] = if is_c { g } else { 0.0 };
            out_d[channel] = if is_a || is_b || is_c { 0.0 } else { g };
        }
    }
}
