//! Convolutions and their gradients: products, cut into tiles of a thread each, and into parts where those are few.

use ferroflow_cuda::{Argument, CudaError, Gpu};

use super::Pass;
use crate::cuda::network::Network;
use crate::cuda::plan::{Convolution, Weights};
use crate::cuda::{at, each, flag, from, n};

/// Rows and columns of a product that a thread computes.
const TILE: usize = 4;
/// Threads that a large device has at work: products are cut into as many. The networks of tests are cut into
/// some parts as well.
const THREADS: usize = if cfg!(test) { 1 << 9 } else { 1 << 17 };

/// A product: what becomes of the rows of each side.
struct Product<'a, M> {
    table: &'a M,
    taps: usize,
    share: usize,
    /// Pixels of a map, before and after.
    pixels: (usize, usize),
    channels: (usize, usize),
    weights: Argument<'a, M>,
}

impl<G: Gpu> Pass<G> {
    /// What a convolution makes of `x`, for maps of so many pixels before and after it.
    pub(super) fn convolve(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        convolution: &Convolution,
        ([sees, _], pixels): (&[G::Memory; 2], (usize, usize)),
        [x, out]: [&G::Memory; 2],
    ) -> Result<(), CudaError> {
        let Convolution { weights, forward, .. } = convolution;
        let product = Product {
            table: sees,
            taps: forward.taps,
            share: forward.share,
            pixels,
            channels: (weights.inputs, weights.outputs),
            weights: from(&network.weights, weights.at),
        };
        self.multiply(gpu, network, &product, [x, out], false)
    }

    /// The gradient of its `x`, on top of what is there if `more`.
    pub(super) fn convolve_back(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        convolution: &Convolution,
        ([_, seen_by], pixels): (&[G::Memory; 2], (usize, usize)),
        gradients: [&G::Memory; 2],
        more: bool,
    ) -> Result<(), CudaError> {
        let Convolution { weights, backward, .. } = convolution;
        let product = Product {
            table: seen_by,
            taps: backward.taps,
            share: backward.share,
            pixels: (pixels.1, pixels.0),
            channels: (weights.outputs, weights.inputs),
            weights: from(&network.turned, weights.at),
        };
        self.multiply(gpu, network, &product, gradients, more)
    }

    fn multiply(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        product: &Product<'_, G::Memory>,
        [x, out]: [&G::Memory; 2],
        more: bool,
    ) -> Result<(), CudaError> {
        let Product { table, taps, share, pixels, channels, weights } = product;
        let (sides, rows) = (self.batch.sides, self.batch.of_side() * pixels.1);
        let tiles = tiles(sides, rows, channels.1);
        let parts = (THREADS / tiles).clamp(1, *taps);
        let numbers = [sides, rows, pixels.0, pixels.1, channels.0, channels.1, *taps, *share, parts];
        let numbers = numbers.into_iter().chain([network.plan.len()]).map(n);
        let to = if parts == 1 { out } else { &self.parts };
        let memories = [flag(more && parts == 1), at(*table), at(x), *weights, at(to)];
        each(gpu, "convolve", parts * tiles, &numbers.chain(memories).collect::<Vec<_>>())?;
        if parts == 1 {
            return Ok(());
        }
        let count = sides * rows * channels.1;
        each(gpu, "add_up", count, &[n(count), n(count), n(parts), flag(more), at(&self.parts), at(out)])
    }

    /// The gradient of its weights, on top of what is there if `more`.
    pub(super) fn weigh(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        convolution: &Convolution,
        ([sees, _], pixels): (&[G::Memory; 2], (usize, usize)),
        [x, gradient]: [&G::Memory; 2],
        more: bool,
    ) -> Result<(), CudaError> {
        let weights = &convolution.weights;
        let (sides, rows) = (self.batch.sides, self.batch.of_side() * pixels.1);
        let tiles = tiles_of_weights(sides, weights);
        let chunk = rows.div_ceil((THREADS / tiles).clamp(1, rows.isqrt().max(1)));
        let parts = rows.div_ceil(chunk);
        let (count, stride) = (weights.count(), network.plan.len());
        let out = from(&network.gradient, weights.at);
        let (to, apart, on_top) =
            if parts == 1 { (out, stride, more) } else { (at(&self.parts), count, false) };
        let numbers = [sides, rows, pixels.0, pixels.1, weights.inputs, weights.outputs, weights.taps, chunk];
        let numbers = numbers.into_iter().chain([apart]).map(n);
        let rest = [flag(on_top), at(sees), at(x), at(gradient), to];
        each(gpu, "weigh", parts * tiles, &numbers.chain(rest).collect::<Vec<_>>())?;
        if parts == 1 {
            return Ok(());
        }
        let rest = [n(count), n(stride), n(parts), flag(more), at(&self.parts), out];
        each(gpu, "add_up", sides * count, &rest)
    }
}

/// Numbers at most in the parts of a convolution and its gradients, for so many rows of each side before and
/// after it.
pub(super) fn most_in_parts(sides: usize, weights: &Weights, rows: (usize, usize)) -> usize {
    let products = [tiles(sides, rows.0, weights.inputs), tiles(sides, rows.1, weights.outputs)];
    let tiles = products.into_iter().chain([tiles_of_weights(sides, weights)]).max().unwrap_or(0);
    TILE * TILE * tiles.max(THREADS)
}

const fn tiles(sides: usize, rows: usize, columns: usize) -> usize {
    sides * rows.div_ceil(TILE) * columns.div_ceil(TILE)
}

const fn tiles_of_weights(sides: usize, weights: &Weights) -> usize {
    weights.taps * tiles(sides, weights.inputs, weights.outputs)
}
