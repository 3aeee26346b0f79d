//! 3x3 convolution with a border of zeros, over a batch that lies as `Grid` says.
//!
//! Weights are a matrix of `9 * inputs` x `outputs`; its row is `(line * 3 + column) * inputs + input`.

use super::grid::Grid;
use super::product::{View, multiply};
use super::winograd;

/// What `weights` make of `x`. The rows that are no pixels hold numbers without meaning.
pub fn forward(x: &[f32], weights: &[f32], grid: Grid, inputs: usize, outputs: usize) -> Vec<f32> {
    match winograd::fits(inputs, outputs) {
        true => winograd::forward(x, weights, grid, inputs, outputs),
        false => forward_by_lines(x, weights, grid, inputs, outputs),
    }
}

/// The same by products with the lines of the kernel.
pub(super) fn forward_by_lines(
    x: &[f32],
    weights: &[f32],
    grid: Grid,
    inputs: usize,
    outputs: usize,
) -> Vec<f32> {
    let mut out = vec![0.0; grid.rows() * outputs];
    let margin = grid.margin() * outputs;
    let body = grid.body() * outputs;
    for line in 0..3 {
        multiply(
            &mut out[margin..margin + body],
            (grid.body(), outputs, 3 * inputs),
            neighbours(x, grid, inputs, line),
            View { data: weights, start: line * 3 * inputs * outputs, row_stride: outputs, column_stride: 1 },
            line > 0,
        );
    }
    out
}

/// The gradient of the weights. `gradient` is that of the output, with zeros in all rows that are no pixels.
pub fn weights_backward(x: &[f32], gradient: &[f32], grid: Grid, inputs: usize, outputs: usize) -> Vec<f32> {
    match winograd::fits(inputs, outputs) {
        true => winograd::weights_backward(x, gradient, grid, inputs, outputs),
        false => weights_backward_by_lines(x, gradient, grid, inputs, outputs),
    }
}

/// The same by products with the lines of the kernel.
pub(super) fn weights_backward_by_lines(
    x: &[f32],
    gradient: &[f32],
    grid: Grid,
    inputs: usize,
    outputs: usize,
) -> Vec<f32> {
    let mut out = vec![0.0; 9 * inputs * outputs];
    for (line, out) in out.chunks_exact_mut(3 * inputs * outputs).enumerate() {
        let a = neighbours(x, grid, inputs, line);
        multiply(
            out,
            (3 * inputs, outputs, grid.body()),
            View { row_stride: a.column_stride, column_stride: a.row_stride, ..a },
            View { data: gradient, start: grid.margin() * outputs, row_stride: outputs, column_stride: 1 },
            false,
        );
    }
    out
}

/// The gradient of `x`: the convolution of `gradient` (zeros in all rows that are no pixels) with the weights
/// turned round.
pub fn input_backward(
    gradient: &[f32],
    weights: &[f32],
    grid: Grid,
    inputs: usize,
    outputs: usize,
) -> Vec<f32> {
    let mut turned = vec![0.0; weights.len()];
    for tap in 0..9 {
        for output in 0..outputs {
            for input in 0..inputs {
                turned[((8 - tap) * outputs + output) * inputs + input] =
                    weights[(tap * inputs + input) * outputs + output];
            }
        }
    }
    forward(gradient, &turned, grid, outputs, inputs)
}

/// For each row of the batch's body, the three pixels of one line of the kernel that lies over it.
fn neighbours(x: &[f32], grid: Grid, channels: usize, line: usize) -> View<'_> {
    // `margin` is one line and one pixel: the way to the kernel's first pixel.
    View { data: x, start: line * grid.line() * channels, row_stride: channels, column_stride: 1 }
}
