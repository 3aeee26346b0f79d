//! Convolution and transposed convolution of maps, and their gradients.
//!
//! Maps are (maps, channels, height, width); weights (outputs, inputs, kernel, kernel), those of a transposed
//! convolution (inputs, outputs, kernel, kernel), as in PyTorch and ONNX.

use super::super::product::{View, multiply};
use super::window::{Size, Window, fold, unfold};

/// What `weights` make of `x`, map by map.
pub fn forward(x: &[f32], weights: &[f32], size: Size, outputs: usize, window: Window) -> Vec<f32> {
    let (depth, places) = (window.depth(size.0), window.columns(size));
    let maps = x.len() / length(size);
    let mut columns = vec![0.0; depth * places];
    let mut out = vec![0.0; maps * outputs * places];
    for (x, out) in x.chunks_exact(length(size)).zip(out.chunks_exact_mut(outputs * places)) {
        unfold(x, size, window, &mut columns);
        multiply(out, (outputs, places, depth), rows(weights, depth), rows(&columns, places), false);
    }
    out
}

/// The gradient of the weights.
pub fn weights_backward(x: &[f32], gradient: &[f32], size: Size, outputs: usize, window: Window) -> Vec<f32> {
    let (depth, places) = (window.depth(size.0), window.columns(size));
    let mut columns = vec![0.0; depth * places];
    let mut out = vec![0.0; outputs * depth];
    let maps = x.chunks_exact(length(size)).zip(gradient.chunks_exact(outputs * places));
    for (map, (x, gradient)) in maps.enumerate() {
        unfold(x, size, window, &mut columns);
        multiply(
            &mut out,
            (outputs, depth, places),
            rows(gradient, places),
            turned(&columns, places),
            map > 0,
        );
    }
    out
}

/// The gradient of `x`, whose maps are of `size`. This is also the transposed convolution of `gradient`.
pub fn input_backward(
    gradient: &[f32],
    weights: &[f32],
    size: Size,
    outputs: usize,
    window: Window,
) -> Vec<f32> {
    let (depth, places) = (window.depth(size.0), window.columns(size));
    let maps = gradient.len() / (outputs * places);
    let mut columns = vec![0.0; depth * places];
    let mut out = vec![0.0; maps * length(size)];
    for (gradient, out) in gradient.chunks_exact(outputs * places).zip(out.chunks_exact_mut(length(size))) {
        multiply(
            &mut columns,
            (depth, places, outputs),
            turned(weights, depth),
            rows(gradient, places),
            false,
        );
        fold(&columns, size, window, out);
    }
    out
}

const fn length((channels, height, width): Size) -> usize {
    channels * height * width
}

/// A matrix that lies row by row.
const fn rows(data: &[f32], columns: usize) -> View<'_> {
    View { data, start: 0, row_stride: columns, column_stride: 1 }
}

/// The transpose of one that lies row by row with `columns`.
const fn turned(data: &[f32], columns: usize) -> View<'_> {
    View { data, start: 0, row_stride: 1, column_stride: columns }
}
