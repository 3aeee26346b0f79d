//! All steps of a training, and what a killed one goes on from.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nalgebra::DMatrixView;

use super::Trained;
use super::adam::Adam;
use super::examples::Examples;
use super::layer::{self, Layer};
use super::schedule;
use super::settings::Settings;
use super::trained::{Head, Scale, softmax};
use crate::checkpoint::{self, damaged};
use crate::classifier::{EpochResult, Progress};
use crate::error::LearnError;
use crate::random::Random;
use crate::targets::greatest;

/// Validation faces that are asked about at once.
const BATCH: usize = 1024;

/// A training under way.
pub(super) struct Training<'a> {
    pub examples: Examples<'a>,
    /// Rows to learn from.
    pub learn: &'a [usize],
    /// Rows that say after each epoch how good the head is; may be none.
    pub validate: &'a [usize],
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
    best: Option<[Layer; 2]>,
    history: Vec<EpochResult>,
}

/// What a step has come to.
struct Step {
    /// The mean loss of its faces.
    loss: f32,
    /// For how many faces the head preferred the class that is wanted.
    right: usize,
    gradients: [Layer; 2],
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
            Some(layers) => {
                head.layers = layers;
                schedule::best(settings, &history).unwrap_or(last)
            }
            None => last,
        };
        Ok(Trained { head, history, epoch })
    }

    fn begin(&self) -> Result<State, LearnError> {
        let (settings, examples) = (self.settings, self.examples);
        let mut random = Random::new(&[settings.seed, u64::MAX]);
        let layers = [
            Layer::new(examples.dimensions, settings.hidden, &mut random),
            Layer::new(settings.hidden, examples.classes, &mut random),
        ];
        // Made anew whenever training goes on: it is the same.
        let scale = settings.standardise.then(|| Scale::of(examples, self.learn));
        let adam = Adam::new(&layers);
        let state = State { head: Head { layers, scale }, adam, best: None, history: Vec::new() };
        match checkpoint::read(self.state, self.fingerprint)? {
            Some(saved) => self.restore(state, &saved.parts),
            None => Ok(state),
        }
    }

    fn restore(&self, mut state: State, parts: &[Vec<u8>]) -> Result<State, LearnError> {
        let damaged = |reason: &str| damaged(self.state, reason);
        let [weights, mean, square, best, history] = parts else {
            return Err(damaged("it has another number of parts"));
        };
        if !best.is_empty() {
            state.best = Some(state.head.layers.clone());
        }
        let mut places = vec![
            (&mut state.head.layers, weights),
            (&mut state.adam.mean, mean),
            (&mut state.adam.square, square),
        ];
        places.extend(state.best.as_mut().map(|layers| (layers, best)));
        if !places.into_iter().all(|(layers, bytes)| layer::read(layers, bytes)) {
            return Err(damaged("it has another number of weights"));
        }
        state.history = serde_json::from_slice(history).map_err(|error| damaged(&error.to_string()))?;
        Ok(state)
    }

    fn save(&self, state: &State) -> Result<(), LearnError> {
        let [weights, mean, square] =
            [&state.head.layers, &state.adam.mean, &state.adam.square].map(layer::to_bytes);
        let best = state.best.as_ref().map_or_else(Vec::new, layer::to_bytes);
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
        let mut order = self.learn.to_vec();
        random.shuffle(&mut order);
        let steps = order.len().div_ceil(settings.batch_size);
        let (mut loss_sum, mut right, mut seen) = (0.0f64, 0, 0);
        for (step, rows) in order.chunks(settings.batch_size).enumerate() {
            self.check()?;
            let outcome = self.step(&state.head, rows, &mut random);
            if !outcome.loss.is_finite() {
                return Err(LearnError::NotFinite { epoch, step, loss: outcome.loss });
            }
            let count = epoch * steps + step + 1;
            state.adam.step(&mut state.head.layers, &outcome.gradients, (settings, rate), count);
            loss_sum += f64::from(outcome.loss) * rows.len() as f64;
            seen += rows.len();
            right += outcome.right;
            (self.progress)(Progress {
                epoch,
                epochs: settings.epochs,
                step: step + 1,
                steps,
                loss: (loss_sum / seen as f64) as f32,
                accuracy: right as f32 / seen as f32,
            });
        }
        // Before a checkpoint is written over the last good one.
        let mut numbers = state.head.layers.iter().flat_map(Layer::parts).flatten();
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
            loss: (loss_sum / seen as f64) as f32,
            accuracy: right as f32 / seen as f32,
            validation,
            validation_loss,
            learning_rate: rate,
        });
        if schedule::best(settings, &state.history) == Some(epoch) {
            state.best = Some(state.head.layers.clone());
        }
        Ok(())
    }

    /// Loss and gradients over these rows.
    fn step(&self, head: &Head, rows: &[usize], random: &mut Random) -> Step {
        let (settings, targets) = (self.settings, self.examples.targets());
        let x = self.gather(head, rows, Some(random));
        let x = DMatrixView::from_slice(&x, self.examples.dimensions, rows.len());
        let [first, last] = &head.layers;
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
        let total: f32 = rows.iter().map(|row| targets.weight(*row)).sum::<f32>().max(f32::MIN_POSITIVE);
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
        let gradients = [Layer::gradients(&x, &back), last_gradients];
        Step { loss: loss / total, right, gradients }
    }

    /// Features of these rows as the first layer takes them, one row after the other. With random numbers each is that of the face or of its mirror image.
    fn gather(&self, head: &Head, rows: &[usize], mut random: Option<&mut Random>) -> Vec<f32> {
        let mut features = Vec::with_capacity(rows.len() * self.examples.dimensions);
        let has_mirrored = self.examples.mirrored.is_some();
        for row in rows {
            let mirrored = has_mirrored && random.as_deref_mut().is_some_and(|random| random.below(2) == 1);
            features.extend_from_slice(self.examples.row(*row, mirrored));
        }
        head.scaled(&mut features);
        features
    }

    fn smoothed(&self, target: &[f32]) -> Vec<f32> {
        let (smoothing, classes) = (self.settings.label_smoothing, target.len() as f32);
        target.iter().map(|value| (1.0 - smoothing) * value + smoothing / classes).collect()
    }

    /// Accuracy and mean loss on the validation rows, by their targets as they are, all alike; none without such rows.
    fn judge(&self, head: &Head) -> Result<Option<(f32, f32)>, LearnError> {
        if self.validate.is_empty() {
            return Ok(None);
        }
        let targets = self.examples.targets();
        let (mut right, mut loss) = (0, 0.0f64);
        for rows in self.validate.chunks(BATCH) {
            self.check()?;
            let x = self.gather(head, rows, None);
            let logits = head.logits(&DMatrixView::from_slice(&x, self.examples.dimensions, rows.len()));
            for (logits, row) in logits.column_iter().zip(rows) {
                right += usize::from(greatest(logits.as_slice()) == targets.label(*row));
                loss += f64::from(cross_entropy(logits.as_slice(), targets.of(*row)));
            }
        }
        let count = self.validate.len();
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
    use std::path::Path;

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
            learn: &rows,
            validate: &[],
            settings: &settings,
            fingerprint: "",
            state: Path::new("nowhere"),
            progress: &|_| {},
            epoch_done: &|_| {},
            cancelled: &cancelled,
        };
        let scale = Some(Scale::of(examples, &rows));
        let layers = [Layer::new(dimensions, 6, &mut random), Layer::new(6, classes, &mut random)];
        let head = Head { layers, scale };
        let run = |head: &Head| training.step(head, &rows, &mut Random::new(&[3]));
        let found = run(&head).gradients;
        for (layer, part) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for (at, gradient) in found[layer].parts()[part].iter().enumerate() {
                let moved = |by: f32| {
                    let mut head = head.clone();
                    head.layers[layer].parts_mut()[part][at] += by;
                    f64::from(run(&head).loss)
                };
                let (slope, gradient) = ((moved(1e-2) - moved(-1e-2)) / 2e-2, f64::from(*gradient));
                assert!((slope - gradient).abs() < 2e-3, "{layer} {part} {at}: {slope} {gradient}");
            }
        }
    }
}
