//! One way through a network, and back with the gradient.

mod norm;
mod product;

use bytemuck::cast_slice;
use ferroflow_cuda::{CudaError, Gpu};

use self::norm::Groups;
use self::product::most_in_parts;
use super::network::Network;
use super::plan::{Affine, Layer, Shape, Step, Value};
use super::{at, each, flag, floats, n, read, real};
use crate::kernels::norm::{EPSILON, Moments};
use crate::kernels::planes::norm::Over;

/// How maps lie: `sides` x `groups` x `maps`. Each group is a batch of its own, to normalisation and to dropout.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Networks.
    pub sides: usize,
    /// Batches that each of them sees.
    pub groups: usize,
    /// Maps in a batch.
    pub maps: usize,
}

impl Batch {
    const fn of_side(self) -> usize {
        self.groups * self.maps
    }

    const fn all(self) -> usize {
        self.sides * self.of_side()
    }
}

/// What a way back is to find.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The gradient of the network's numbers: on top of the one that is there if `Some(true)`.
    pub numbers: Option<bool>,
    /// The gradient of what the network was given.
    pub input: bool,
}

/// Memory for one way through a network: its maps, and their gradients.
pub struct Pass<G: Gpu> {
    batch: Batch,
    /// Maps in a batch that there is room for.
    most: usize,
    over: Over,
    dropout: f32,
    maps: Vec<G::Memory>,
    gradients: Vec<G::Memory>,
    /// Of each step that is an affine one.
    affines: Vec<Option<G::Memory>>,
    /// Means and variances that steps normalise with, one after the other, instead of those of their batches;
    /// may be none.
    fixed: Vec<G::Memory>,
    /// What each batch draws its random numbers from.
    seeds: G::Memory,
    /// What kernels need in between.
    parts: G::Memory,
    slopes: G::Memory,
}

impl<G: Gpu> Pass<G> {
    /// For batches of one size; `dropout` is the part that is left out.
    pub fn new(
        gpu: &mut G,
        network: &Network<G>,
        batch: Batch,
        over: Over,
        dropout: f32,
    ) -> Result<Self, CudaError> {
        Self::with(gpu, network, batch, over, dropout, true)
    }

    /// One that never goes back.
    pub fn only_forward(
        gpu: &mut G,
        network: &Network<G>,
        batch: Batch,
        over: Over,
    ) -> Result<Self, CudaError> {
        Self::with(gpu, network, batch, over, 0.0, false)
    }

    fn with(
        gpu: &mut G,
        network: &Network<G>,
        batch: Batch,
        over: Over,
        dropout: f32,
        learns: bool,
    ) -> Result<Self, CudaError> {
        let plan = &network.plan;
        let maps = |gpu: &mut G, least: usize| -> Result<Vec<_>, CudaError> {
            plan.shapes.iter().map(|shape| floats(gpu, least * batch.all() * shape.numbers())).collect()
        };
        let (mut affines, mut parts, mut slopes) = (Vec::new(), 1, 1);
        for (step, shape) in plan.steps.iter().zip(plan.shapes.iter().skip(1)) {
            affines.push(match &step.layer {
                Layer::Affine(_) => {
                    let groups = Groups::of(batch, over, *shape);
                    parts = parts.max(groups.most_in_parts(shape.channels));
                    slopes = slopes.max(2 * groups.count * shape.channels);
                    Some(floats(gpu, 4 * groups.count * shape.channels)?)
                }
                Layer::Convolution(convolution) => {
                    let rows = [plan.shape(step.x), *shape].map(|shape| batch.of_side() * shape.pixels());
                    let most = most_in_parts(batch.sides, &convolution.weights, (rows[0], rows[1]));
                    parts = parts.max(most);
                    None
                }
                _ => None,
            });
        }
        Ok(Self {
            batch,
            most: batch.maps,
            over,
            dropout,
            maps: maps(gpu, 1)?,
            gradients: maps(gpu, usize::from(learns))?,
            affines,
            fixed: Vec::new(),
            seeds: gpu.reserve(8 * batch.sides * batch.groups)?,
            parts: floats(gpu, parts)?,
            slopes: floats(gpu, slopes)?,
        })
    }

    /// Says how many maps a batch has from now on: as many as there is room for, or fewer.
    pub fn set_maps(&mut self, maps: usize) {
        self.batch.maps = maps.min(self.most);
    }

    /// Sets the moments that channels are normalised with from now on, in the order of the layers; without
    /// any, their own.
    pub fn fix(&mut self, gpu: &mut G, moments: &[Moments]) -> Result<(), CudaError> {
        self.fixed.clear();
        for Moments { mean, variance } in moments {
            let mut memory = floats(gpu, mean.len() + variance.len())?;
            gpu.write(&mut memory, cast_slice(&[&mean[..], variance].concat()))?;
            self.fixed.push(memory);
        }
        Ok(())
    }

    /// The moments that the first group of the last batch was normalised with, in the order of the layers.
    pub fn moments(&self, gpu: &mut G, network: &Network<G>) -> Result<Vec<Moments>, CudaError> {
        let mut all = Vec::new();
        for ((step, shape), affine) in
            network.plan.steps.iter().zip(&network.plan.shapes[1..]).zip(&self.affines)
        {
            let (Layer::Affine(Affine { gain: Some(_), .. }), Some(affine)) = (&step.layer, affine) else {
                continue;
            };
            let values = read(gpu, affine, 4 * shape.channels)?;
            let (mean, inverse) = values[2 * shape.channels..].split_at(shape.channels);
            let variance = inverse.iter().map(|inverse| 1.0 / (inverse * inverse) - EPSILON);
            all.push(Moments { mean: mean.to_vec(), variance: variance.collect() });
        }
        Ok(all)
    }

    /// Sets what goes in (sides x groups x maps x pixels x channels).
    pub fn give(&mut self, gpu: &mut G, input: &[f32]) -> Result<(), CudaError> {
        self.maps.first_mut().map_or(Ok(()), |maps| gpu.write(maps, cast_slice(input)))
    }

    /// Sets what random numbers are drawn from: a number for each batch.
    pub fn seed(&mut self, gpu: &mut G, seeds: &[u64]) -> Result<(), CudaError> {
        gpu.write(&mut self.seeds, cast_slice(seeds))
    }

    /// What goes in, and its gradient.
    pub fn input(&self) -> [&G::Memory; 2] {
        [&self.maps[0], &self.gradients[0]]
    }

    /// What comes out, and its gradient.
    pub fn output(&self) -> [&G::Memory; 2] {
        let last = self.affines.len();
        [&self.maps[last], &self.gradients[last]]
    }

    /// Computes what comes out of what was given.
    pub fn forward(&self, gpu: &mut G, network: &Network<G>) -> Result<(), CudaError> {
        let mut fixed = self.fixed.iter();
        for (index, Step { x, layer }) in network.plan.steps.iter().enumerate() {
            let (out, shape) = (&self.maps[index + 1], network.plan.shapes[index + 1]);
            let (from_x, count) = (&self.maps[x.0], self.batch.all() * shape.numbers());
            match layer {
                Layer::Convolution(convolution) => {
                    let Some(tables) = &network.tables[index] else { continue };
                    let sizes = (tables, (network.plan.shape(*x).pixels(), shape.pixels()));
                    self.convolve(gpu, network, convolution, sizes, [from_x, out])?;
                }
                Layer::Affine(affine) => {
                    let Some(done) = &self.affines[index] else { continue };
                    let fixed = affine.gain.and_then(|_| fixed.next());
                    self.normalise(gpu, network, (affine, shape), fixed, [from_x, done, out])?;
                }
                Layer::Drop { before } => self.drop(gpu, shape, *before, from_x, out)?,
                Layer::Add(Value(other)) => {
                    each(gpu, "add", count, &[at(from_x), at(&self.maps[*other]), at(out)])?;
                }
                Layer::Squash => each(gpu, "squash", count, &[at(from_x), at(out)])?,
                Layer::Pool => {
                    let Shape { height, width, channels } = network.plan.shape(*x);
                    each(gpu, "pool", count, &[n(height), n(width), n(channels), at(from_x), at(out)])?;
                }
                Layer::Mean => {
                    let pixels = network.plan.shape(*x).pixels();
                    each(gpu, "average", count, &[n(pixels), n(shape.channels), at(from_x), at(out)])?;
                }
            }
        }
        Ok(())
    }

    /// Computes gradients from that of what came out.
    pub fn backward(&self, gpu: &mut G, network: &Network<G>, wanted: Wanted) -> Result<(), CudaError> {
        for (index, Step { x, layer }) in network.plan.steps.iter().enumerate().rev() {
            let (maps, gradient) = (&self.maps[index + 1], &self.gradients[index + 1]);
            let (from_x, of_x) = (&self.maps[x.0], &self.gradients[x.0]);
            let shape = network.plan.shapes[index + 1];
            let count = self.batch.all() * shape.numbers();
            let more = network.plan.is_taken_later(index, *x);
            match layer {
                Layer::Convolution(convolution) => {
                    let Some(tables) = &network.tables[index] else { continue };
                    let sizes = (tables, (network.plan.shape(*x).pixels(), shape.pixels()));
                    if let Some(more) = wanted.numbers {
                        self.weigh(gpu, network, convolution, sizes, [from_x, gradient], more)?;
                    }
                    if x.0 > 0 || wanted.input {
                        self.convolve_back(gpu, network, convolution, sizes, [gradient, of_x], more)?;
                    }
                }
                Layer::Affine(affine) => {
                    let Some(done) = &self.affines[index] else { continue };
                    let memories = [from_x, done, gradient, of_x];
                    self.normalise_back(gpu, network, (affine, shape), memories, wanted)?;
                }
                Layer::Drop { before } => self.drop(gpu, shape, *before, gradient, of_x)?,
                Layer::Add(other) => {
                    let also = network.plan.is_taken_later(index, *other);
                    for (to, more) in [(of_x, more), (&self.gradients[other.0], also)] {
                        let rest = [n(count), n(count), n(1), flag(more), at(gradient), at(to)];
                        each(gpu, "add_up", count, &rest)?;
                    }
                }
                Layer::Squash => each(gpu, "squash_back", count, &[maps, gradient, of_x].map(at))?,
                Layer::Pool => {
                    let Shape { height, width, channels } = network.plan.shape(*x);
                    let count = self.batch.all() * height * width * channels;
                    let memories = [from_x, gradient, of_x].map(at);
                    each(
                        gpu,
                        "pool_back",
                        count,
                        &[&[n(height), n(width), n(channels)][..], &memories].concat(),
                    )?;
                }
                Layer::Mean => {
                    let pixels = network.plan.shape(*x).pixels();
                    let rest = [n(pixels), n(shape.channels), at(gradient), at(of_x)];
                    each(gpu, "average_back", count * pixels, &rest)?;
                }
            }
        }
        Ok(())
    }

    fn drop(
        &self,
        gpu: &mut G,
        shape: Shape,
        before: usize,
        x: &G::Memory,
        out: &G::Memory,
    ) -> Result<(), CudaError> {
        let maps = self.batch.maps;
        let numbers = [maps, shape.pixels(), shape.channels, before * maps].map(n);
        let rest = [&numbers[..], &[real(self.dropout), at(&self.seeds), at(x), at(out)]].concat();
        each(gpu, "drop", self.batch.all() * shape.numbers(), &rest)
    }
}
