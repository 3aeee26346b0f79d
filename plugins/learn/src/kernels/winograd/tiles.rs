//! Tiles of maps, and matrices of them at the points.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::super::grid::Grid;
use super::super::product::View;
use super::points::{Along, IN, Kernel, KernelTurned, Made, OUT, POINTS, Square, twice};

/// Tiles that are at the points at a time: few enough to stay in the caches, and enough to be worth the way
/// of the kernels through them. Steps take 2 to 5 % longer with twice as many.
const CHUNK: usize = 48;

/// Some tiles of a batch in a row.
#[derive(Clone, Copy)]
pub struct Tiles {
    grid: Grid,
    /// The first.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Tiles {
    /// All of a batch, in chunks.
    pub fn of(grid: Grid) -> impl Iterator<Item = Self> {
        let all = grid.faces * grid.height.div_ceil(OUT) * grid.width.div_ceil(OUT);
        (0..all).step_by(CHUNK).map(move |first| Self { grid, first, count: CHUNK.min(all - first) })
    }

    fn each(self) -> impl Iterator<Item = Tile> {
        let (down, across) = (self.grid.height.div_ceil(OUT), self.grid.width.div_ceil(OUT));
        (self.first..self.first + self.count).map(move |tile| {
            let (y, x) = (tile / across % down * OUT, tile % across * OUT);
            Tile {
                row: self.grid.row(tile / across / down, y) + x,
                lines: self.grid.height - y,
                columns: self.grid.width - x,
            }
        })
    }
}

/// Where a tile lies.
struct Tile {
    /// The row of its first pixel.
    row: usize,
    /// Lines from there to the end of the map, and pixels to the end of the line.
    lines: usize,
    columns: usize,
}

/// A chunk of tiles at the points: for each, a matrix of tiles x channels.
pub struct Chunk {
    values: Vec<f32>,
    channels: usize,
}

impl Chunk {
    /// Nothing yet.
    pub fn new(channels: usize) -> Self {
        Self { values: vec![0.0; POINTS * stride(channels)], channels }
    }

    /// The matrix at a point.
    pub fn view(&self, point: usize) -> View<'_> {
        View {
            data: &self.values,
            start: point * stride(self.channels),
            row_stride: self.channels,
            column_stride: 1,
        }
    }

    /// That of so many tiles, to be written.
    pub fn matrix(&mut self, point: usize, tiles: usize) -> &mut [f32] {
        &mut self.values[point * stride(self.channels)..][..tiles * self.channels]
    }

    /// What `T` makes of each tile's pixels and those around it, as far as `border`.
    pub fn spread<T: Along<SIDE, IN>, const SIDE: usize>(&mut self, x: &[f32], tiles: Tiles, border: usize) {
        let Self { values, channels } = self;
        Arch::new().dispatch(Spread::<T, SIDE> {
            x,
            tiles,
            channels: *channels,
            border,
            out: values,
            transform: PhantomData,
        });
    }

    /// Writes what they have made into the maps.
    pub fn collect(&self, tiles: Tiles, out: &mut [f32]) {
        Arch::new().dispatch(Collect { made: &self.values, tiles, channels: self.channels, out });
    }
}

/// From one point to the next. Not a power of two, so that a tile's points do not all want the same places in
/// the caches.
const fn stride(channels: usize) -> usize {
    CHUNK * channels + 16
}

struct Spread<'a, T, const SIDE: usize> {
    x: &'a [f32],
    tiles: Tiles,
    channels: usize,
    border: usize,
    out: &'a mut [f32],
    transform: PhantomData<T>,
}

impl<T: Along<SIDE, IN>, const SIDE: usize> WithSimd for Spread<'_, T, SIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, _) = S::as_simd_f32s(self.x);
        let (out, _) = S::as_mut_simd_f32s(self.out);
        let (channels, stride) = (self.channels / S::F32_LANES, stride(self.channels) / S::F32_LANES);
        let line = self.tiles.grid.line() * channels;
        for (index, tile) in self.tiles.each().enumerate() {
            let (lines, columns) = (tile.lines + 2 * self.border, tile.columns + 2 * self.border);
            let corner = tile.row * channels - self.border * (line + channels);
            for channel in 0..channels {
                let mut square = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                for (y, square) in square.iter_mut().enumerate() {
                    for (at, value) in square.iter_mut().enumerate() {
                        // What is further away is another line's or another map's.
                        if y < lines && at < columns {
                            *value = x[corner + y * line + at * channels + channel];
                        }
                    }
                }
                let square: Square<S, IN> = twice::<T, S, SIDE, IN>(simd, &square);
                let first = index * channels + channel;
                for (point, value) in square.as_flattened().iter().enumerate() {
                    out[first + point * stride] = *value;
                }
            }
        }
    }
}

struct Collect<'a> {
    made: &'a [f32],
    tiles: Tiles,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (made, _) = S::as_simd_f32s(self.made);
        let (out, _) = S::as_mut_simd_f32s(self.out);
        let (channels, stride) = (self.channels / S::F32_LANES, stride(self.channels) / S::F32_LANES);
        let line = self.tiles.grid.line() * channels;
        for (index, tile) in self.tiles.each().enumerate() {
            for channel in 0..channels {
                let mut square = [[simd.splat_f32s(0.0); IN]; IN];
                for (point, value) in square.as_flattened_mut().iter_mut().enumerate() {
                    *value = made[index * channels + channel + point * stride];
                }
                let square: Square<S, OUT> = twice::<Made, S, IN, OUT>(simd, &square);
                for (y, square) in square.iter().enumerate() {
                    for (at, value) in square.iter().enumerate() {
                        if y < tile.lines && at < tile.columns {
                            out[tile.row * channels + y * line + at * channels + channel] = *value;
                        }
                    }
                }
            }
        }
    }
}

/// Kernels at the points: for each, a matrix of `count` numbers as `weights` has for each tap.
pub fn spread_kernels(weights: &[f32], count: usize) -> Vec<f32> {
    let mut out = vec![0.0; POINTS * count];
    Arch::new().dispatch(Planes::<Kernel, 3, IN> {
        from: weights,
        to: &mut out,
        count,
        transform: PhantomData,
    });
    out
}

/// The opposite for their gradients.
pub fn collect_kernels(kernels: &[f32], count: usize) -> Vec<f32> {
    let mut out = vec![0.0; 9 * count];
    let planes = Planes::<KernelTurned, IN, 3> { from: kernels, to: &mut out, count, transform: PhantomData };
    Arch::new().dispatch(planes);
    out
}

/// Squares whose elements lie `count` apart.
struct Planes<'a, T, const FROM: usize, const TO: usize> {
    from: &'a [f32],
    to: &'a mut [f32],
    count: usize,
    transform: PhantomData<T>,
}

impl<T: Along<FROM, TO>, const FROM: usize, const TO: usize> WithSimd for Planes<'_, T, FROM, TO> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (from, _) = S::as_simd_f32s(self.from);
        let (to, _) = S::as_mut_simd_f32s(self.to);
        let count = self.count / S::F32_LANES;
        for at in 0..count {
            let mut square = [[simd.splat_f32s(0.0); FROM]; FROM];
            for (plane, value) in square.as_flattened_mut().iter_mut().enumerate() {
                *value = from[plane * count + at];
            }
            let square: Square<S, TO> = twice::<T, S, FROM, TO>(simd, &square);
            for (plane, value) in square.as_flattened().iter().enumerate() {
                to[plane * count + at] = *value;
            }
        }
    }
}
