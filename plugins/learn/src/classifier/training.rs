//! All steps of a training, and what a killed one goes on from.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{Optimizer, Sgd, SgdConfig};
use burn::tensor::backend::AutodiffBackend;

use super::examples::{Examples, greatest};
use super::feed::Feed;
use super::network::Network;
use super::settings::Settings;
use super::step::{Learner, Steps};
use super::trained::{About, Classifier, Looks};
use super::{EpochResult, Progress};
use crate::checkpoint::{self, damaged, from_bytes, to_bytes};
use crate::device::is_finite;
use crate::error::LearnError;
use crate::random::Random;

type Descent<B> = OptimizerAdaptor<Sgd<<B as AutodiffBackend>::InnerBackend>, Network<B>, B>;

/// What a training comes to: a network, and what each epoch has come to.
pub(crate) type Outcome = (Classifier, Vec<EpochResult>);

/// A training under way.
pub(crate) struct Training<'a> {
    pub examples: Examples<'a>,
    /// Rows to learn from.
    pub learn: &'a [usize],
    /// Rows that say after each epoch how good the network is; may be none.
    pub validate: &'a [usize],
    pub settings: &'a Settings,
    /// What to begin with, instead of chance.
    pub begin: Option<&'a Classifier>,
    /// Sets the random numbers of several trainings of one seed apart.
    pub stream: u64,
    pub fingerprint: &'a str,
    /// The checkpoint.
    pub state: &'a Path,
    pub threads: usize,
    pub progress: &'a dyn Fn(Progress),
    pub epoch_done: &'a dyn Fn(&[EpochResult]),
    pub cancelled: &'a AtomicBool,
}

/// Where a training stands.
struct State<B: Learner> {
    network: Network<B>,
    descent: Descent<B>,
    /// The exponential mean of the networks so far.
    mean: Option<Network<B::InnerBackend>>,
    /// The best on the validation rows so far.
    best: Option<Classifier>,
    history: Vec<EpochResult>,
}

impl Training<'_> {
    /// Trains to the end, from the checkpoint if there is one. Gives the best network on the validation rows, without
    /// any the last.
    pub fn run<B: Learner>(&self, device: &B::Device) -> Result<Outcome, LearnError> {
        let mut state = self.begin::<B>(device)?;
        while state.history.len() < self.settings.epochs && !self.is_over(&state.history) {
            state = self.epoch(state, device)?;
            self.save(&state)?;
            (self.epoch_done)(&state.history);
        }
        let last = match state.best {
            Some(best) => best,
            None => self.measured(&state)?.to_cpu()?,
        };
        Ok((last, state.history))
    }

    /// Whether patience is at its end.
    fn is_over(&self, history: &[EpochResult]) -> bool {
        let since = history.len().saturating_sub(best_epoch(history).unwrap_or(0) + 1);
        self.settings.patience > 0 && !self.validate.is_empty() && since >= self.settings.patience
    }

    fn begin<B: Learner>(&self, device: &B::Device) -> Result<State<B>, LearnError> {
        let settings = self.settings;
        let mut random = Random::new(&[settings.seed, self.stream, u64::MAX]);
        let mut network = Network::<B>::new(&settings.layers, self.examples.classes, &mut random, device);
        if let Some(begin) = self.begin {
            let values = begin.network.values()?;
            let begun = Network::from_values(&settings.layers, self.examples.classes, &values, device);
            network = begun.ok_or_else(|| damaged(self.state, "it began from another network"))?;
        }
        let descent: Descent<B> = SgdConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(settings.weight_decay as f32)))
            .with_momentum(Some(MomentumConfig::new().with_momentum(settings.momentum).with_nesterov(true)))
            .init();
        let mean = (settings.averaging > 0.0).then(|| network.valid());
        let state = State { network, descent, mean, best: None, history: Vec::new() };
        match checkpoint::read(self.state, self.fingerprint)? {
            Some(saved) => self.restore(state, &saved.parts, device),
            None => Ok(state),
        }
    }

    fn restore<B: Learner>(
        &self,
        state: State<B>,
        parts: &[Vec<u8>],
        device: &B::Device,
    ) -> Result<State<B>, LearnError> {
        let [weights, momenta, mean, best, history] = parts else {
            return Err(damaged(self.state, "it has another number of parts"));
        };
        let mean = match state.mean {
            Some(network) => {
                Some(network.load_record(from_bytes::<B::InnerBackend, _>(mean, device, self.state)?))
            }
            None => None,
        };
        let best = match best.is_empty() {
            true => None,
            false => Some(Classifier::from_bytes(best, self.state)?),
        };
        Ok(State {
            network: state.network.load_record(from_bytes::<B, _>(weights, device, self.state)?),
            descent: state.descent.load_record(from_bytes::<B, _>(momenta, device, self.state)?),
            mean,
            best,
            history: serde_json::from_slice(history)
                .map_err(|error| damaged(self.state, &error.to_string()))?,
        })
    }

    fn save<B: Learner>(&self, state: &State<B>) -> Result<(), LearnError> {
        let weights = to_bytes::<B, _>(state.network.clone().into_record())?;
        let momenta = to_bytes::<B, _>(state.descent.to_record())?;
        let mean = state.mean.clone();
        let mean = mean.map_or(Ok(Vec::new()), |mean| to_bytes::<B::InnerBackend, _>(mean.into_record()))?;
        let best = state.best.as_ref().map_or(Ok(Vec::new()), Classifier::to_bytes)?;
        let history =
            serde_json::to_vec(&state.history).map_err(|error| LearnError::Record(error.to_string()))?;
        let parts = [&weights, &momenta, &mean, &best, &history].map(Vec::as_slice);
        checkpoint::write(self.state, self.fingerprint, state.history.len(), &parts)
    }

    fn epoch<B: Learner>(&self, state: State<B>, device: &B::Device) -> Result<State<B>, LearnError> {
        let State { network, mut descent, mean, best, mut history } = state;
        let settings = self.settings;
        let epoch = history.len();
        let mut random = Random::new(&[settings.seed, self.stream, epoch as u64]);
        let mut order = self.learn.to_vec();
        random.shuffle(&mut order);
        // The last batch takes what is left over, so that none is too small to normalise.
        let steps = (order.len() / settings.batch_size).max(1);
        let batches = (0..steps).map(|step| {
            let end = if step + 1 == steps { order.len() } else { (step + 1) * settings.batch_size };
            &order[step * settings.batch_size..end]
        });
        let computer = Steps::<B> { examples: self.examples, device, threads: self.threads };
        let (mut loss_sum, mut right, mut seen, mut rate) = (0.0f64, 0usize, 0usize, 0.0);
        let feed = Feed { examples: self.examples, settings };
        let (network, mean) = feed.run(batches, random, |shards| {
            let (mut network, mut mean) = (network, mean);
            for (step, shards) in shards.enumerate() {
                if self.cancelled.load(Ordering::Relaxed) {
                    return Err(LearnError::Cancelled);
                }
                let outcome = computer.step(&network, &shards)?;
                if !outcome.loss.is_finite() {
                    return Err(LearnError::NotFinite { epoch, step, loss: outcome.loss });
                }
                let done = epoch * steps + step;
                rate = learning_rate(settings, done as f64 / (settings.epochs * steps) as f64);
                network = descent.step(rate, network, outcome.gradients);
                mean = mean.map(|mean| mean.approach(&network.valid(), averaged(settings, done)));
                let faces = shards.iter().map(|shard| shard.rows.len()).sum::<usize>();
                loss_sum += f64::from(outcome.loss) * faces as f64;
                seen += faces;
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
            Ok((network, mean))
        })?;
        // Before a checkpoint is written over the last good one.
        if !is_finite::<B, _>(&network)? {
            return Err(LearnError::NotFinite { epoch, step: steps, loss: f32::NAN });
        }
        history.push(EpochResult {
            loss: (loss_sum / seen as f64) as f32,
            accuracy: right as f32 / seen as f32,
            validation: None,
            validation_loss: None,
            learning_rate: rate,
        });
        let mut state = State { network, descent, mean, best, history };
        if !self.validate.is_empty() {
            self.judge(&mut state)?;
        }
        Ok(state)
    }

    /// How good the network is on the validation rows; the best is kept.
    fn judge<B: Learner>(&self, state: &mut State<B>) -> Result<(), LearnError> {
        let classifier = self.measured(state)?;
        let (faces, classes) = (self.examples.faces, self.examples.classes);
        let answers = classifier.probabilities(faces, self.validate, Looks::One, self.cancelled)?;
        let answers = answers.chunks_exact(classes).zip(self.validate);
        let right = answers.filter(|(row, at)| greatest(row) == self.examples.label(**at)).count();
        if let Some(last) = state.history.last_mut() {
            last.validation = Some(right as f32 / self.validate.len() as f32);
        }
        if best_epoch(&state.history) == Some(state.history.len() - 1) {
            state.best = Some(classifier.to_cpu()?);
        }
        Ok(())
    }

    /// The network as it is now, with moments to judge single faces with.
    fn measured<B: Learner>(&self, state: &State<B>) -> Result<Classifier<B::InnerBackend>, LearnError> {
        let network = state.mean.clone().unwrap_or_else(|| state.network.valid());
        let faces = self.examples.faces;
        let about = About {
            layers: self.settings.layers.clone(),
            classes: self.examples.classes,
            width: faces.width,
            height: faces.height,
        };
        let mut random = Random::new(&[self.settings.seed, self.stream, u64::MAX - 1]);
        Classifier::measure(network, about, faces, self.learn, &mut random, self.cancelled)
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
