//! What is launched for a shard: its way through the network, the loss, and the way back.

use ferroflow_cuda::{Argument, CudaError, Gpu};

use super::network::{CHUNK, DeviceNetwork, TILE, at, from, n, parts};
use crate::kernels::grid::Grid;
use crate::kernels::norm::EPSILON;

/// Launches a kernel over the maps of a grid, whose first arguments are the number of threads and the grid.
fn over<G: Gpu>(
    gpu: &mut G,
    kernel: &'static str,
    threads: usize,
    grid: Grid,
    rest: &[Argument<'_, G::Memory>],
) -> Result<(), CudaError> {
    let Grid { faces, height, width } = grid;
    let arguments = [&[n(threads), n(faces), n(height), n(width)][..], rest].concat();
    gpu.launch(kernel, threads, &arguments)
}

/// A convolution of `inputs` to `outputs` channels.
fn convolve<G: Gpu>(
    gpu: &mut G,
    grid: Grid,
    (inputs, outputs): (usize, usize),
    [x, weights, out]: [Argument<'_, G::Memory>; 3],
) -> Result<(), CudaError> {
    let threads = grid.body().div_ceil(TILE) * outputs.div_ceil(TILE);
    over(gpu, "convolve", threads, grid, &[n(inputs), n(outputs), x, weights, out])
}

impl<G: Gpu> DeviceNetwork<G> {
    /// All blocks; gives the grid of what comes out.
    pub(super) fn forward(&self, gpu: &mut G, mut grid: Grid) -> Result<Grid, CudaError> {
        let mut x = &self.input;
        for block in &self.blocks {
            let (channels, convolved, affine) =
                (block.layer.channels, at(&block.convolved), at(&block.affine));
            let of_weights = from(&self.weights, block.weights);
            convolve(gpu, grid, (block.inputs, channels), [at(x), of_weights, convolved])?;
            let chunks = grid.body().div_ceil(CHUNK);
            let summed = [n(channels), n(CHUNK), convolved, at(&self.parts)];
            over(gpu, "sum_moments", chunks * channels, grid, &summed)?;
            let (pixels, epsilon) = (grid.pixels() as f64, f64::from(EPSILON));
            gpu.launch(
                "finish_moments",
                channels,
                &[
                    n(channels),
                    n(chunks),
                    Argument::Double(pixels),
                    Argument::Double(epsilon),
                    at(&self.parts),
                    from(&self.weights, block.gain),
                    from(&self.weights, block.bias),
                    affine,
                ],
            )?;
            let normed = at(&block.normed);
            over(gpu, "norm_relu", grid.rows() * channels, grid, &[n(channels), convolved, affine, normed])?;
            if let Some(pooled) = &block.pooled {
                let count = grid.halved().rows() * channels;
                over(gpu, "pool", count, grid, &[n(channels), normed, at(pooled)])?;
                grid = grid.halved();
            }
            x = block.result();
        }
        Ok(grid)
    }

    /// The last layer, the loss, and the gradients up to the last block's result, which come to lie in the first of `maps`.
    pub(super) fn last(&self, gpu: &mut G, grid: Grid, total: f32, more: bool) -> Result<(), CudaError> {
        let (faces, channels, classes) = (grid.faces, self.channels(), self.classes);
        let x = self.blocks.last().map_or(&self.input, |block| block.result());
        let head = from(&self.weights, self.head);
        let bias = from(&self.weights, self.head + channels * classes);
        let (features, keep, slopes) = (at(&self.features), at(&self.keep), at(&self.logits_gradient));
        over(gpu, "means", faces * channels, grid, &[n(channels), at(x), keep, features])?;
        let (count, logits) = (faces * classes, at(&self.logits));
        gpu.launch("logits", count, &[n(count), n(channels), n(classes), features, head, bias, logits])?;
        let (targets, losses) = (at(&self.targets), from(&self.logits, count));
        let total = Argument::Double(f64::from(total));
        gpu.launch("loss", faces, &[n(faces), n(classes), total, logits, targets, losses, slopes])?;
        let count = (channels + 1) * classes;
        let (more, gradient) = (n(usize::from(more)), from(&self.gradient, self.head));
        let numbers = [n(count), n(faces), n(channels), n(classes), more];
        gpu.launch("head_back", count, &[&numbers[..], &[features, slopes, gradient]].concat())?;
        let (count, gradient) = (faces * channels, at(&self.features_gradient));
        let arguments = [n(count), n(channels), n(classes), slopes, head, gradient];
        gpu.launch("features_back", count, &arguments)?;
        let maps = at(&self.maps[0]);
        over(gpu, "means_back", grid.rows() * channels, grid, &[n(channels), gradient, keep, maps])
    }

    /// All blocks, from the last to the first, whose grid is `first`.
    pub(super) fn backward(&self, gpu: &mut G, first: Grid, more: bool) -> Result<(), CudaError> {
        let [mut here, mut there] = [at(&self.maps[0]), at(&self.maps[1])];
        let more = n(usize::from(more));
        for (index, block) in self.blocks.iter().enumerate().rev() {
            let before = self.blocks.get(..index).unwrap_or_default();
            let halved = before.iter().filter(|block| block.layer.pool).count();
            let grid = (0..halved).fold(first, |grid, _| grid.halved());
            let (inputs, outputs) = (block.inputs, block.layer.channels);
            let (channels, count) = (n(outputs), grid.rows() * outputs);
            let (convolved, affine, of_parts) = (at(&block.convolved), at(&block.affine), at(&self.parts));
            if block.layer.pool {
                over(gpu, "pool_back", count, grid, &[channels, at(&block.normed), here, there])?;
                std::mem::swap(&mut here, &mut there);
            }
            let chunks = grid.body().div_ceil(CHUNK);
            let summed = [channels, n(CHUNK), convolved, here, affine, of_parts];
            over(gpu, "sum_gradients", chunks * outputs, grid, &summed)?;
            gpu.launch(
                "finish_gradients",
                outputs,
                &[
                    channels,
                    n(chunks),
                    Argument::Double(grid.pixels() as f64),
                    more,
                    of_parts,
                    affine,
                    from(&self.gradient, block.gain),
                    from(&self.gradient, block.bias),
                    at(&self.slopes),
                ],
            )?;
            over(gpu, "spread", count, grid, &[channels, convolved, here, affine, at(&self.slopes), there])?;
            std::mem::swap(&mut here, &mut there);
            let x = before.last().map_or(&self.input, |block| block.result());
            let (of_weights, chunk) = parts(grid, inputs, outputs);
            let threads = (9 * inputs).div_ceil(TILE) * outputs.div_ceil(TILE) * of_weights;
            over(gpu, "weigh", threads, grid, &[n(inputs), channels, n(chunk), at(x), here, of_parts])?;
            let weights = 9 * inputs * outputs;
            let gradient = from(&self.gradient, block.weights);
            gpu.launch("add_up", weights, &[n(weights), n(of_weights), more, of_parts, gradient])?;
            if index > 0 {
                let (of_block, turned) = (from(&self.weights, block.weights), at(&self.turned));
                gpu.launch("turn", weights, &[n(weights), n(inputs), channels, of_block, turned])?;
                convolve(gpu, grid, (outputs, inputs), [here, turned, there])?;
                std::mem::swap(&mut here, &mut there);
            }
        }
        Ok(())
    }
}
