//! The convolutions of `conv` with 25 products for nine pixels instead of 81 (Winograd's F(3x3, 3x3); Lavin &
//! Gray 2016).
//!
//! Maps are cut into tiles of 3x3 pixels. What a tile sees (5x5 pixels) and the kernel are taken to 25 points
//! each, where a convolution is a product; products are summed over all inputs before they are taken back. At
//! each point this is a product of matrices, of tiles x inputs and inputs x outputs. The gradient of the
//! kernels is the same with matrices turned.
//!
//! Results are as exact as those of `conv` but for a few units of the last digit. Tiles of 4x4 would need a
//! tenth fewer products in the shipped network (5x5 pixels are not divided by them) and lose a digit; tiles
//! of 2x2 need four tenths more.

mod points;
mod tiles;

use super::grid::Grid;
use super::product::{View, multiply};
use points::{MadeTurned, POINTS, Pixels};
use tiles::{Chunk, Tiles, collect_kernels, spread_kernels};

/// Whether channels fill vectors. With fewer, there are few products anyway.
pub const fn fits(inputs: usize, outputs: usize) -> bool {
    inputs.is_multiple_of(16) && outputs.is_multiple_of(16)
}

/// As `conv::forward`; rows that are no pixels are zeros.
pub fn forward(x: &[f32], weights: &[f32], grid: Grid, inputs: usize, outputs: usize) -> Vec<f32> {
    let kernels = spread_kernels(weights, inputs * outputs);
    let mut out = vec![0.0; grid.rows() * outputs];
    let (mut seen, mut made) = (Chunk::new(inputs), Chunk::new(outputs));
    for tiles in Tiles::of(grid) {
        seen.spread::<Pixels, _>(x, tiles, 1);
        for point in 0..POINTS {
            let kernels = View {
                data: &kernels,
                start: point * inputs * outputs,
                row_stride: outputs,
                column_stride: 1,
            };
            multiply(
                made.matrix(point, tiles.count),
                (tiles.count, outputs, inputs),
                seen.view(point),
                kernels,
                false,
            );
        }
        made.collect(tiles, &mut out);
    }
    out
}

/// As `conv::weights_backward`.
pub fn weights_backward(x: &[f32], gradient: &[f32], grid: Grid, inputs: usize, outputs: usize) -> Vec<f32> {
    let mut kernels = vec![0.0; POINTS * inputs * outputs];
    let (mut seen, mut wanted) = (Chunk::new(inputs), Chunk::new(outputs));
    for tiles in Tiles::of(grid) {
        seen.spread::<Pixels, _>(x, tiles, 1);
        wanted.spread::<MadeTurned, _>(gradient, tiles, 0);
        for (point, kernels) in kernels.chunks_exact_mut(inputs * outputs).enumerate() {
            let seen = seen.view(point);
            let seen = View { row_stride: seen.column_stride, column_stride: seen.row_stride, ..seen };
            multiply(kernels, (inputs, outputs, tiles.count), seen, wanted.view(point), tiles.first > 0);
        }
    }
    collect_kernels(&kernels, inputs * outputs)
}
