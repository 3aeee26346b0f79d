//! The memory of a network on a device, and what is launched there for a step. Numbers are 4 bytes each, and lie as the CPU's do.

use bytemuck::{cast_slice, cast_slice_mut};
use ferroflow_cuda::{Argument, CudaError, Gpu};

use crate::classifier::feed::Shard;
use crate::classifier::network::{INPUTS, Layer};
use crate::classifier::settings::Settings;
use crate::kernels::grid::Grid;
use crate::kernels::norm::EPSILON;

/// All kernels of `kernels.cu`.
pub const KERNELS: [&str; 19] = [
    "convolve",
    "turn",
    "weigh",
    "add_up",
    "sum_moments",
    "finish_moments",
    "norm_relu",
    "sum_gradients",
    "finish_gradients",
    "spread",
    "pool",
    "pool_back",
    "means",
    "means_back",
    "logits",
    "loss",
    "head_back",
    "features_back",
    "descend",
];

/// Rows and columns that a thread of `convolve` and `weigh` computes.
const TILE: usize = 4;
/// Rows over which a channel's numbers are added up by one thread.
const CHUNK: usize = 256;
/// Threads that a large device has at work: the gradient of weights is cut into as many.
const THREADS: usize = 1 << 17;
/// Rows at least that a thread adds up of it.
const LEAST: usize = 64;
/// Of Burn's momentum.
const DAMPENING: f64 = 0.1;

/// One block, and its maps of the shard that is being learnt.
struct Block<G: Gpu> {
    layer: Layer,
    inputs: usize,
    /// Where its weights, gains and biases begin, in numbers.
    weights: usize,
    gain: usize,
    bias: usize,
    /// What the convolution gave, what normalisation made of it, and what is left after the maximum.
    convolved: G::Memory,
    normed: G::Memory,
    pooled: Option<G::Memory>,
    affine: G::Memory,
}

/// A network that learns on a device.
pub struct DeviceNetwork<G: Gpu> {
    blocks: Vec<Block<G>>,
    classes: usize,
    /// Where the last layer's weights begin; its bias follows them.
    head: usize,
    count: usize,
    weights: G::Memory,
    gradient: G::Memory,
    velocity: G::Memory,
    mean: G::Memory,
    input: G::Memory,
    targets: G::Memory,
    keep: G::Memory,
    features: G::Memory,
    features_gradient: G::Memory,
    /// Of the shard's faces, and behind them the losses.
    logits: G::Memory,
    logits_gradient: G::Memory,
    /// Gradients of maps, which take turns, and what kernels need in between.
    maps: [G::Memory; 2],
    turned: G::Memory,
    slopes: G::Memory,
    parts: G::Memory,
    begun: bool,
}

/// What a shard has come to: the losses of its faces, already parts of the mean, and their logits.
pub struct Found {
    pub losses: Vec<f32>,
    pub logits: Vec<f32>,
}

fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Parts at most that the gradient of weights is computed in.
fn most_parts(grid: Grid, inputs: usize, outputs: usize) -> usize {
    let tiles = (9 * inputs).div_ceil(TILE) * outputs.div_ceil(TILE);
    (THREADS / tiles).max(1).min(grid.body().div_ceil(LEAST))
}

/// Parts, and rows in a part.
fn parts(grid: Grid, inputs: usize, outputs: usize) -> (usize, usize) {
    let chunk = grid.body().div_ceil(most_parts(grid, inputs, outputs));
    (grid.body().div_ceil(chunk), chunk)
}

impl<G: Gpu> DeviceNetwork<G> {
    /// Room for a network with these weights (as `Network::values` gives them) and for shards of up to `grid.faces` faces.
    pub fn new(
        gpu: &mut G,
        settings: &Settings,
        classes: usize,
        grid: Grid,
        values: &[f32],
    ) -> Result<Self, CudaError> {
        let floats = |gpu: &mut G, count: usize| gpu.reserve(4 * count);
        let (mut blocks, mut at, mut inputs, mut here) = (Vec::new(), 0, INPUTS, grid);
        let (mut maps, mut most, mut turned, mut widest) = (grid.rows() * INPUTS, 0, 0, INPUTS);
        for layer in &settings.layers {
            let outputs = layer.channels;
            let (weights, gain) = (at, at + 9 * inputs * outputs);
            let numbers = here.rows() * outputs;
            // Kernels count in 32 bits.
            if i32::try_from(numbers).is_err() {
                return Err(CudaError::NoMemory);
            }
            let of_weights = most_parts(here, inputs, outputs) * 9 * inputs * outputs;
            most = most.max(of_weights).max(here.body().div_ceil(CHUNK) * 2 * outputs);
            maps = maps.max(numbers);
            turned = turned.max(9 * inputs * outputs);
            widest = widest.max(outputs);
            let half = here.halved();
            blocks.push(Block {
                layer: *layer,
                inputs,
                weights,
                gain,
                bias: gain + outputs,
                convolved: floats(gpu, numbers)?,
                normed: floats(gpu, numbers)?,
                pooled: layer.pool.then(|| floats(gpu, half.rows() * outputs)).transpose()?,
                affine: floats(gpu, 4 * outputs)?,
            });
            at = gain + 2 * outputs;
            inputs = outputs;
            here = if layer.pool { half } else { here };
        }
        let count = at + (inputs + 1) * classes;
        let faces = grid.faces;
        let mut network = Self {
            blocks,
            classes,
            head: at,
            count,
            weights: floats(gpu, count)?,
            gradient: floats(gpu, count)?,
            velocity: floats(gpu, count)?,
            mean: floats(gpu, count)?,
            input: floats(gpu, grid.rows() * INPUTS)?,
            targets: floats(gpu, faces * classes)?,
            keep: floats(gpu, faces * inputs)?,
            features: floats(gpu, faces * inputs)?,
            features_gradient: floats(gpu, faces * inputs)?,
            logits: floats(gpu, faces * (classes + 1))?,
            logits_gradient: floats(gpu, faces * classes)?,
            maps: [floats(gpu, maps)?, floats(gpu, maps)?],
            turned: floats(gpu, turned)?,
            slopes: floats(gpu, 2 * widest)?,
            parts: floats(gpu, most)?,
            begun: false,
        };
        network.set(gpu, values, values, None)?;
        Ok(network)
    }

    /// Puts weights, their mean, and how they move into place.
    pub fn set(
        &mut self,
        gpu: &mut G,
        weights: &[f32],
        mean: &[f32],
        velocity: Option<&[f32]>,
    ) -> Result<(), CudaError> {
        gpu.write(&mut self.weights, cast_slice(weights))?;
        gpu.write(&mut self.mean, cast_slice(mean))?;
        self.begun = velocity.is_some();
        velocity.map_or(Ok(()), |velocity| gpu.write(&mut self.velocity, cast_slice(velocity)))
    }

    pub fn weights(&self, gpu: &mut G) -> Result<Vec<f32>, CudaError> {
        read(gpu, &self.weights, self.count)
    }

    pub fn mean(&self, gpu: &mut G) -> Result<Vec<f32>, CudaError> {
        read(gpu, &self.mean, self.count)
    }

    /// How the weights move; nothing before the first step.
    pub fn velocity(&self, gpu: &mut G) -> Result<Option<Vec<f32>>, CudaError> {
        self.begun.then(|| read(gpu, &self.velocity, self.count)).transpose()
    }

    /// Numbers that there are of weights.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Computes a shard's gradients, on top of those that are there if `more`. The weights of all of a step's faces sum to
    /// `total`. The device is not waited for.
    pub fn learn(&mut self, gpu: &mut G, shard: &Shard, total: f32, more: bool) -> Result<(), CudaError> {
        let (faces, channels) = (shard.rows.len(), self.channels());
        gpu.write(&mut self.input, cast_slice(&shard.input))?;
        gpu.write(&mut self.targets, cast_slice(&shard.targets))?;
        match &shard.keep {
            Some(keep) => gpu.write(&mut self.keep, cast_slice(keep))?,
            None => gpu.write(&mut self.keep, cast_slice(&vec![1.0f32; faces * channels]))?,
        }
        let grid = self.forward(gpu, shard.grid)?;
        self.last(gpu, grid, total, more)?;
        self.backward(gpu, shard.grid, grid, more)
    }

    /// What the last shard, of so many faces, has come to, once the device has computed it.
    pub fn found(&self, gpu: &mut G, faces: usize) -> Result<Found, CudaError> {
        let mut logits = read(gpu, &self.logits, faces * (self.classes + 1))?;
        let losses = logits.split_off(faces * self.classes);
        Ok(Found { losses, logits })
    }

    fn channels(&self) -> usize {
        self.blocks.last().map_or(INPUTS, |block| block.layer.channels)
    }

    /// All blocks; gives the grid of what comes out.
    fn forward(&self, gpu: &mut G, mut grid: Grid) -> Result<Grid, CudaError> {
        let mut x = &self.input;
        for block in &self.blocks {
            let (inputs, outputs) = (block.inputs, block.layer.channels);
            let threads = grid.body().div_ceil(TILE) * outputs.div_ceil(TILE);
            self.convolve(
                gpu,
                threads,
                grid,
                (inputs, outputs),
                x,
                (&self.weights, block.weights),
                &block.convolved,
            )?;
            let chunks = grid.body().div_ceil(CHUNK);
            let [faces, height, width] = sides(grid);
            let channels = Argument::Int(int(outputs));
            let at = |memory| Argument::Memory(memory, 0);
            gpu.launch(
                "sum_moments",
                chunks * outputs,
                &[
                    Argument::Int(int(chunks * outputs)),
                    faces,
                    height,
                    width,
                    channels,
                    Argument::Int(int(CHUNK)),
                    at(&block.convolved),
                    at(&self.parts),
                ],
            )?;
            gpu.launch(
                "finish_moments",
                outputs,
                &[
                    channels,
                    Argument::Int(int(chunks)),
                    Argument::Double(grid.pixels() as f64),
                    Argument::Double(f64::from(EPSILON)),
                    at(&self.parts),
                    Argument::Memory(&self.weights, 4 * block.gain),
                    Argument::Memory(&self.weights, 4 * block.bias),
                    at(&block.affine),
                ],
            )?;
            let count = grid.rows() * outputs;
            gpu.launch(
                "norm_relu",
                count,
                &[
                    Argument::Int(int(count)),
                    faces,
                    height,
                    width,
                    channels,
                    at(&block.convolved),
                    at(&block.affine),
                    at(&block.normed),
                ],
            )?;
            x = &block.normed;
            if let Some(pooled) = &block.pooled {
                let count = grid.halved().rows() * outputs;
                gpu.launch(
                    "pool",
                    count,
                    &[Argument::Int(int(count)), faces, height, width, channels, at(x), at(pooled)],
                )?;
                x = pooled;
                grid = grid.halved();
            }
        }
        Ok(grid)
    }

    /// The last layer, the loss, and the gradients up to the last block's result, which come to lie in the first of `maps`.
    fn last(&self, gpu: &mut G, grid: Grid, total: f32, more: bool) -> Result<(), CudaError> {
        let (faces, channels, classes) = (grid.faces, self.channels(), self.classes);
        let x =
            self.blocks.last().map_or(&self.input, |block| block.pooled.as_ref().unwrap_or(&block.normed));
        let at = |memory| Argument::Memory(memory, 0);
        let n = |n: usize| Argument::Int(int(n));
        let head = Argument::Memory(&self.weights, 4 * self.head);
        let bias = Argument::Memory(&self.weights, 4 * (self.head + channels * classes));
        let [many, height, width] = sides(grid);
        let features = faces * channels;
        gpu.launch(
            "means",
            features,
            &[n(features), many, height, width, n(channels), at(x), at(&self.keep), at(&self.features)],
        )?;
        gpu.launch(
            "logits",
            faces * classes,
            &[n(faces * classes), n(channels), n(classes), at(&self.features), head, bias, at(&self.logits)],
        )?;
        gpu.launch(
            "loss",
            faces,
            &[
                n(faces),
                n(classes),
                Argument::Double(f64::from(total)),
                at(&self.logits),
                at(&self.targets),
                Argument::Memory(&self.logits, 4 * faces * classes),
                at(&self.logits_gradient),
            ],
        )?;
        let count = (channels + 1) * classes;
        gpu.launch(
            "head_back",
            count,
            &[
                n(count),
                n(faces),
                n(channels),
                n(classes),
                n(usize::from(more)),
                at(&self.features),
                at(&self.logits_gradient),
                Argument::Memory(&self.gradient, 4 * self.head),
            ],
        )?;
        gpu.launch(
            "features_back",
            features,
            &[
                n(features),
                n(channels),
                n(classes),
                at(&self.logits_gradient),
                head,
                at(&self.features_gradient),
            ],
        )?;
        let count = grid.rows() * channels;
        gpu.launch(
            "means_back",
            count,
            &[
                n(count),
                many,
                height,
                width,
                n(channels),
                at(&self.features_gradient),
                at(&self.keep),
                at(&self.maps[0]),
            ],
        )
    }

    /// All blocks, from the last to the first, whose grid is `first`.
    fn backward(&self, gpu: &mut G, first: Grid, mut grid: Grid, more: bool) -> Result<(), CudaError> {
        let grids: Vec<Grid> = self
            .blocks
            .iter()
            .scan(first, |grid, block| {
                let here = *grid;
                *grid = if block.layer.pool { here.halved() } else { here };
                Some(here)
            })
            .collect();
        let [mut here, mut there] = [&self.maps[0], &self.maps[1]];
        let at = |memory| Argument::Memory(memory, 0);
        let n = |n: usize| Argument::Int(int(n));
        for (index, block) in self.blocks.iter().enumerate().rev() {
            grid = grids.get(index).copied().unwrap_or(grid);
            let [faces, height, width] = sides(grid);
            let (inputs, outputs) = (block.inputs, block.layer.channels);
            let count = grid.rows() * outputs;
            if block.layer.pool {
                let arguments =
                    [n(count), faces, height, width, n(outputs), at(&block.normed), at(here), at(there)];
                gpu.launch("pool_back", count, &arguments)?;
                std::mem::swap(&mut here, &mut there);
            }
            let chunks = grid.body().div_ceil(CHUNK);
            gpu.launch(
                "sum_gradients",
                chunks * outputs,
                &[
                    n(chunks * outputs),
                    faces,
                    height,
                    width,
                    n(outputs),
                    n(CHUNK),
                    at(&block.convolved),
                    at(here),
                    at(&block.affine),
                    at(&self.parts),
                ],
            )?;
            gpu.launch(
                "finish_gradients",
                outputs,
                &[
                    n(outputs),
                    n(chunks),
                    Argument::Double(grid.pixels() as f64),
                    n(usize::from(more)),
                    at(&self.parts),
                    at(&block.affine),
                    Argument::Memory(&self.gradient, 4 * block.gain),
                    Argument::Memory(&self.gradient, 4 * block.bias),
                    at(&self.slopes),
                ],
            )?;
            gpu.launch(
                "spread",
                count,
                &[
                    n(count),
                    faces,
                    height,
                    width,
                    n(outputs),
                    at(&block.convolved),
                    at(here),
                    at(&block.affine),
                    at(&self.slopes),
                    at(there),
                ],
            )?;
            std::mem::swap(&mut here, &mut there);
            let before = index.checked_sub(1).and_then(|before| self.blocks.get(before));
            let x = before.map_or(&self.input, |block| block.pooled.as_ref().unwrap_or(&block.normed));
            let (of_weights, chunk) = parts(grid, inputs, outputs);
            let threads = (9 * inputs).div_ceil(TILE) * outputs.div_ceil(TILE) * of_weights;
            gpu.launch(
                "weigh",
                threads,
                &[
                    n(threads),
                    faces,
                    height,
                    width,
                    n(inputs),
                    n(outputs),
                    n(chunk),
                    at(x),
                    at(here),
                    at(&self.parts),
                ],
            )?;
            let weights = 9 * inputs * outputs;
            gpu.launch(
                "add_up",
                weights,
                &[
                    n(weights),
                    n(of_weights),
                    n(usize::from(more)),
                    at(&self.parts),
                    Argument::Memory(&self.gradient, 4 * block.weights),
                ],
            )?;
            if index > 0 {
                gpu.launch(
                    "turn",
                    weights,
                    &[
                        n(weights),
                        n(inputs),
                        n(outputs),
                        Argument::Memory(&self.weights, 4 * block.weights),
                        at(&self.turned),
                    ],
                )?;
                let threads = grid.body().div_ceil(TILE) * inputs.div_ceil(TILE);
                self.convolve(gpu, threads, grid, (outputs, inputs), here, (&self.turned, 0), there)?;
                std::mem::swap(&mut here, &mut there);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "those of the kernel")]
    fn convolve(
        &self,
        gpu: &mut G,
        threads: usize,
        grid: Grid,
        (inputs, outputs): (usize, usize),
        x: &G::Memory,
        (weights, first): (&G::Memory, usize),
        out: &G::Memory,
    ) -> Result<(), CudaError> {
        let [faces, height, width] = sides(grid);
        gpu.launch(
            "convolve",
            threads,
            &[
                Argument::Int(int(threads)),
                faces,
                height,
                width,
                Argument::Int(int(inputs)),
                Argument::Int(int(outputs)),
                Argument::Memory(x, 0),
                Argument::Memory(weights, 4 * first),
                Argument::Memory(out, 0),
            ],
        )
    }

    /// Takes the weights down the gradients, and their mean a `part` of the way towards them.
    pub fn descend(
        &mut self,
        gpu: &mut G,
        settings: &Settings,
        rate: f64,
        part: f32,
    ) -> Result<(), CudaError> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        let at = |memory| Argument::Memory(memory, 0);
        gpu.launch(
            "descend",
            self.count,
            &[
                Argument::Int(int(self.count)),
                Argument::Int(i32::from(is_first)),
                Argument::Double(rate),
                Argument::Double(settings.weight_decay),
                Argument::Double(settings.momentum),
                Argument::Double(DAMPENING),
                Argument::Double(f64::from(part)),
                at(&self.gradient),
                at(&self.weights),
                at(&self.velocity),
                at(&self.mean),
            ],
        )
    }
}

fn sides<'a, M>(grid: Grid) -> [Argument<'a, M>; 3] {
    [grid.faces, grid.height, grid.width].map(|side| Argument::Int(int(side)))
}

fn read<G: Gpu>(gpu: &mut G, memory: &G::Memory, count: usize) -> Result<Vec<f32>, CudaError> {
    let mut values = vec![0.0; count];
    gpu.read(memory, cast_slice_mut(&mut values))?;
    Ok(values)
}
