//! What a network computes, layer after layer: drawn once, then carried out on a device as often as wanted.

use super::table::Table;
use crate::kernels::planes::window::Window;

/// Maps that a network computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(super) usize);

/// Maps of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Lines.
    pub height: usize,
    /// Pixels in a line.
    pub width: usize,
}

impl Shape {
    /// Pixels of a channel.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Numbers of a map.
    pub const fn numbers(self) -> usize {
        self.channels * self.pixels()
    }
}

/// How weights are ordered outside of a device, where they are (taps, inputs, outputs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The same.
    Taps,
    /// (outputs, inputs, taps), as convolutions have them.
    Outputs,
    /// (inputs, outputs, taps), as transposed ones have them.
    Inputs,
}

/// Weights, and where on a device they begin.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    pub at: usize,
    pub taps: usize,
    pub inputs: usize,
    pub outputs: usize,
    order: Order,
}

impl Weights {
    pub const fn count(&self) -> usize {
        self.taps * self.inputs * self.outputs
    }

    /// Where each number, in the order that it has outside, lies on a device.
    fn places(self) -> impl Iterator<Item = usize> {
        let Self { at, taps, inputs, outputs, order } = self;
        (0..self.count()).map(move |index| {
            let (tap, rest) = (index % taps, index / taps);
            let (input, output) = match order {
                Order::Taps => return at + index,
                Order::Outputs => (rest % inputs, rest / inputs),
                Order::Inputs => (rest / outputs, rest % outputs),
            };
            at + (tap * inputs + input) * outputs + output
        })
    }
}

/// Numbers that a network learns.
#[derive(Clone, Copy, Debug)]
enum Parameter {
    Weights(Weights),
    /// One for each channel.
    Channels {
        at: usize,
        count: usize,
    },
}

impl Parameter {
    fn places(self) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Self::Weights(weights) => Box::new(weights.places()),
            Self::Channels { at, count } => Box::new(at..at + count),
        }
    }
}

/// Any convolution, transposed or not: what its pixels see, and what sees its input's.
#[derive(Debug)]
pub struct Convolution {
    pub weights: Weights,
    pub forward: Table,
    pub backward: Table,
}

/// Normalisation where there is a gain, else only a bias; then `slope` times what is negative.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// Where gains begin.
    pub gain: Option<usize>,
    /// Where biases begin.
    pub bias: usize,
    pub slope: f32,
}

/// Something done to maps.
#[derive(Debug)]
pub enum Layer {
    Convolution(Convolution),
    Affine(Affine),
    /// Leaves out values at random; how many of a map were drawn for before.
    Drop {
        before: usize,
    },
    /// Adds other maps.
    Add(Value),
    /// tanh
    Squash,
    /// The greatest of each 2x2 pixels.
    Pool,
    /// The mean over all pixels.
    Mean,
}

/// A layer, and what it is given; its result is the value after those before.
#[derive(Debug)]
pub struct Step {
    pub x: Value,
    pub layer: Layer,
}

/// A network's layers.
#[derive(Debug)]
pub struct Plan {
    /// Of all values: the input, then the result of each step.
    pub shapes: Vec<Shape>,
    pub steps: Vec<Step>,
    parameters: Vec<Parameter>,
    numbers: usize,
}

/// Numbers that kernels load at once: where weights begin is a multiple of this.
const ALIGNMENT: usize = 4;

impl Plan {
    /// One without layers, for maps of this shape.
    pub fn new(input: Shape) -> Self {
        Self { shapes: vec![input], steps: Vec::new(), parameters: Vec::new(), numbers: 0 }
    }

    /// What the network is given.
    pub const fn input(&self) -> Value {
        Value(0)
    }

    pub(super) fn shape(&self, value: Value) -> Shape {
        self.shapes[value.0]
    }

    fn step(&mut self, x: Value, layer: Layer, shape: Shape) -> Value {
        self.steps.push(Step { x, layer });
        self.shapes.push(shape);
        Value(self.steps.len())
    }

    fn channels(&mut self, count: usize) -> usize {
        let at = self.numbers;
        self.parameters.push(Parameter::Channels { at, count });
        self.numbers += count;
        at
    }

    fn through(
        &mut self,
        x: Value,
        outputs: usize,
        order: Order,
        forward: Table,
        (height, width): (usize, usize),
    ) -> Value {
        let (inputs, taps) = (self.shape(x).channels, forward.taps);
        let weights = Weights { at: self.len(), taps, inputs, outputs, order };
        self.parameters.push(Parameter::Weights(weights));
        self.numbers = weights.at + weights.count();
        let backward = forward.inverse(self.shape(x).pixels());
        self.step(
            x,
            Layer::Convolution(Convolution { weights, forward, backward }),
            Shape { channels: outputs, height, width },
        )
    }

    /// `x` through a window, whose weights are (outputs, inputs, taps).
    pub fn convolve(&mut self, x: Value, outputs: usize, window: Window) -> Value {
        self.window(x, outputs, Order::Outputs, window)
    }

    /// The same where weights are (taps, inputs, outputs).
    pub fn convolve_by_taps(&mut self, x: Value, outputs: usize, window: Window) -> Value {
        self.window(x, outputs, Order::Taps, window)
    }

    fn window(&mut self, x: Value, outputs: usize, order: Order, window: Window) -> Value {
        let Shape { height, width, .. } = self.shape(x);
        let side = (window.places(height), window.places(width));
        self.through(x, outputs, order, Table::convolution(window, (height, width)), side)
    }

    /// `x`, reflected by `border` pixels, through the transpose of a window of zero borders, onto maps
    /// `window.stride` times as large; weights are (inputs, outputs, taps).
    pub fn transpose(&mut self, x: Value, outputs: usize, border: usize, window: Window) -> Value {
        let Shape { height, width, .. } = self.shape(x);
        let side = (window.stride * height, window.stride * width);
        self.through(x, outputs, Order::Inputs, Table::transposed(window, border, (height, width)), side)
    }

    /// Normalises each channel, and multiplies what is negative by `slope`: a gain and a bias for each channel.
    pub fn norm(&mut self, x: Value, slope: f32) -> Value {
        let shape = self.shape(x);
        let (gain, bias) = (Some(self.channels(shape.channels)), self.channels(shape.channels));
        self.step(x, Layer::Affine(Affine { gain, bias, slope }), shape)
    }

    /// Adds a bias to each channel, and multiplies what is negative by `slope`.
    pub fn shift(&mut self, x: Value, slope: f32) -> Value {
        let shape = self.shape(x);
        let bias = self.channels(shape.channels);
        self.step(x, Layer::Affine(Affine { gain: None, bias, slope }), shape)
    }

    /// Leaves out values at random.
    pub fn drop(&mut self, x: Value) -> Value {
        let before = self.steps.iter().filter(|step| matches!(step.layer, Layer::Drop { .. }));
        let before = before.map(|step| self.shape(step.x).numbers()).sum();
        self.step(x, Layer::Drop { before }, self.shape(x))
    }

    /// The sum of both.
    pub fn add(&mut self, x: Value, y: Value) -> Value {
        self.step(x, Layer::Add(y), self.shape(x))
    }

    /// tanh
    pub fn squash(&mut self, x: Value) -> Value {
        self.step(x, Layer::Squash, self.shape(x))
    }

    /// The greatest of each 2x2 pixels; a line or column that is left over is left out.
    pub fn pool(&mut self, x: Value) -> Value {
        let Shape { channels, height, width } = self.shape(x);
        self.step(x, Layer::Pool, Shape { channels, height: height / 2, width: width / 2 })
    }

    /// The mean over all pixels.
    pub fn mean(&mut self, x: Value) -> Value {
        let shape = Shape { height: 1, width: 1, ..self.shape(x) };
        self.step(x, Layer::Mean, shape)
    }

    /// Numbers that a network has on a device.
    pub const fn len(&self) -> usize {
        self.numbers.next_multiple_of(ALIGNMENT)
    }

    /// All convolutions' weights.
    pub fn weights(&self) -> impl Iterator<Item = &Weights> {
        self.steps.iter().filter_map(|step| match &step.layer {
            Layer::Convolution(convolution) => Some(&convolution.weights),
            _ => None,
        })
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.parameters.iter().flat_map(|parameter| parameter.places())
    }

    /// Numbers that lie in the order in which layers were drawn, weights and then gains and biases, as they
    /// lie on a device.
    pub fn arrange(&self, values: &[f32]) -> Vec<f32> {
        let mut arranged = vec![0.0; self.len()];
        self.places().zip(values).for_each(|(place, value)| arranged[place] = *value);
        arranged
    }

    /// The opposite.
    pub fn collect(&self, arranged: &[f32]) -> Vec<f32> {
        self.places().filter_map(|place| arranged.get(place).copied()).collect()
    }

    /// Whether a later step takes the same maps: their gradient is already there when it comes to this one.
    pub(super) fn is_taken_later(&self, step: usize, value: Value) -> bool {
        self.steps.iter().skip(step + 1).any(|later| match later.layer {
            Layer::Add(other) => later.x == value || other == value,
            _ => later.x == value,
        })
    }
}
