//! The memory of a network on a device. Numbers are 4 bytes each, and lie as the CPU's do.

use bytemuck::{cast_slice, cast_slice_mut};
use ferroflow_cuda::{Argument, CudaError, Gpu};

use crate::classifier::feed::Shard;
use crate::classifier::network::{INPUTS, Layer};
use crate::classifier::settings::Settings;
use crate::kernels::grid::Grid;

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
pub(super) const TILE: usize = 4;
/// Rows over which a channel's numbers are added up by one thread.
pub(super) const CHUNK: usize = 256;
/// Threads that a large device has at work: the gradient of weights is cut into as many.
const THREADS: usize = 1 << 17;
/// Rows at least that a thread adds up of it.
const LEAST: usize = 64;
/// Of Burn's momentum.
const DAMPENING: f64 = 0.1;

/// One block, and its maps of the shard that is being learnt.
pub(super) struct Block<G: Gpu> {
    pub layer: Layer,
    pub inputs: usize,
    /// Where its weights, gains and biases begin, in numbers.
    pub weights: usize,
    pub gain: usize,
    pub bias: usize,
    /// What the convolution gave, what normalisation made of it, and what is left after the maximum.
    pub convolved: G::Memory,
    pub normed: G::Memory,
    pub pooled: Option<G::Memory>,
    pub affine: G::Memory,
}

impl<G: Gpu> Block<G> {
    pub fn result(&self) -> &G::Memory {
        self.pooled.as_ref().unwrap_or(&self.normed)
    }
}

/// A network that learns on a device.
pub struct DeviceNetwork<G: Gpu> {
    pub(super) blocks: Vec<Block<G>>,
    pub(super) classes: usize,
    /// Where the last layer's weights begin; its bias follows them.
    pub(super) head: usize,
    pub(super) count: usize,
    pub(super) weights: G::Memory,
    pub(super) gradient: G::Memory,
    pub(super) velocity: G::Memory,
    pub(super) mean: G::Memory,
    pub(super) input: G::Memory,
    pub(super) targets: G::Memory,
    pub(super) keep: G::Memory,
    pub(super) features: G::Memory,
    pub(super) features_gradient: G::Memory,
    /// Of the shard's faces, and behind them the losses.
    pub(super) logits: G::Memory,
    pub(super) logits_gradient: G::Memory,
    /// Gradients of maps, which take turns, and what kernels need in between.
    pub(super) maps: [G::Memory; 2],
    pub(super) turned: G::Memory,
    pub(super) slopes: G::Memory,
    pub(super) parts: G::Memory,
    pub(super) begun: bool,
}

/// What a shard has come to: the losses of its faces, already parts of the mean, and their logits.
pub struct Found {
    pub losses: Vec<f32>,
    pub logits: Vec<f32>,
}

/// A number as kernels count.
pub(super) fn n<'a, M>(number: usize) -> Argument<'a, M> {
    Argument::Int(i32::try_from(number).unwrap_or(i32::MAX))
}

/// A whole memory.
pub(super) fn at<M>(memory: &M) -> Argument<'_, M> {
    Argument::Memory(memory, 0)
}

/// A memory from one of its numbers on.
pub(super) fn from<M>(memory: &M, first: usize) -> Argument<'_, M> {
    Argument::Memory(memory, 4 * first)
}

/// Parts at most that the gradient of weights is computed in.
fn most_parts(grid: Grid, inputs: usize, outputs: usize) -> usize {
    let tiles = (9 * inputs).div_ceil(TILE) * outputs.div_ceil(TILE);
    (THREADS / tiles).max(1).min(grid.body().div_ceil(LEAST))
}

/// Parts, and rows in a part.
pub(super) fn parts(grid: Grid, inputs: usize, outputs: usize) -> (usize, usize) {
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
        // What dropout keeps, where there is none.
        gpu.write(&mut network.keep, cast_slice(&vec![1.0f32; faces * inputs]))?;
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
        gpu.write(&mut self.input, cast_slice(&shard.input))?;
        gpu.write(&mut self.targets, cast_slice(&shard.targets))?;
        if let Some(keep) = &shard.keep {
            gpu.write(&mut self.keep, cast_slice(keep))?;
        }
        let grid = self.forward(gpu, shard.grid)?;
        self.last(gpu, grid, total, more)?;
        self.backward(gpu, shard.grid, more)
    }

    /// What the last shard, of so many faces, has come to, once the device has computed it.
    pub fn found(&self, gpu: &mut G, faces: usize) -> Result<Found, CudaError> {
        let mut logits = read(gpu, &self.logits, faces * (self.classes + 1))?;
        let losses = logits.split_off(faces * self.classes);
        Ok(Found { losses, logits })
    }

    pub(super) fn channels(&self) -> usize {
        self.blocks.last().map_or(INPUTS, |block| block.layer.channels)
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
        gpu.launch(
            "descend",
            self.count,
            &[
                n(self.count),
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

fn read<G: Gpu>(gpu: &mut G, memory: &G::Memory, count: usize) -> Result<Vec<f32>, CudaError> {
    let mut values = vec![0.0; count];
    gpu.read(memory, cast_slice_mut(&mut values))?;
    Ok(values)
}
