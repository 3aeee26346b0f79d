//! All steps of a training, and what a killed one goes on from.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nalgebra::DMatrixView;

use super::Trained;
use super::adam::Adam;
use super::blocks::{Kernel, Plan, Unfrozen};
use super::examples::Examples;
use super::layer::Layer;
use super::schedule;
use super::settings::Settings;
use super::trained::{Head, Scale, softmax};
use super::weights::Weights;
use crate::checkpoint::{self, damaged};
use crate::classifier::{EpochResult, Progress};
use crate::error::LearnError;
use crate::random::Random;
use crate::run::Split;
use crate::targets::greatest;

/// Validation faces that are asked about at once; fewer where they go through convolutions.
const BATCH: usize = 1024;
const CONVOLUTION_BATCH: usize = 64;

/// A training under way.
pub(super) struct Training<'a> {
    pub examples: Examples<'a>,
    /// The backbone's last convolutions, if they learn as well.
    pub unfrozen: Option<Unfrozen<'a>>,
    pub split: Split<'a>,
    pub settings: &'a Settings,
    pub fingerprint: &'a str,
    /// The checkpoint.
    pub state: &'a Path,
    pub progress: &'a dyn Fn(Progress),
    pub epoch_done: &'a dyn Fn(&[EpochResult]),
    pub cancelled: &'a AtomicBool,
}

/// Where a training stands.
struct State {
    head: Head,
    adam: Adam,
    /// The best on the validation rows so far.
    best: Option<Weights>,
    history: Vec<EpochResult>,
}

/// What a step has come to.
struct Step {
    /// The mean loss of its faces.
    loss: f32,
    /// For how many faces the head preferred the class that is wanted.
    right: usize,
    gradients: Weights,
}

impl Training<'_> {
    /// Trains to the end, from the checkpoint if there is one.
    pub fn run(&self) -> Result<Trained, LearnError> {
        let settings = self.settings;
        let mut state = self.begin()?;
        while state.history.len() < settings.epochs && !schedule::is_over(settings, &state.history) {
            self.epoch(&mut state)?;
            self.save(&state)?;
            (self.epoch_done)(&state.history);
        }
        let State { mut head, best, history, .. } = state;
        let last = history.len() - 1;
        let epoch = match best.filter(|_| settings.keep_best) {
            Some(weights) => {
                head.weights = weights;
                schedule::best(settings, &history).unwrap_or(last)
            }
            None => last,
        };
        Ok(Trained { head, history, epoch })
    }

    fn begin(&self) -> Result<State, LearnError> {
        let (settings, examples) = (self.settings, self.examples);
        let mut random = Random::new(&[settings.seed, u64::MAX]);
        let (plan, kernels) = match self.unfrozen {
            Some(unfrozen) => {
                let (plan, kernels) = Plan::of(unfrozen, examples.dimensions)?;
                (Some(plan), kernels)
            }
            None => (None, Vec::new()),
        };
        let inputs = plan.as_ref().map_or(examples.dimensions, Plan::outputs);
        let layers = [
            Layer::new(inputs, settings.hidden, &mut random),
            Layer::new(settings.hidden, examples.classes, &mut random),
        ];
        // Made anew whenever training goes on: it is the same.
        let scale = match (&plan, settings.standardise) {
            (_, false) => None,
            (None, true) => Some(Scale::of(examples, self.split.learn)),
            (Some(plan), true) => Some(self.scale_behind(plan, &kernels)?),
        };
        let weights = Weights { kernels, layers };
        let adam = Adam::new(&weights);
        let state = State { head: Head { weights, plan, scale }, adam, best: None, history: Vec::new() };
        match checkpoint::read(self.state, self.fingerprint)? {
            Some(saved) => self.restore(state, &saved.parts),
            None => Ok(state),
        }
    }

    /// How what the convolutions give at first is standardised.
    fn scale_behind(&self, plan: &Plan, kernels: &[Kernel]) -> Result<Scale, LearnError> {
        let ways: &[bool] = if self.examples.mirrored.is_some() { &[false, true] } else { &[false] };
        let mut answers = Vec::with_capacity(self.split.learn.len() * ways.len() * plan.outputs());
        for row in self.split.learn {
            self.check()?;
            for way in ways {
                answers.extend(plan.answers(kernels, self.examples.row(*row, *way)));
            }
        }
        let rows: Vec<usize> = (0..self.split.learn.len() * ways.len()).collect();
        let behind =
            Examples { features: &answers, mirrored: None, dimensions: plan.outputs(), ..self.examples };
        Ok(Scale::of(behind, &rows))
    }

    fn restore(&self, mut state: State, parts: &[Vec<u8>]) -> Result<State, LearnError> {
        let damaged = |reason: &str| damaged(self.state, reason);
        let [weights, mean, square, best, history] = parts else {
            return Err(damaged("it has another number of parts"));
        };
        if !best.is_empty() {
            state.best = Some(state.head.weights.clone());
        }
        let mut places = vec![
            (&mut state.head.weights, weights),
            (&mut state.adam.mean, mean),
            (&mut state.adam.square, square),
        ];
        places.extend(state.best.as_mut().map(|weights| (weights, best)));
        if !places.into_iter().all(|(weights, bytes)| weights.read(bytes)) {
            return Err(damaged("it has another number of weights"));
        }
        state.history = serde_json::from_slice(history).map_err(|error| damaged(&error.to_string()))?;
        Ok(state)
    }

    fn save(&self, state: &State) -> Result<(), LearnError> {
        let [weights, mean, square] =
            [&state.head.weights, &state.adam.mean, &state.adam.square].map(Weights::to_bytes);
        let best = state.best.as_ref().map_or_else(Vec::new, Weights::to_bytes);
        let history =
            serde_json::to_vec(&state.history).map_err(|error| LearnError::Record(error.to_string()))?;
        let parts = [&weights, &mean, &square, &best, &history].map(Vec::as_slice);
        checkpoint::write(self.state, self.fingerprint, state.history.len(), &parts)
    }

    fn epoch(&self, state: &mut State) -> Result<(), LearnError> {
        let settings = self.settings;
        let epoch = state.history.len();
        let rate = schedule::learning_rate(settings, &state.history);
        let mut random = Random::new(&[settings.seed, epoch as u64]);
        let mut order = self.split.learn.to_vec();
        random.shuffle(&mut order);
        let steps = order.len().div_ceil(settings.batch_size);
        let (mut loss_sum, mut weight_sum, mut right, mut seen) = (0.0f64, 0.0f64, 0, 0);
        for (step, rows) in order.chunks(settings.batch_size).enumerate() {
            self.check()?;
            let outcome = self.step(&state.head, rows, &mut random);
            if !outcome.loss.is_finite() {
                return Err(LearnError::NotFinite { epoch, step, loss: outcome.loss });
            }
            let count = epoch * steps + step + 1;
            state.adam.step(&mut state.head.weights, &outcome.gradients, (settings, rate), count);
            let weight = f64::from(self.total(rows));
            (loss_sum, weight_sum) = (loss_sum + f64::from(outcome.loss) * weight, weight_sum + weight);
            seen += rows.len();
            right += outcome.right;
            (self.progress)(Progress {
                epoch,
                epochs: settings.epochs,
                step: step + 1,
                steps,
                loss: (loss_sum / weight_sum) as f32,
                accuracy: right as f32 / seen as f32,
            });
        }
        // Before a checkpoint is written over the last good one.
        let mut numbers = state.head.weights.parts().flatten();
        if let Some(bad) = numbers.find(|value| !value.is_finite()) {
            return Err(LearnError::NotFinite { epoch, step: steps, loss: *bad });
        }
        let (validation, validation_loss) = match self.judge(&state.head)? {
            Some((_, loss)) if !loss.is_finite() => {
                return Err(LearnError::NotFinite { epoch, step: steps, loss });
            }
            measured => measured.unzip(),
        };
        state.history.push(EpochResult {
            loss: (loss_sum / weight_sum) as f32,
            accuracy: right as f32 / seen as f32,
            validation,
            validation_loss,
            learning_rate: rate,
        });
        if schedule::best(settings, &state.history) == Some(epoch) {
            state.best = Some(state.head.weights.clone());
        }
        Ok(())
    }

    /// The sum of the weights of some rows, by which their losses are divided.
    fn total(&self, rows: &[usize]) -> f32 {
        let targets = self.examples.targets();
        rows.iter().map(|row| targets.weight(*row)).sum::<f32>().max(f32::MIN_POSITIVE)
    }

    /// Loss and gradients over these rows.
    fn step(&self, head: &Head, rows: &[usize], random: &mut Random) -> Step {
        let (settings, targets) = (self.settings, self.examples.targets());
        let Weights { kernels, layers: [first, last] } = &head.weights;
        let mut x = self.gather(rows, Some(random));
        let way = head.plan.as_ref().map(|plan| (plan, plan.forward(kernels, &x)));
        if let Some((_, trace)) = &way {
            x = trace.answer();
        }
        head.scaled(&mut x);
        let x = DMatrixView::from_slice(&x, first.inputs(), rows.len());
        let mut hidden = first.forward(&x);
        // Zero for what is not above zero or left out, 1 / (1 - dropout) for what is kept.
        let kept = 1.0 / (1.0 - settings.dropout);
        let mut factor = |value: f32| {
            let is_out = settings.dropout > 0.0 && random.unit() < settings.dropout;
            if is_out || value <= 0.0 { 0.0 } else { kept }
        };
        let factors = hidden.map(&mut factor);
        hidden.component_mul_assign(&factors);
        let logits = last.forward(&hidden.as_view());
        let total = self.total(rows);
        let (mut loss, mut right) = (0.0, 0);
        let mut answers = logits.clone();
        softmax(&mut answers);
        let mut slopes = answers;
        for ((mut slope, logits), row) in slopes.column_iter_mut().zip(logits.column_iter()).zip(rows) {
            let (weight, wanted) = (targets.weight(*row), self.smoothed(targets.of(*row)));
            right += usize::from(greatest(logits.as_slice()) == targets.label(*row));
            loss += weight * cross_entropy(logits.as_slice(), &wanted);
            // Targets may sum to a little more or less than 1.
            let sum: f32 = wanted.iter().sum();
            let numbers = slope.iter_mut().zip(&wanted);
            numbers.for_each(|(slope, wanted)| *slope = (*slope * sum - wanted) * weight / total);
        }
        let last_gradients = Layer::gradients(&hidden.as_view(), &slopes);
        let mut back = last.back(&slopes);
        back.component_mul_assign(&factors);
        let layers = [Layer::gradients(&x, &back), last_gradients];
        let kernels = match way {
            Some((plan, trace)) => {
                let mut gradient = first.back(&back);
                if let Some(scale) = &head.scale {
                    gradient.column_iter_mut().for_each(|mut face| scale.back(face.as_mut_slice()));
                }
                plan.backward(kernels, &trace, gradient.as_slice())
            }
            None => Vec::new(),
        };
        Step { loss: loss / total, right, gradients: Weights { kernels, layers } }
    }

    /// Features of these rows, one row after the other. With random numbers each is that of the face or of
    /// its mirror image.
    fn gather(&self, rows: &[usize], mut random: Option<&mut Random>) -> Vec<f32> {
        let mut features = Vec::with_capacity(rows.len() * self.examples.dimensions);
        let has_mirrored = self.examples.mirrored.is_some();
        for row in rows {
            let mirrored = has_mirrored && random.as_deref_mut().is_some_and(|random| random.below(2) == 1);
            features.extend_from_slice(self.examples.row(*row, mirrored));
        }
        features
    }

    fn smoothed(&self, target: &[f32]) -> Vec<f32> {
        let (smoothing, classes) = (self.settings.label_smoothing, target.len() as f32);
        target.iter().map(|value| (1.0 - smoothing) * value + smoothing / classes).collect()
    }

    /// Accuracy and mean loss on the validation rows, by their targets as they are, all alike; none without
    /// such rows.
    fn judge(&self, head: &Head) -> Result<Option<(f32, f32)>, LearnError> {
        if self.split.validate.is_empty() {
            return Ok(None);
        }
        let targets = self.examples.targets();
        let (mut right, mut loss) = (0, 0.0f64);
        let batch = if head.plan.is_some() { CONVOLUTION_BATCH } else { BATCH };
        for rows in self.split.validate.chunks(batch) {
            self.check()?;
            let logits = head.logits(&self.gather(rows, None));
            for (logits, row) in logits.column_iter().zip(rows) {
                right += usize::from(greatest(logits.as_slice()) == targets.label(*row));
                loss += f64::from(cross_entropy(logits.as_slice(), targets.of(*row)));
            }
        }
        let count = self.split.validate.len();
        Ok(Some((right as f32 / count as f32, (loss / count as f64) as f32)))
    }

    fn check(&self) -> Result<(), LearnError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(LearnError::Cancelled) } else { Ok(()) }
    }
}

/// - sum of wanted * log(softmax(logits)).
fn cross_entropy(logits: &[f32], wanted: &[f32]) -> f32 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
    let log_sum = greatest + sum.ln();
    logits.iter().zip(wanted).map(|(logit, wanted)| wanted * (log_sum - logit)).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::path::Path;

    use ferroflow_onnx::Convolution;

    use super::*;

    /// Each gradient against the slope of the loss between two points close by.
    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let (dimensions, classes, rows) = (5, 3, [0, 1, 2, 3]);
        let mut random = Random::new(&[7]);
        let features: Vec<f32> = (0..4 * dimensions).map(|_| random.normal()).collect();
        let targets = [1.0, 0.0, 0.0, 0.2, 0.3, 0.5, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let weights = [1.0, 2.0, 0.5, 0.0];
        let examples = Examples {
            features: &features,
            mirrored: None,
            dimensions,
            targets: &targets,
            weights: Some(&weights),
            classes,
        };
        let settings = Settings { dropout: 0.4, label_smoothing: 0.1, hidden: 6, ..Settings::default() };
        let cancelled = AtomicBool::new(false);
        let training = Training {
            examples,
            unfrozen: None,
            split: Split { learn: &rows, validate: &[] },
            settings: &settings,
            fingerprint: "",
            state: Path::new("nowhere"),
            progress: &|_| {},
            epoch_done: &|_| {},
            cancelled: &cancelled,
        };
        let kernel = (0..9 * dimensions * 4).map(|_| 0.5 * random.normal()).collect();
        let convolution = Convolution {
            kernel_name: String::new(),
            bias_name: String::new(),
            inputs: dimensions,
            outputs: 4,
            kernel,
            bias: vec![0.1, 0.2, -0.1, 0.3],
            pool: false,
        };
        let unfrozen = Unfrozen { convolutions: &[convolution], height: 1, width: 1 };
        let (plan, kernels) = Plan::of(unfrozen, dimensions).unwrap();
        let heads = [
            Head {
                weights: Weights {
                    kernels: Vec::new(),
                    layers: [Layer::new(dimensions, 6, &mut random), Layer::new(6, classes, &mut random)],
                },
                plan: None,
                scale: Some(Scale::of(examples, &rows)),
            },
            Head {
                scale: Some(training.scale_behind(&plan, &kernels).unwrap()),
                weights: Weights {
                    kernels,
                    layers: [Layer::new(4, 6, &mut random), Layer::new(6, classes, &mut random)],
                },
                plan: Some(plan),
            },
        ];
        for head in heads {
            let run = |head: &Head| training.step(head, &rows, &mut Random::new(&[3]));
            let found = run(&head).gradients;
            for (part, gradients) in found.parts().enumerate() {
                for (at, gradient) in gradients.iter().enumerate() {
                    let moved = |by: f32| {
                        let mut head = head.clone();
                        if let Some(values) = head.weights.parts_mut().nth(part) {
                            values[at] += by;
                        }
                        f64::from(run(&head).loss)
                    };
                    let (slope, gradient) = ((moved(1e-2) - moved(-1e-2)) / 2e-2, f64::from(*gradient));
                    assert!((slope - gradient).abs() < 2e-3, "{part} {at}: {slope} {gradient}");
                }
            }
        }
    }
}
