//! The network that translates (Johnson, Alahi & Fei-Fei 2016, as Zhu et al. 2017 use it).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::canvas::Canvas;
use super::layers::{NormedWeights, Pass, weights};
use super::settings;
use crate::kernels::planes::PlaneKernels;
use crate::kernels::planes::window::Window;
use crate::random::Random;

/// Between full size and the outside.
const OUTER: Window = Window::reflecting(7);
/// Halves the size; its transpose doubles it.
const HALVING: Window = Window::new(3, 2, 1);
/// Within a block.
const INNER: Window = Window::reflecting(3);
/// The transpose of a 7x7 window that only ever lies within the map: over a map with three more pixels on
/// each side it gives one of the map's own size.
const LAST: Window = Window::new(7, 1, 6);

/// From gray faces in -1..1 to gray faces in -1..1, of the same size.
#[derive(Module, Debug)]
pub struct Generator<B: Backend> {
    first: NormedWeights<B>,
    halvings: Vec<NormedWeights<B>>,
    blocks: Vec<Block<B>>,
    doublings: Vec<NormedWeights<B>>,
    last: Param<Tensor<B, 4>>,
    last_bias: Param<Tensor<B, 1>>,
}

/// Adds to its input what two layers make of it.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: NormedWeights<B>,
    second: NormedWeights<B>,
}

impl<B: Backend> Generator<B> {
    /// A network that knows nothing yet.
    pub fn new(settings: &settings::Generator, random: &mut Random, device: &B::Device) -> Self {
        let mut channels = settings.width;
        let first = NormedWeights::new([channels, 1, 7, 7], channels, random, device);
        let mut halvings = Vec::new();
        for _ in 0..settings.halvings {
            let shape = [2 * channels, channels, 3, 3];
            halvings.push(NormedWeights::new(shape, 2 * channels, random, device));
            channels *= 2;
        }
        let layer =
            |random: &mut Random| NormedWeights::new([channels, channels, 3, 3], channels, random, device);
        let blocks =
            (0..settings.blocks).map(|_| Block { first: layer(random), second: layer(random) }).collect();
        let mut doublings = Vec::new();
        for _ in 0..settings.halvings {
            doublings.push(NormedWeights::new([channels, channels / 2, 3, 3], channels / 2, random, device));
            channels /= 2;
        }
        Self {
            first,
            halvings,
            blocks,
            doublings,
            last: weights([channels, 1, 7, 7], random, device),
            last_bias: Param::from_tensor(Tensor::zeros([1], device)),
        }
    }

    /// Carries the layers out on a canvas, from faces (faces, 1, height, width) to faces.
    pub fn draw<C: Canvas<B>>(&self, faces: C::Maps, canvas: &mut C) -> C::Maps {
        let mut x = canvas.layer(faces, &self.first, OUTER, 0.0);
        for layer in &self.halvings {
            x = canvas.layer(x, layer, HALVING, 0.0);
        }
        for Block { first, second } in &self.blocks {
            let y = canvas.layer(x.clone(), first, INNER, 0.0);
            let y = canvas.drop(y);
            let y = canvas.layer(y, second, INNER, 1.0);
            x = canvas.add(x, y);
        }
        for layer in &self.doublings {
            let y = canvas.transpose(x, &layer.weights, 0, HALVING);
            x = canvas.norm(y, layer, 0.0);
        }
        // A 7x7 convolution to one channel, written as a transposed one: that unfolds the one channel and not
        // the many.
        let y = canvas.transpose(x, &self.last, 3, LAST);
        let y = canvas.shift(y, &self.last_bias, 1.0);
        canvas.squash(y)
    }
}

impl<B: PlaneKernels> Generator<B> {
    /// Translates faces (faces, 1, height, width).
    pub fn forward(&self, faces: Tensor<B, 4>, pass: &mut Pass<'_>) -> Tensor<B, 4> {
        self.draw(faces, pass)
    }
}
