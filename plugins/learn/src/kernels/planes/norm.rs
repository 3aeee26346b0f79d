//! Normalisation over the pixels of maps, followed by a leaky ReLU, in one pass each.
//!
//! Over all maps of a batch (batch normalisation, Ioffe & Szegedy 2015) or over each for itself (instance
//! normalisation, Ulyanov, Vedaldi & Lempitsky 2016). A plane is one channel of one map.

use multiversion::multiversion;

use super::super::norm::{EPSILON, Moments};

/// What is normalised together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A channel over all maps of the batch.
    Batch,
    /// A channel of one map.
    Instance,
}

/// How a batch of maps lies: channels of `area` pixels, map after map.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    /// Channels in a map.
    pub channels: usize,
    /// Pixels in a plane.
    pub area: usize,
    /// What is normalised together.
    pub over: Over,
}

impl Planes {
    /// Whose mean and variance the plane takes.
    const fn group(self, plane: usize) -> usize {
        match self.over {
            Over::Batch => plane % self.channels,
            Over::Instance => plane,
        }
    }

    /// How many of them there are in `numbers`.
    const fn groups(self, numbers: usize) -> usize {
        match self.over {
            Over::Batch => self.channels,
            Over::Instance => numbers / self.area,
        }
    }

    /// Pixels in each.
    const fn pixels(self, numbers: usize) -> f64 {
        (numbers / self.groups(numbers)) as f64
    }
}

/// Mean and variance of each group: of each channel, or of each plane.
pub fn moments(x: &[f32], planes: Planes) -> Moments {
    let groups = planes.groups(x.len());
    let pixels = planes.pixels(x.len());
    let mut mean = vec![0.0f64; groups];
    for (plane, x) in x.chunks_exact(planes.area).enumerate() {
        mean[planes.group(plane)] += f64::from(sum(x)) / pixels;
    }
    let mean: Vec<f32> = mean.into_iter().map(|mean| mean as f32).collect();
    let mut variance = vec![0.0f64; groups];
    for (plane, x) in x.chunks_exact(planes.area).enumerate() {
        let group = planes.group(plane);
        variance[group] += f64::from(squares(x, mean[group])) / pixels;
    }
    Moments { mean, variance: variance.into_iter().map(|variance| variance as f32).collect() }
}

/// The factor and the summand of each plane.
fn affine(
    moments: &Moments,
    gain: &[f32],
    bias: &[f32],
    planes: Planes,
    count: usize,
) -> impl Iterator<Item = (f32, f32)> {
    (0..count).map(move |plane| {
        let (group, channel) = (planes.group(plane), plane % planes.channels);
        let scale = gain[channel] / (moments.variance[group] + EPSILON).sqrt();
        (scale, bias[channel] - scale * moments.mean[group])
    })
}

/// `y = x * scale + shift`, where negative times `slope`.
pub fn forward(
    x: &[f32],
    moments: &Moments,
    gain: &[f32],
    bias: &[f32],
    planes: Planes,
    slope: f32,
) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let affine = affine(moments, gain, bias, planes, x.len() / planes.area);
    let lines = x.chunks_exact(planes.area).zip(out.chunks_exact_mut(planes.area));
    for ((x, out), (scale, shift)) in lines.zip(affine) {
        apply(x, scale, shift, slope, out);
    }
    out
}

/// Gradients of `x`, gain and bias, from that of the result. `fixed` moments were given and took no part in
/// the gradient.
pub fn backward(
    x: &[f32],
    gradient: &[f32],
    (moments, fixed): (&Moments, bool),
    gain: &[f32],
    bias: &[f32],
    planes: Planes,
    slope: f32,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let groups = planes.groups(x.len());
    let pixels = planes.pixels(x.len());
    let count = x.len() / planes.area;
    let affine: Vec<(f32, f32)> = affine(moments, gain, bias, planes, count).collect();
    let lines = || x.chunks_exact(planes.area).zip(gradient.chunks_exact(planes.area));
    // For each group: the sum of the gradient behind the ReLU, and of the same times what is normalised.
    let mut plain = vec![0.0f64; groups];
    let mut weighted = vec![0.0f64; groups];
    let (mut gain_gradient, mut bias_gradient) =
        (vec![0.0f64; planes.channels], vec![0.0f64; planes.channels]);
    for (plane, ((x, gradient), (scale, shift))) in lines().zip(&affine).enumerate() {
        let (group, channel) = (planes.group(plane), plane % planes.channels);
        let inverse = 1.0 / (moments.variance[group] + EPSILON).sqrt();
        let (sum, product) = sums(x, gradient, *scale, *shift, slope, moments.mean[group]);
        let (sum, product) = (f64::from(sum), f64::from(product * inverse));
        plain[group] += sum;
        weighted[group] += product;
        bias_gradient[channel] += sum;
        gain_gradient[channel] += product;
    }
    let mut out = vec![0.0; x.len()];
    for (plane, (((x, gradient), (scale, shift)), out)) in
        lines().zip(&affine).zip(out.chunks_exact_mut(planes.area)).enumerate()
    {
        let group = planes.group(plane);
        // dx = scale * (g - mean(g) - normalised * mean(g * normalised))
        let (tilt, level) = if fixed {
            (0.0, 0.0)
        } else {
            let inverse = 1.0 / (moments.variance[group] + EPSILON).sqrt();
            let tilt = -scale * (weighted[group] / pixels) as f32 * inverse;
            (tilt, -scale * (plain[group] / pixels) as f32 - tilt * moments.mean[group])
        };
        spread(x, gradient, [*scale, *shift, slope, tilt, level], out);
    }
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    (out, single(gain_gradient), single(bias_gradient))
}

/// Sums are kept in this many lanes, which are as many as the widest registers take.
const LANES: usize = 16;

/// The sum over `map` of each number, in a fixed order on every machine.
macro_rules! lanes {
    ($x:expr, $map:expr) => {{
        let (chunks, rest) = $x.as_chunks::<LANES>();
        let mut lanes = [0.0f32; LANES];
        for chunk in chunks {
            for lane in 0..LANES {
                lanes[lane] += $map(chunk[lane]);
            }
        }
        lanes.iter().sum::<f32>() + rest.iter().map(|x| $map(*x)).sum::<f32>()
    }};
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn sum(x: &[f32]) -> f32 {
    lanes!(x, |x: f32| x)
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn squares(x: &[f32], mean: f32) -> f32 {
    lanes!(x, |x: f32| (x - mean) * (x - mean))
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn apply(x: &[f32], scale: f32, shift: f32, slope: f32, out: &mut [f32]) {
    for (x, out) in x.iter().zip(out) {
        let y = x * scale + shift;
        *out = if y > 0.0 { y } else { slope * y };
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn sums(x: &[f32], gradient: &[f32], scale: f32, shift: f32, slope: f32, mean: f32) -> (f32, f32) {
    let (mut plain, mut weighted) = ([0.0f32; LANES], [0.0f32; LANES]);
    let behind = |x: f32, gradient: f32| gradient * if x * scale + shift > 0.0 { 1.0 } else { slope };
    let ((chunks, rest), (gradients, last)) = (x.as_chunks::<LANES>(), gradient.as_chunks::<LANES>());
    for (x, gradient) in chunks.iter().zip(gradients) {
        for lane in 0..LANES {
            let gradient = behind(x[lane], gradient[lane]);
            plain[lane] += gradient;
            weighted[lane] += gradient * (x[lane] - mean);
        }
    }
    for (lane, (x, gradient)) in rest.iter().zip(last).enumerate() {
        let gradient = behind(*x, *gradient);
        plain[lane] += gradient;
        weighted[lane] += gradient * (x - mean);
    }
    (plain.iter().sum(), weighted.iter().sum())
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn spread(x: &[f32], gradient: &[f32], [scale, shift, slope, tilt, level]: [f32; 5], out: &mut [f32]) {
    for ((x, gradient), out) in x.iter().zip(gradient).zip(out) {
        let open = if x * scale + shift > 0.0 { scale } else { scale * slope };
        *out = open * gradient + tilt * x + level;
    }
}
