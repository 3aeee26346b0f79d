//! Kernels against plain loops and against differences.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::grid::Grid;
use super::{conv, mean, norm, pool, winograd};
use crate::random::Random;

const GRID: Grid = Grid { faces: 2, height: 5, width: 4 };

/// Random pixels, zeros elsewhere.
fn pixels(grid: Grid, channels: usize, random: &mut Random) -> Vec<f32> {
    let mut x = vec![0.0; grid.rows() * channels];
    for face in 0..grid.faces {
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            x[row..row + grid.width * channels].fill_with(|| random.normal());
        }
    }
    x
}

/// Zeros where no pixels are.
fn masked(x: &[f32], grid: Grid, channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    for face in 0..grid.faces {
        for y in 0..grid.height {
            let row = grid.row(face, y) * channels;
            out[row..row + grid.width * channels].copy_from_slice(&x[row..row + grid.width * channels]);
        }
    }
    out
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Compares `gradient` with central differences of `value` at a few places of `at`.
fn check(at: &[f32], gradient: &[f32], places: impl Iterator<Item = usize>, value: impl Fn(&[f32]) -> f64) {
    for place in places {
        let mut moved = at.to_vec();
        let step = 1e-3;
        moved[place] = at[place] + step;
        let above = value(&moved);
        moved[place] = at[place] - step;
        let below = value(&moved);
        let expected = (above - below) / (2.0 * f64::from(step));
        let found = f64::from(gradient[place]);
        assert!((found - expected).abs() < 0.02 * (1.0 + expected.abs()), "{place}: {found} but {expected}");
    }
}

#[test]
fn a_convolution_is_that_of_plain_loops() {
    let mut random = Random::new(&[1]);
    let (inputs, outputs) = (3, 5);
    let x = pixels(GRID, inputs, &mut random);
    let weights: Vec<f32> = (0..9 * inputs * outputs).map(|_| random.normal()).collect();
    let out = conv::forward(&x, &weights, GRID, inputs, outputs);
    let at = |face: usize, y: isize, x_at: isize, input: usize| {
        let inside = (0..GRID.height as isize).contains(&y) && (0..GRID.width as isize).contains(&x_at);
        if inside { x[(GRID.row(face, y as usize) + x_at as usize) * inputs + input] } else { 0.0 }
    };
    for face in 0..GRID.faces {
        for y in 0..GRID.height {
            for x in 0..GRID.width {
                for output in 0..outputs {
                    let mut sum = 0.0;
                    for tap in 0..9 {
                        for input in 0..inputs {
                            let (y, x) = (y as isize + tap / 3 - 1, x as isize + tap % 3 - 1);
                            sum += at(face, y, x, input)
                                * weights[(tap as usize * inputs + input) * outputs + output];
                        }
                    }
                    let found = out[(GRID.row(face, y) + x) * outputs + output];
                    assert!((found - sum).abs() < 1e-4, "{found} but {sum}");
                }
            }
        }
    }
}

#[test]
fn gradients_of_a_convolution_are_its_slopes() {
    let mut random = Random::new(&[2]);
    let (inputs, outputs) = (3, 4);
    let x = pixels(GRID, inputs, &mut random);
    let weights: Vec<f32> = (0..9 * inputs * outputs).map(|_| random.normal()).collect();
    let gradient = pixels(GRID, outputs, &mut random);
    let value =
        |x: &[f32], weights: &[f32]| dot(&conv::forward(x, weights, GRID, inputs, outputs), &gradient);
    let of_weights = conv::weights_backward(&x, &gradient, GRID, inputs, outputs);
    check(&weights, &of_weights, 0..weights.len(), |weights| value(&x, weights));
    let of_x = conv::input_backward(&gradient, &weights, GRID, inputs, outputs);
    let row = GRID.row(1, 2) * inputs;
    check(&x, &of_x, row..row + GRID.width * inputs, |x| value(x, &weights));
}

/// The greatest difference, as a part of the greatest value.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let most = b.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / most
}

#[test]
fn fewer_products_make_the_same_convolution() {
    let mut random = Random::new(&[5]);
    // Tiles that maps do and do not divide, and more of them than are computed at a time.
    for (faces, height, width) in [(1, 3, 6), (15, 5, 4), (2, 1, 2), (3, 22, 22)] {
        let grid = Grid { faces, height, width };
        for (inputs, outputs) in [(16, 48), (64, 32)] {
            assert!(winograd::fits(inputs, outputs));
            let x = pixels(grid, inputs, &mut random);
            let weights: Vec<f32> = (0..9 * inputs * outputs).map(|_| random.normal()).collect();
            let found = winograd::forward(&x, &weights, grid, inputs, outputs);
            let expected =
                masked(&conv::forward_by_lines(&x, &weights, grid, inputs, outputs), grid, outputs);
            assert_eq!(found, masked(&found, grid, outputs), "nothing where no pixels are");
            assert!(apart(&found, &expected) < 1e-5, "{grid:?}: {}", apart(&found, &expected));
            let gradient = pixels(grid, outputs, &mut random);
            let found = winograd::weights_backward(&x, &gradient, grid, inputs, outputs);
            let expected = conv::weights_backward_by_lines(&x, &gradient, grid, inputs, outputs);
            assert!(apart(&found, &expected) < 1e-5, "{grid:?}: {}", apart(&found, &expected));
        }
    }
}

#[test]
fn gradients_of_normalisation_are_its_slopes() {
    let mut random = Random::new(&[33]); // No pixel lies within a step of the ReLU's corner.
    let channels = 3;
    let x = pixels(GRID, channels, &mut random);
    let gain = vec![1.5, 0.7, -1.0];
    let bias = vec![0.1, -0.2, 0.4];
    let gradient = pixels(GRID, channels, &mut random);
    let value = |x: &[f32], gain: &[f32], bias: &[f32]| {
        let moments = norm::moments(x, GRID, channels);
        let (scale, shift) = norm::affine(&moments, gain, bias);
        dot(&norm::forward(x, &scale, &shift, GRID), &gradient)
    };
    let moments = norm::moments(&x, GRID, channels);
    let (of_x, of_gain, of_bias) = norm::backward(&x, &gradient, &moments, &gain, &bias, GRID);
    check(&gain, &of_gain, 0..channels, |gain| value(&x, gain, &bias));
    check(&bias, &of_bias, 0..channels, |bias| value(&x, &gain, bias));
    let row = GRID.row(0, 1) * channels;
    check(&x, &of_x, row..row + GRID.width * channels, |x| value(x, &gain, &bias));
    assert_eq!(of_x, masked(&of_x, GRID, channels), "no gradient where no pixels are");
}

#[test]
fn a_maximum_gives_its_gradient_back() {
    let mut random = Random::new(&[4]);
    let channels = 2;
    let x = pixels(GRID, channels, &mut random);
    let half = GRID.halved();
    let gradient = pixels(half, channels, &mut random);
    let back = pool::backward(&x, &gradient, GRID, channels);
    let row = GRID.row(1, 0) * channels;
    let value = |x: &[f32]| dot(&pool::forward(x, GRID, channels), &gradient);
    check(&x, &back, row..row + GRID.width * channels, value);
    assert!((back.iter().sum::<f32>() - gradient.iter().sum::<f32>()).abs() < 1e-4);
}

#[test]
fn a_mean_gives_its_gradient_back() {
    let mut random = Random::new(&[6]);
    let channels = 3;
    let x = pixels(GRID, channels, &mut random);
    let gradient: Vec<f32> = (0..GRID.faces * channels).map(|_| random.normal()).collect();
    let back = mean::backward(&gradient, GRID, channels);
    let row = GRID.row(1, 3) * channels;
    check(&x, &back, row..row + GRID.width * channels, |x| dot(&mean::forward(x, GRID, channels), &gradient));
    assert_eq!(back, masked(&back, GRID, channels), "no gradient where no pixels are");
}
