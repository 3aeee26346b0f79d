//! One way through a network, and back with the gradient.

use bytemuck::cast_slice;
use ferroflow_cuda::{Argument, CudaError, Gpu};

use super::network::Network;
use super::plan::{Layer, Shape, Step, Value, Weights};
use super::table::Table;
use super::{at, each, flag, floats, from, n, read, real};
use crate::kernels::norm::{EPSILON, Moments};
use crate::kernels::planes::norm::Over;

/// Rows and columns of a product that a thread computes.
const TILE: usize = 4;
/// Threads that a large device has at work: products are cut into as many.
const THREADS: usize = 1 << 17;
/// Rows at least that a thread adds up of the gradient of weights, and of moments.
const LEAST: usize = 16;

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
    /// Means and variances that steps normalise with, one after the other, instead of those of their batches; may be none.
    fixed: Vec<G::Memory>,
    /// What each batch draws its random numbers from.
    seeds: G::Memory,
    /// What kernels need in between.
    parts: G::Memory,
    slopes: G::Memory,
}

/// Rows that are normalised together, and how many such groups there are.
#[derive(Clone, Copy)]
struct Groups {
    count: usize,
    of_side: usize,
    rows: usize,
}

impl Groups {
    /// Chunks that each is added up in, and the rows of a chunk: as many as there are of the other, nearly.
    fn chunks(self) -> (usize, usize) {
        let rows = self.rows.isqrt().max(LEAST);
        (self.rows.div_ceil(rows), rows)
    }
}

/// A product's shape: rows of each side, and what becomes of each.
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
        let (mut affines, mut parts, mut slopes) = (Vec::new(), TILE * TILE * THREADS, 1);
        for (step, shape) in plan.steps.iter().zip(plan.shapes.iter().skip(1)) {
            affines.push(match &step.layer {
                Layer::Affine { .. } => {
                    let groups = groups(batch, over, *shape);
                    parts = parts.max(2 * groups.chunks().0 * groups.count * shape.channels);
                    slopes = slopes.max(2 * groups.count * shape.channels);
                    Some(floats(gpu, 4 * groups.count * shape.channels)?)
                }
                Layer::Convolution { weights, .. } => {
                    let x = plan.shape(step.x);
                    let tiles = [(x, weights.inputs), (*shape, weights.outputs)].map(|(shape, channels)| {
                        tiles(batch.sides, batch.of_side() * shape.pixels(), channels)
                    });
                    let all = tiles.into_iter().chain([of_weights(batch.sides, weights)]).max().unwrap_or(0);
                    parts = parts.max(TILE * TILE * all);
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

    /// Sets the moments that channels are normalised with from now on, in the order of the layers; without any, their own.
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
            let (Layer::Affine { gain: Some(_), .. }, Some(affine)) = (&step.layer, affine) else { continue };
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
                Layer::Convolution { weights, forward, .. } => {
                    let Some([table, _]) = &network.tables[index] else { continue };
                    let product = Product {
                        table,
                        taps: forward.taps,
                        share: forward.share,
                        pixels: (network.plan.shape(*x).pixels(), shape.pixels()),
                        channels: (weights.inputs, weights.outputs),
                        weights: from(&network.weights, weights.at),
                    };
                    self.multiply(gpu, network, &product, from_x, out, false)?;
                }
                Layer::Affine { gain, bias, slope } => {
                    let Some(affine) = &self.affines[index] else { continue };
                    let fixed = gain.and_then(|_| fixed.next());
                    self.finish_moments(gpu, network, (shape, *gain, *bias), fixed, from_x, affine)?;
                    let rows = n(groups(self.batch, self.over, shape).rows);
                    let rest = [rows, n(shape.channels), real(*slope), at(from_x), at(affine), at(out)];
                    each(gpu, "apply", count, &rest)?;
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
                Layer::Convolution { weights, forward, backward } => {
                    let Some([sees, seen_by]) = &network.tables[index] else { continue };
                    let pixels = (network.plan.shape(*x).pixels(), shape.pixels());
                    if let Some(more) = wanted.numbers {
                        self.weigh(gpu, network, (weights, forward, sees, pixels), [from_x, gradient], more)?;
                    }
                    if x.0 > 0 || wanted.input {
                        let product = Product {
                            table: seen_by,
                            taps: backward.taps,
                            share: backward.share,
                            pixels: (pixels.1, pixels.0),
                            channels: (weights.outputs, weights.inputs),
                            weights: from(&network.turned, weights.at),
                        };
                        self.multiply(gpu, network, &product, gradient, of_x, more)?;
                    }
                }
                Layer::Affine { gain, bias, slope } => {
                    let Some(affine) = &self.affines[index] else { continue };
                    let learnt = (shape, *gain, *bias);
                    self.moments_back(gpu, network, learnt, *slope, [from_x, gradient, affine], wanted)?;
                    let rows = n(groups(self.batch, self.over, shape).rows);
                    let numbers = [rows, n(shape.channels), real(*slope)];
                    let memories = [from_x, gradient, affine, &self.slopes, of_x].map(at);
                    each(gpu, "spread", count, &[&numbers[..], &memories].concat())?;
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

    /// A convolution or the gradient of one's input, on top of what is there if `more`.
    fn multiply(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        product: &Product<'_, G::Memory>,
        x: &G::Memory,
        out: &G::Memory,
        more: bool,
    ) -> Result<(), CudaError> {
        let Product { table, taps, share, pixels, channels, weights } = product;
        let (sides, rows) = (self.batch.sides, self.batch.of_side() * pixels.1);
        let tiles = tiles(sides, rows, channels.1);
        let parts = (THREADS / tiles).clamp(1, *taps);
        let is_whole = parts == 1 && !more;
        let numbers = [sides, rows, pixels.0, pixels.1, channels.0, channels.1, *taps, *share, parts];
        let numbers = numbers.into_iter().chain([network.plan.len()]).map(n);
        let memories = [at(*table), at(x), *weights, at(if is_whole { out } else { &self.parts })];
        each(gpu, "convolve", parts * tiles, &numbers.chain(memories).collect::<Vec<_>>())?;
        if is_whole {
            return Ok(());
        }
        let count = sides * rows * channels.1;
        each(gpu, "add_up", count, &[n(count), n(count), n(parts), flag(more), at(&self.parts), at(out)])
    }

    /// The gradient of weights.
    fn weigh(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        (weights, table, sees, pixels): (&Weights, &Table, &G::Memory, (usize, usize)),
        [x, gradient]: [&G::Memory; 2],
        more: bool,
    ) -> Result<(), CudaError> {
        let (sides, rows) = (self.batch.sides, self.batch.of_side() * pixels.1);
        let tiles = of_weights(sides, weights);
        let parts = (THREADS / tiles).clamp(1, rows.div_ceil(LEAST));
        let chunk = rows.div_ceil(parts);
        let parts = rows.div_ceil(chunk);
        let numbers = [sides, rows, pixels.0, pixels.1, weights.inputs, weights.outputs, table.taps, chunk];
        let memories = [sees, x, gradient, &self.parts].map(at);
        each(gpu, "weigh", parts * tiles, &numbers.into_iter().map(n).chain(memories).collect::<Vec<_>>())?;
        let (count, stride) = (sides * weights.count(), network.plan.len());
        let memories = [at(&self.parts), from(&network.gradient, weights.at)];
        let numbers = [n(weights.count()), n(stride), n(parts), flag(more)];
        each(gpu, "add_up", count, &[&numbers[..], &memories].concat())
    }

    /// What is done to each channel.
    fn finish_moments(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        (shape, gain, bias): (Shape, Option<usize>, usize),
        fixed: Option<&G::Memory>,
        x: &G::Memory,
        affine: &G::Memory,
    ) -> Result<(), CudaError> {
        let groups = groups(self.batch, self.over, shape);
        let ((parts, chunk), channels) = (groups.chunks(), shape.channels);
        let takes_own = gain.is_some() && fixed.is_none();
        if takes_own {
            let numbers = [groups.count, groups.rows, channels, chunk].map(n);
            let threads = parts * groups.count * channels;
            each(gpu, "sum_moments", threads, &[&numbers[..], &[at(x), at(&self.parts)]].concat())?;
        }
        let parts = if takes_own { parts } else { 0 };
        let numbers = [groups.count, groups.of_side, channels, parts].map(n);
        let more = [flag(gain.is_some()), n(network.plan.len()), real(groups.rows as f64), real(EPSILON)];
        let of = |first: usize| from(&network.weights, first);
        let memories = [at(fixed.unwrap_or(&self.parts)), of(gain.unwrap_or(bias)), of(bias), at(affine)];
        each(gpu, "finish_moments", groups.count * channels, &[&numbers[..], &more, &memories].concat())
    }

    /// The gradients of gains and biases, and what `spread` needs.
    fn moments_back(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        (shape, gain, bias): (Shape, Option<usize>, usize),
        slope: f32,
        [x, gradient, affine]: [&G::Memory; 3],
        wanted: Wanted,
    ) -> Result<(), CudaError> {
        let groups = groups(self.batch, self.over, shape);
        let ((parts, chunk), channels) = (groups.chunks(), shape.channels);
        let numbers = [groups.count, groups.rows, channels, chunk].map(n);
        let memories = [x, gradient, affine, &self.parts].map(at);
        let rest = [&numbers[..], &[real(slope)], &memories].concat();
        each(gpu, "sum_gradients", parts * groups.count * channels, &rest)?;
        let numbers = [groups.count, groups.of_side, channels, parts].map(n);
        let more = [
            flag(gain.is_some()),
            n(network.plan.len()),
            real(groups.rows as f64),
            flag(wanted.numbers.is_some()),
            flag(wanted.numbers == Some(true)),
        ];
        let of = |first: usize| from(&network.gradient, first);
        let memories = [at(&self.parts), at(affine), of(gain.unwrap_or(bias)), of(bias), at(&self.slopes)];
        each(gpu, "finish_gradients", self.batch.sides * channels, &[&numbers[..], &more, &memories].concat())
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

fn groups(batch: Batch, over: Over, shape: Shape) -> Groups {
    match over {
        Over::Batch => Groups {
            count: batch.sides * batch.groups,
            of_side: batch.groups,
            rows: batch.maps * shape.pixels(),
        },
        Over::Instance => Groups { count: batch.all(), of_side: batch.of_side(), rows: shape.pixels() },
    }
}

/// Tiles of a product.
const fn tiles(sides: usize, rows: usize, columns: usize) -> usize {
    sides * rows.div_ceil(TILE) * columns.div_ceil(TILE)
}

/// Tiles of the gradient of weights.
const fn of_weights(sides: usize, weights: &Weights) -> usize {
    weights.taps * tiles(sides, weights.inputs, weights.outputs)
}
