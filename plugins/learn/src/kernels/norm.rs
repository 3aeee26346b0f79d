//! Batch normalisation (Ioffe & Szegedy 2015) followed by ReLU, in one pass each.
//!
//! Rows that are no pixels are neither read nor counted, and hold zeros in every result.

use multiversion::multiversion;

use super::grid::Grid;

/// Added to the variance before its root, as everywhere.
pub const EPSILON: f32 = 1e-5;

/// Mean and variance of each channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances (of the batch: divided by the number of pixels).
    pub variance: Vec<f32>,
}

impl Moments {
    /// Moves towards others by a `part` of the difference: with 1 / n for the n-th, to the mean of all.
    pub fn approach(&mut self, others: &Self, part: f32) {
        let pairs = [(&mut self.mean, &others.mean), (&mut self.variance, &others.variance)];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += part * (theirs - *mine));
        }
    }
}

/// What a batch's pixels have on average. Sums run over a face in f32, over the faces in f64.
pub fn moments(x: &[f32], grid: Grid, channels: usize) -> Moments {
    let mut total = vec![0.0f64; channels];
    let mut squares = vec![0.0f64; channels];
    let mut sums = vec![0.0f32; 2 * channels];
    for face in 0..grid.faces {
        sums.fill(0.0);
        let (sum, square) = sums.split_at_mut(channels);
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            add_moments(&x[row..row + grid.width * channels], sum, square);
        }
        for (total, sum) in total.iter_mut().zip(sum) {
            *total += f64::from(*sum);
        }
        for (total, sum) in squares.iter_mut().zip(square) {
            *total += f64::from(*sum);
        }
    }
    let pixels = grid.pixels() as f64;
    let mean: Vec<f64> = total.iter().map(|total| total / pixels).collect();
    let variance =
        squares.iter().zip(&mean).map(|(square, mean)| (square / pixels - mean * mean).max(0.0) as f32);
    Moments { variance: variance.collect(), mean: mean.iter().map(|mean| *mean as f32).collect() }
}

/// The factor and the summand that normalise a channel and apply `gain` and `bias`.
pub fn affine(moments: &Moments, gain: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = gain
        .iter()
        .zip(&moments.variance)
        .map(|(gain, variance)| gain / (variance + EPSILON).sqrt())
        .collect();
    let shift =
        bias.iter().zip(&scale).zip(&moments.mean).map(|((bias, scale), mean)| bias - scale * mean).collect();
    (scale, shift)
}

/// `max(0, x * scale + shift)`.
pub fn forward(x: &[f32], scale: &[f32], shift: &[f32], grid: Grid) -> Vec<f32> {
    let channels = scale.len();
    let mut out = vec![0.0; x.len()];
    for face in 0..grid.faces {
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            let line = row..row + grid.width * channels;
            apply(&x[line.clone()], scale, shift, &mut out[line]);
        }
    }
    out
}

/// Gradients of `x`, gain and bias, from that of the result.
pub fn backward(
    x: &[f32],
    gradient: &[f32],
    moments: &Moments,
    gain: &[f32],
    bias: &[f32],
    grid: Grid,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let channels = gain.len();
    let (scale, shift) = affine(moments, gain, bias);
    // Sums of the gradient where the ReLU was open, and of the same times x.
    let mut plain = vec![0.0f64; channels];
    let mut weighted = vec![0.0f64; channels];
    let mut sums = vec![0.0f32; 2 * channels];
    for face in 0..grid.faces {
        sums.fill(0.0);
        let (sum, product) = sums.split_at_mut(channels);
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            let line = row..row + grid.width * channels;
            add_gradients(&x[line.clone()], &gradient[line], &scale, &shift, sum, product);
        }
        for (total, sum) in plain.iter_mut().zip(sum) {
            *total += f64::from(*sum);
        }
        for (total, sum) in weighted.iter_mut().zip(product) {
            *total += f64::from(*sum);
        }
    }
    let pixels = grid.pixels() as f64;
    let mut gain_gradient = vec![0.0; channels];
    let mut bias_gradient = vec![0.0; channels];
    // dx = scale * g + slope * x + level, where the last two take away what mean and variance did.
    let mut slope = vec![0.0; channels];
    let mut level = vec![0.0; channels];
    for channel in 0..channels {
        let mean = f64::from(moments.mean[channel]);
        let inverse = 1.0 / (f64::from(moments.variance[channel]) + f64::from(EPSILON)).sqrt();
        let about_mean = (weighted[channel] - mean * plain[channel]) * inverse;
        gain_gradient[channel] = about_mean as f32;
        bias_gradient[channel] = plain[channel] as f32;
        let scale = f64::from(scale[channel]);
        let slope_here = -scale * about_mean * inverse / pixels;
        slope[channel] = slope_here as f32;
        level[channel] = (-scale * plain[channel] / pixels - slope_here * mean) as f32;
    }
    let mut out = vec![0.0; x.len()];
    for face in 0..grid.faces {
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            let line = row..row + grid.width * channels;
            spread(
                &x[line.clone()],
                &gradient[line.clone()],
                [&scale, &shift, &slope, &level],
                &mut out[line],
            );
        }
    }
    (out, gain_gradient, bias_gradient)
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_moments(x: &[f32], sum: &mut [f32], square: &mut [f32]) {
    let channels = sum.len();
    let square = &mut square[..channels];
    for x in x.chunks_exact(channels) {
        for channel in 0..channels {
            sum[channel] += x[channel];
            square[channel] += x[channel] * x[channel];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn apply(x: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    let channels = scale.len();
    let shift = &shift[..channels];
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        for channel in 0..channels {
            out[channel] = (x[channel] * scale[channel] + shift[channel]).max(0.0);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn add_gradients(
    x: &[f32],
    gradient: &[f32],
    scale: &[f32],
    shift: &[f32],
    sum: &mut [f32],
    product: &mut [f32],
) {
    let channels = scale.len();
    let (shift, sum, product) = (&shift[..channels], &mut sum[..channels], &mut product[..channels]);
    for (x, gradient) in x.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
        for channel in 0..channels {
            let open = x[channel] * scale[channel] + shift[channel] > 0.0;
            let gradient = if open { gradient[channel] } else { 0.0 };
            sum[channel] += gradient;
            product[channel] += gradient * x[channel];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn spread(x: &[f32], gradient: &[f32], [scale, shift, slope, level]: [&[f32]; 4], out: &mut [f32]) {
    let channels = scale.len();
    let (shift, slope, level) = (&shift[..channels], &slope[..channels], &level[..channels]);
    let rows =
        x.chunks_exact(channels).zip(gradient.chunks_exact(channels)).zip(out.chunks_exact_mut(channels));
    for ((x, gradient), out) in rows {
        for channel in 0..channels {
            let open = x[channel] * scale[channel] + shift[channel] > 0.0;
            let gradient = if open { gradient[channel] } else { 0.0 };
            out[channel] = scale[channel] * gradient + slope[channel] * x[channel] + level[channel];
        }
    }
}
