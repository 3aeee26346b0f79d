//! The backbone's last convolutions, where these learn as well, with their gradients.
//!
//! Features are then maps, channel by channel as ONNX lays them; on their way they lie as `Grid` says.

use ferroflow_onnx::Convolution;

use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::kernels::{conv, pool, relu};

/// Faces that are computed at once where nothing is learnt from them.
const BATCH: usize = 32;

/// The backbone's last convolutions, and what the first of them takes.
#[derive(Clone, Copy, Debug)]
pub struct Unfrozen<'a> {
    /// From the first to the last.
    pub convolutions: &'a [Convolution],
    /// Lines of a map of the features.
    pub height: usize,
    /// Numbers in such a line.
    pub width: usize,
}

/// The numbers of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    /// `9 * inputs` x outputs, as `conv` takes them.
    weights: Vec<f32>,
    /// One for each output.
    bias: Vec<f32>,
}

impl Kernel {
    pub fn zeros(&self) -> Self {
        Self { weights: vec![0.0; self.weights.len()], bias: vec![0.0; self.bias.len()] }
    }

    /// Its numbers, weights first.
    pub fn parts(&self) -> [&[f32]; 2] {
        [&self.weights, &self.bias]
    }

    /// As [`Kernel::parts`].
    pub fn parts_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.weights, &mut self.bias]
    }
}

/// A convolution without its numbers.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    kernel_name: String,
    bias_name: String,
    inputs: usize,
    outputs: usize,
    pool: bool,
}

/// Which convolutions follow each other, over maps of which size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    steps: Vec<Step>,
    height: usize,
    width: usize,
}

/// What became of faces on their way.
pub(super) struct Trace {
    /// Each step's layout, and where its input and its answer before the maximum lie among the maps.
    at: Vec<(Grid, usize, usize)>,
    maps: Vec<Vec<f32>>,
    /// The layout of the last map.
    last: Grid,
}

impl Plan {
    /// How features of so many numbers go through the convolutions, and the numbers of these.
    pub fn of(unfrozen: Unfrozen<'_>, dimensions: usize) -> Result<(Self, Vec<Kernel>), LearnError> {
        let Unfrozen { convolutions, height, width } = unfrozen;
        let refuse = |reason: String| Err(LearnError::Unfrozen(reason));
        let Some(first) = convolutions.first() else { return refuse("there are none".into()) };
        if first.inputs * height * width != dimensions || dimensions == 0 {
            return refuse(format!(
                "the first takes {} maps of {height}x{width}, and {dimensions} features are given",
                first.inputs
            ));
        }
        let (mut channels, mut grid) = (first.inputs, Grid { faces: 1, height, width });
        let (mut steps, mut kernels) = (Vec::new(), Vec::new());
        for Convolution { kernel_name, bias_name, inputs, outputs, kernel, bias, pool } in convolutions {
            if (*inputs, 9 * inputs * outputs, *outputs) != (channels, kernel.len(), bias.len())
                || *outputs == 0
            {
                return refuse(format!(
                    "`{kernel_name}` takes {inputs} maps and gets {channels}, or has too few weights"
                ));
            }
            if *pool {
                grid = grid.halved();
            }
            if grid.pixels() == 0 {
                return refuse(format!("nothing is left of maps of {height}x{width} behind `{kernel_name}`"));
            }
            steps.push(Step {
                kernel_name: kernel_name.clone(),
                bias_name: bias_name.clone(),
                inputs: *inputs,
                outputs: *outputs,
                pool: *pool,
            });
            let mut weights = vec![0.0; kernel.len()];
            for (at, place) in places(*inputs, *outputs).enumerate() {
                weights[place] = kernel[at];
            }
            kernels.push(Kernel { weights, bias: bias.clone() });
            channels = *outputs;
        }
        Ok((Self { steps, height, width }, kernels))
    }

    fn grid(&self, faces: usize) -> Grid {
        Grid { faces, height: self.height, width: self.width }
    }

    /// Numbers of a face that the first takes.
    pub fn inputs(&self) -> usize {
        self.steps.first().map_or(0, |step| step.inputs) * self.height * self.width
    }

    /// Numbers of a face that the last gives.
    pub fn outputs(&self) -> usize {
        let halvings = self.steps.iter().filter(|step| step.pool).count();
        let last = (0..halvings).fold(self.grid(1), |grid, _| grid.halved());
        self.steps.last().map_or(0, |step| step.outputs) * last.pixels()
    }

    /// What the convolutions make of faces, given one after the other.
    pub fn answers(&self, kernels: &[Kernel], features: &[f32]) -> Vec<f32> {
        let pieces = features.chunks(BATCH * self.inputs().max(1));
        pieces.flat_map(|piece| self.forward(kernels, piece).answer()).collect()
    }

    /// The same with all that [`Plan::backward`] needs.
    pub fn forward(&self, kernels: &[Kernel], features: &[f32]) -> Trace {
        let mut grid = self.grid(features.len() / self.inputs().max(1));
        let mut maps = vec![spread(features, grid)];
        let mut at = Vec::with_capacity(self.steps.len());
        for (step, kernel) in self.steps.iter().zip(kernels) {
            let input = maps.len() - 1;
            let sums = conv::forward(&maps[input], &kernel.weights, grid, step.inputs, step.outputs);
            maps.push(relu::forward(&sums, &kernel.bias, grid));
            at.push((grid, input, input + 1));
            if step.pool {
                maps.push(pool::forward(&maps[input + 1], grid, step.outputs));
                grid = grid.halved();
            }
        }
        Trace { at, maps, last: grid }
    }

    /// The gradients of all convolutions, where `gradient` is that of what they made, face by face.
    pub fn backward(&self, kernels: &[Kernel], trace: &Trace, gradient: &[f32]) -> Vec<Kernel> {
        let mut gradient = spread(gradient, trace.last);
        let mut gradients = Vec::with_capacity(kernels.len());
        let steps = self.steps.iter().zip(kernels).zip(&trace.at).enumerate();
        for (index, ((step, kernel), (grid, input, answer))) in steps.rev() {
            let (inputs, outputs) = (step.inputs, step.outputs);
            let (x, y) = (&trace.maps[*input], &trace.maps[*answer]);
            if step.pool {
                gradient = pool::backward(y, &gradient, *grid, outputs);
            }
            let bias = relu::backward(y, &mut gradient, outputs);
            let weights = conv::weights_backward(x, &gradient, *grid, inputs, outputs);
            gradients.push(Kernel { weights, bias });
            if index > 0 {
                gradient = conv::input_backward(&gradient, &kernel.weights, *grid, inputs, outputs);
            }
        }
        gradients.reverse();
        gradients
    }

    /// The names of the initialisers, and what is to stand there.
    pub fn initialisers(&self, kernels: &[Kernel]) -> Vec<(&str, Vec<f32>)> {
        let pairs = self.steps.iter().zip(kernels);
        let both = pairs.flat_map(|(step, Kernel { weights, bias })| {
            let kernel = places(step.inputs, step.outputs).map(|place| weights[place]).collect();
            [(step.kernel_name.as_str(), kernel), (step.bias_name.as_str(), bias.clone())]
        });
        both.collect()
    }
}

impl Trace {
    /// What the convolutions made, face by face and channel by channel.
    pub fn answer(&self) -> Vec<f32> {
        let Grid { faces, height, width } = self.last;
        let Some(map) = self.maps.last() else { return Vec::new() };
        let channels = map.len() / self.last.rows();
        let mut answer = Vec::with_capacity(channels * self.last.pixels());
        for face in 0..faces {
            for channel in 0..channels {
                for y in 0..height {
                    let row = self.last.row(face, y);
                    answer.extend((row..row + width).map(|row| map[row * channels + channel]));
                }
            }
        }
        answer
    }
}

/// Where each number of an ONNX kernel (outputs x inputs x 3 x 3) lies for `conv` (3 x 3 x inputs x outputs).
fn places(inputs: usize, outputs: usize) -> impl Iterator<Item = usize> {
    let taps =
        move |output: usize, input: usize| (0..9).map(move |tap| (tap * inputs + input) * outputs + output);
    (0..outputs).flat_map(move |output| (0..inputs).flat_map(move |input| taps(output, input)))
}

/// Maps, face by face and channel by channel, as the grid lays them.
fn spread(maps: &[f32], grid: Grid) -> Vec<f32> {
    let channels = maps.len() / grid.pixels().max(1);
    let mut x = vec![0.0; grid.rows() * channels];
    let mut values = maps.iter();
    for face in 0..grid.faces {
        for channel in 0..channels {
            for y in 0..grid.height {
                let row = grid.row(face, y);
                for (row, value) in (row..row + grid.width).zip(&mut values) {
                    x[row * channels + channel] = *value;
                }
            }
        }
    }
    x
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::random::Random;

    fn convolution(inputs: usize, outputs: usize, pool: bool, random: &mut Random) -> Convolution {
        Convolution {
            kernel_name: format!("{inputs}.weight"),
            bias_name: format!("{inputs}.bias"),
            inputs,
            outputs,
            kernel: (0..9 * inputs * outputs).map(|_| 0.3 * random.normal()).collect(),
            bias: (0..outputs).map(|_| 0.3 * random.normal()).collect(),
            pool,
        }
    }

    /// Maps of 2 x 5 x 4 become 4 of 1 x 1.
    fn convolutions() -> [Convolution; 3] {
        let mut random = Random::new(&[5]);
        [(2, 3, true), (3, 5, false), (5, 4, true)]
            .map(|(inputs, outputs, pool)| convolution(inputs, outputs, pool, &mut random))
    }

    fn plan(convolutions: &[Convolution]) -> (Plan, Vec<Kernel>) {
        Plan::of(Unfrozen { convolutions, height: 5, width: 4 }, 40).unwrap()
    }

    fn features(faces: usize) -> Vec<f32> {
        let mut random = Random::new(&[6]);
        (0..faces * 40).map(|_| random.normal()).collect()
    }

    #[test]
    fn convolutions_are_those_of_plain_loops() {
        let all = convolutions();
        let (plan, kernels) = plan(&all);
        assert_eq!((plan.inputs(), plan.outputs()), (40, 4));
        // More than are computed at once.
        let features = features(BATCH + 3);
        let found = plan.answers(&kernels, &features);
        for (features, found) in features.chunks_exact(40).zip(found.chunks_exact(4)) {
            let (mut x, mut height, mut width) = (features.to_vec(), 5usize, 4usize);
            for Convolution { inputs, outputs, kernel, bias, pool, .. } in &all {
                let mut y = Vec::new();
                for output in 0..*outputs {
                    for place in 0..height * width {
                        let mut sum = bias[output];
                        for input in 0..*inputs {
                            for tap in 0..9 {
                                let line = (place / width + tap / 3).wrapping_sub(1);
                                let column = (place % width + tap % 3).wrapping_sub(1);
                                if line < height && column < width {
                                    sum += kernel[(output * inputs + input) * 9 + tap]
                                        * x[(input * height + line) * width + column];
                                }
                            }
                        }
                        y.push(sum.max(0.0));
                    }
                }
                if *pool {
                    let at = |output: usize, line: usize, column: usize| {
                        y[(output * height + line) * width + column]
                    };
                    let mut halved = Vec::new();
                    for output in 0..*outputs {
                        for (line, column) in
                            (0..height / 2).flat_map(|line| (0..width / 2).map(move |column| (line, column)))
                        {
                            let four = [(0, 0), (0, 1), (1, 0), (1, 1)];
                            let four =
                                four.map(|(down, right)| at(output, 2 * line + down, 2 * column + right));
                            halved.push(four.into_iter().fold(0.0, f32::max));
                        }
                    }
                    (y, height, width) = (halved, height / 2, width / 2);
                }
                x = y;
            }
            assert_eq!(x.len(), 4);
            for (found, expected) in found.iter().zip(&x) {
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn kernels_come_back_as_they_were_given() {
        let all = convolutions();
        let (plan, kernels) = plan(&all);
        let back = plan.initialisers(&kernels);
        assert_eq!(back[0], ("2.weight", all[0].kernel.clone()));
        assert_eq!(back[5], ("5.bias", all[2].bias.clone()));
    }

    #[test]
    fn gradients_are_the_slopes_of_the_answers() {
        let all = convolutions();
        let (plan, kernels) = plan(&all);
        let features = features(3);
        let mut random = Random::new(&[8]);
        let gradient: Vec<f32> = (0..12).map(|_| random.normal()).collect();
        let trace = plan.forward(&kernels, &features);
        let found = plan.backward(&kernels, &trace, &gradient);
        let mut checked = 0;
        for step in 0..3 {
            for part in 0..2 {
                for (at, slope) in found[step].parts()[part].iter().enumerate() {
                    let moved = |by: f32| {
                        let mut kernels = kernels.clone();
                        kernels[step].parts_mut()[part][at] += by;
                        let answers = plan.answers(&kernels, &features);
                        answers.iter().zip(&gradient).map(|(a, b)| f64::from(a * b)).sum::<f64>()
                    };
                    let expected = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                    assert!(
                        (expected - f64::from(*slope)).abs() < 0.02,
                        "{step} {part} {at}: {slope} {expected}"
                    );
                    checked += usize::from(*slope != 0.0);
                }
            }
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn convolutions_that_do_not_fit_are_refused() {
        let all = convolutions();
        let refused = |convolutions: &[Convolution], dimensions| {
            Plan::of(Unfrozen { convolutions, height: 5, width: 4 }, dimensions).unwrap_err().to_string()
        };
        assert!(refused(&all, 41).contains("the first takes 2 maps of 5x4, and 41 features are given"));
        assert!(refused(&all[..0], 40).contains("there are none"));
        let error = refused(&[all[0].clone(), all[2].clone()], 40);
        assert!(error.contains("`5.weight` takes 5 maps and gets 3"), "{error}");
        let mut random = Random::new(&[1]);
        let mut deep = all.to_vec();
        deep.push(convolution(4, 4, true, &mut random));
        assert!(refused(&deep, 40).contains("nothing is left of maps of 5x4"), "{}", refused(&deep, 40));
    }
}
