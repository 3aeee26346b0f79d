//! All steps of a training, and what a killed one goes on from.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::Flex;

use super::examples::{Examples, greatest};
use super::learner::{CpuLearner, Learner};
use super::loader::Loader;
use super::network::Network;
use super::prediction::{TestTimeAugmentation, moments, probabilities};
use super::settings::Settings;
use super::step::Steps;
use super::trained::{About, Classifier};
use super::{EpochResult, Progress};
use crate::allocator;
use crate::checkpoint::{self, damaged};
use crate::error::LearnError;
use crate::kernels::norm::Moments;
use crate::random::Random;
use crate::run::Split;

/// What a training comes to.
pub(crate) struct Outcome {
    /// The best network on the validation rows, without any the last.
    pub classifier: Classifier,
    /// What each epoch has come to.
    pub history: Vec<EpochResult>,
    /// What it says of the rows that are asked about: probabilities, rows x classes.
    pub answers: Vec<f32>,
}

/// A training under way.
pub(crate) struct Training<'a> {
    pub examples: Examples<'a>,
    pub split: Split<'a>,
    /// Rows that it is asked about in the end; may be none.
    pub ask: &'a [usize],
    pub settings: &'a Settings,
    /// What to begin with, instead of chance.
    pub begin: Option<&'a Classifier>,
    /// Sets the random numbers of several trainings of one seed apart.
    pub stream: u64,
    pub fingerprint: &'a str,
    /// The checkpoint.
    pub state: &'a Path,
    pub threads: usize,
    /// Threads that make ready what steps learn from.
    pub loader_threads: usize,
    pub progress: &'a dyn Fn(Progress),
    pub epoch_done: &'a dyn Fn(&[EpochResult]),
    pub cancelled: &'a AtomicBool,
}

/// Where a training stands.
struct State<P> {
    learner: P,
    /// The best on the validation rows so far.
    best: Option<Classifier>,
    history: Vec<EpochResult>,
}

impl Training<'_> {
    /// Trains on the CPU to the end, from the checkpoint if there is one.
    pub fn run(&self) -> Result<Outcome, LearnError> {
        allocator::keep();
        let steps = Steps { examples: self.examples, threads: self.threads };
        let (layers, classes) = (&self.settings.layers, self.examples.classes);
        let network = Network::from_values(layers, classes, &self.first_values(), &Default::default());
        let network = network.ok_or_else(|| damaged(self.state, "it began from another network"))?;
        self.teach(CpuLearner::new(steps, network, self.settings))
    }

    /// The weights to begin with.
    pub(super) fn first_values(&self) -> Vec<f32> {
        if let Some(begin) = self.begin {
            return begin.network.values();
        }
        let mut random = Random::new(&[self.settings.seed, self.stream, u64::MAX]);
        let (layers, classes) = (&self.settings.layers, self.examples.classes);
        Network::<Flex>::new(layers, classes, &mut random, &Default::default()).values()
    }

    /// The same with a network wherever it is.
    pub(super) fn teach(&self, learner: impl Learner) -> Result<Outcome, LearnError> {
        let mut state = self.resume(learner)?;
        while state.history.len() < self.settings.epochs && !self.is_over(&state.history) {
            state = self.epoch(state)?;
            self.save(&mut state)?;
            (self.epoch_done)(&state.history);
        }
        let (faces, history) = (self.examples.faces, state.history);
        if let Some(classifier) = state.best {
            let answers =
                classifier.probabilities(faces, self.ask, TestTimeAugmentation::Four, self.cancelled)?;
            return Ok(Outcome { classifier, history, answers });
        }
        let mut learner = state.learner;
        let moments = self.moments(&mut learner)?;
        let answers = probabilities(
            &mut *learner.predictor()?,
            &moments,
            faces,
            self.ask,
            TestTimeAugmentation::Four,
            self.cancelled,
        )?;
        Ok(Outcome { classifier: self.classifier(&mut learner, moments)?, history, answers })
    }

    /// Whether patience is at its end.
    fn is_over(&self, history: &[EpochResult]) -> bool {
        let since = history.len().saturating_sub(best_epoch(history).unwrap_or(0) + 1);
        self.settings.patience > 0 && !self.split.validate.is_empty() && since >= self.settings.patience
    }

    fn resume<P: Learner>(&self, learner: P) -> Result<State<P>, LearnError> {
        let Some(saved) = checkpoint::read(self.state, self.fingerprint)? else {
            return Ok(State { learner, best: None, history: Vec::new() });
        };
        let [weights, momenta, mean, best, history] = saved.parts.as_slice() else {
            return Err(damaged(self.state, "it has another number of parts"));
        };
        let best = match best.is_empty() {
            true => None,
            false => Some(Classifier::from_bytes(best, self.state)?),
        };
        Ok(State {
            learner: learner.restore([weights, momenta, mean], self.state)?,
            best,
            history: serde_json::from_slice(history)
                .map_err(|error| damaged(self.state, &error.to_string()))?,
        })
    }

    fn save(&self, state: &mut State<impl Learner>) -> Result<(), LearnError> {
        let [weights, momenta, mean] = state.learner.save()?;
        let best = state.best.as_ref().map_or(Ok(Vec::new()), Classifier::to_bytes)?;
        let history =
            serde_json::to_vec(&state.history).map_err(|error| LearnError::Record(error.to_string()))?;
        let parts = [&weights, &momenta, &mean, &best, &history].map(Vec::as_slice);
        checkpoint::write(self.state, self.fingerprint, state.history.len(), &parts)
    }

    fn epoch<P: Learner>(&self, state: State<P>) -> Result<State<P>, LearnError> {
        let State { learner, best, mut history } = state;
        let settings = self.settings;
        let epoch = history.len();
        let mut random = Random::new(&[settings.seed, self.stream, epoch as u64]);
        let mut order = self.split.learn.to_vec();
        random.shuffle(&mut order);
        // The last batch takes what is left over, so that none is too small to normalise.
        let steps = (order.len() / settings.batch_size).max(1);
        let batches = (0..steps).map(|step| {
            let end = if step + 1 == steps { order.len() } else { (step + 1) * settings.batch_size };
            &order[step * settings.batch_size..end]
        });
        let (mut loss_sum, mut weight_sum, mut rate) = (0.0f64, 0.0f64, 0.0);
        let (mut right, mut seen) = (0usize, 0usize);
        let loader = Loader { examples: self.examples, settings, workers: self.loader_threads };
        let learner = loader.run(batches, random, |shards| {
            let mut learner = learner;
            for (step, shards) in shards.enumerate() {
                if self.cancelled.load(Ordering::Relaxed) {
                    return Err(LearnError::Cancelled);
                }
                let done = epoch * steps + step;
                rate = learning_rate(settings, done as f64 / (settings.epochs * steps) as f64);
                let outcome;
                (learner, outcome) = learner.step(&shards, rate, averaged(settings, done))?;
                if !outcome.loss.is_finite() {
                    return Err(LearnError::NotFinite { epoch, step, loss: outcome.loss });
                }
                let faces = shards.iter().map(|shard| shard.rows.len()).sum::<usize>();
                let weight = f64::from(self.examples.total(shards.iter().flat_map(|shard| &shard.rows)));
                (loss_sum, weight_sum) = (loss_sum + f64::from(outcome.loss) * weight, weight_sum + weight);
                seen += faces;
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
            Ok(learner)
        })?;
        // Before a checkpoint is written over the last good one.
        let mut learner = learner;
        if !learner.is_finite()? {
            return Err(LearnError::NotFinite { epoch, step: steps, loss: f32::NAN });
        }
        history.push(EpochResult {
            loss: (loss_sum / weight_sum) as f32,
            accuracy: right as f32 / seen as f32,
            validation: None,
            validation_loss: None,
            learning_rate: rate,
        });
        let mut state = State { learner, best, history };
        if !self.split.validate.is_empty() {
            self.judge(&mut state)?;
        }
        Ok(state)
    }

    /// How good the network is on the validation rows; the best is kept.
    fn judge(&self, state: &mut State<impl Learner>) -> Result<(), LearnError> {
        let (faces, classes) = (self.examples.faces, self.examples.classes);
        let moments = self.moments(&mut state.learner)?;
        let mut predictor = state.learner.predictor()?;
        let answers = probabilities(
            &mut *predictor,
            &moments,
            faces,
            self.split.validate,
            TestTimeAugmentation::Off,
            self.cancelled,
        )?;
        drop(predictor);
        let answers = answers.chunks_exact(classes).zip(self.split.validate);
        let right = answers.filter(|(row, at)| greatest(row) == self.examples.label(**at)).count();
        if let Some(last) = state.history.last_mut() {
            last.validation = Some(right as f32 / self.split.validate.len() as f32);
        }
        if best_epoch(&state.history) == Some(state.history.len() - 1) {
            state.best = Some(self.classifier(&mut state.learner, moments)?);
        }
        Ok(())
    }

    /// The moments to judge single faces with.
    fn moments(&self, learner: &mut impl Learner) -> Result<Vec<Moments>, LearnError> {
        let mut random = Random::new(&[self.settings.seed, self.stream, u64::MAX - 1]);
        moments(
            &mut *learner.predictor()?,
            self.examples.faces,
            self.split.learn,
            &mut random,
            self.cancelled,
        )
    }

    /// The network as it is now.
    fn classifier(
        &self,
        learner: &mut impl Learner,
        moments: Vec<Moments>,
    ) -> Result<Classifier, LearnError> {
        let faces = self.examples.faces;
        let about = About {
            layers: self.settings.layers.clone(),
            classes: self.examples.classes,
            width: faces.width,
            height: faces.height,
        };
        Ok(Classifier { network: learner.network()?, moments, about })
    }
}

/// The epoch with the best accuracy on the validation rows, the first of equals.
pub(super) fn best_epoch(history: &[EpochResult]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (epoch, result) in history.iter().enumerate() {
        if let Some(accuracy) = result.validation
            && best.is_none_or(|(_, best)| accuracy > best)
        {
            best = Some((epoch, accuracy));
        }
    }
    best.map(|(epoch, _)| epoch)
}

/// The learning rate at a `position` in 0..1 of the whole training.
fn learning_rate(settings: &Settings, position: f64) -> f64 {
    if position < settings.warm_up {
        return settings.learning_rate * (0.1 + 0.9 * position / settings.warm_up);
    }
    let along = (position - settings.warm_up) / (1.0 - settings.warm_up);
    // Never quite zero: the last step still counts.
    settings.learning_rate * (0.5 * (1.0 + (std::f64::consts::PI * along).cos())).max(1e-3)
}

/// How far the mean moves towards the network after a step: further in the beginning, so that it soon forgets what
/// chance gave it.
fn averaged(settings: &Settings, step: usize) -> f32 {
    let step = step as f32;
    1.0 - settings.averaging.min((1.0 + step) / (10.0 + step))
}
