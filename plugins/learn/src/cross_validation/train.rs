//! Trains the network of one fold, and asks it about the rows it has not seen.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, Optimizer, Sgd, SgdConfig};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};

use super::settings::Settings;
use super::views::{View, batch};
use crate::checkpoint::{self, from_bytes, to_bytes};
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::norm::Moments;
use crate::network::Network;
use crate::random::Random;

type Train = Autodiff<Flex>;
type Descent = OptimizerAdaptor<Sgd<Flex>, Network<Train>, Train>;
type Device = <Flex as burn::tensor::backend::BackendTypes>::Device;

/// Faces in a batch of those that only ask.
const ASKED: usize = 128;

/// Faces over which the moments of normalisation are taken for a trained network.
const MEASURED: usize = 4096;

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The fold, from 0.
    pub fold: usize,
    /// How many there are.
    pub folds: usize,
    /// The epoch, from 0.
    pub epoch: usize,
    /// How many there are.
    pub epochs: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far.
    pub loss: f32,
    /// The part of the epoch's faces so far (as varied for training) for which the network agreed with the label.
    pub accuracy: f32,
}

/// One fold's work.
pub(super) struct Fold<'a> {
    pub index: usize,
    pub faces: Faces<'a>,
    pub labels: &'a [u8],
    pub classes: usize,
    /// Rows to learn from.
    pub learn: Vec<usize>,
    /// Rows to be asked about.
    pub ask: Vec<usize>,
    pub settings: &'a Settings,
    pub fingerprint: &'a str,
    /// The fold's folder.
    pub folder: &'a Path,
    pub progress: &'a (dyn Fn(Progress) + Sync),
    pub cancelled: &'a AtomicBool,
}

impl Fold<'_> {
    /// Probabilities (asked rows x classes), from the fold's result if there is one, else by training to the end.
    pub(super) fn run(&self) -> Result<Vec<f32>, LearnError> {
        let result = self.folder.join("probabilities");
        let state = self.folder.join("state");
        if let Some(done) = checkpoint::read(&result, self.fingerprint)? {
            let [bytes] = done.parts.as_slice() else {
                return Err(checkpoint::damaged(&result, "it has another number of parts"));
            };
            let values: Vec<f32> = bytes
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect();
            if values.len() != self.ask.len() * self.classes {
                return Err(checkpoint::damaged(&result, "it has another number of rows"));
            }
            return Ok(values);
        }
        let network = self.train(&state)?;
        let probabilities = self.ask(&network)?;
        let bytes: Vec<u8> = probabilities.iter().flat_map(|value| value.to_le_bytes()).collect();
        checkpoint::write(&result, self.fingerprint, self.settings.epochs, &[&bytes])?;
        checkpoint::remove(&state)?;
        Ok(probabilities)
    }

    fn train(&self, state: &Path) -> Result<Network<Train>, LearnError> {
        let device = Device::default();
        let fold = self.index as u64;
        let settings = self.settings;
        let mut random = Random::new(&[settings.seed, fold, u64::MAX]);
        let mut network = Network::<Train>::new(&settings.layers, self.classes, &mut random, &device);
        let mut descent: Descent = SgdConfig::new()
            .with_weight_decay(Some(WeightDecayConfig::new(settings.weight_decay as f32)))
            .with_momentum(Some(MomentumConfig::new().with_momentum(settings.momentum).with_nesterov(true)))
            .init();
        let mut first = 0;
        if let Some(saved) = checkpoint::read(state, self.fingerprint)? {
            let [weights, momenta] = saved.parts.as_slice() else {
                return Err(checkpoint::damaged(state, "it has another number of parts"));
            };
            network = network.load_record(from_bytes(weights, &device, state)?);
            descent = descent.load_record(from_bytes(momenta, &device, state)?);
            first = saved.epochs;
        }
        for epoch in first..settings.epochs {
            (network, descent) = self.epoch(epoch, network, descent, &device)?;
            let weights = to_bytes(network.clone().into_record())?;
            let momenta = to_bytes(descent.to_record())?;
            checkpoint::write(state, self.fingerprint, epoch + 1, &[&weights, &momenta])?;
        }
        Ok(network)
    }

    fn epoch(
        &self,
        epoch: usize,
        mut network: Network<Train>,
        mut descent: Descent,
        device: &Device,
    ) -> Result<(Network<Train>, Descent), LearnError> {
        let settings = self.settings;
        let mut random = Random::new(&[settings.seed, self.index as u64, epoch as u64]);
        let mut order = self.learn.clone();
        random.shuffle(&mut order);
        // The last batch takes what is left over, so that none is too small to normalise.
        let steps = (order.len() / settings.batch_size).max(1);
        let (mut loss_sum, mut right, mut seen) = (0.0f64, 0usize, 0usize);
        for step in 0..steps {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(LearnError::Cancelled);
            }
            let end = if step + 1 == steps { order.len() } else { (step + 1) * settings.batch_size };
            let rows = &order[step * settings.batch_size..end];
            let views: Vec<(usize, View)> =
                rows.iter().map(|row| (*row, View::random(&settings.augmentation, &mut random))).collect();
            let (grid, input) = batch(self.faces, views.into_iter());
            let channels = settings.layers.last().map_or(0, |layer| layer.channels);
            let keep = dropout(rows.len(), channels, settings.dropout, &mut random);

            let input = Tensor::<Train, 2>::from_data(
                TensorData::new(input, [grid.rows(), crate::network::INPUTS]),
                device,
            );
            let keep =
                keep.map(|keep| Tensor::from_data(TensorData::new(keep, [rows.len(), channels]), device));
            let (logits, _) = network.forward(input, grid, None, keep);
            right += agreeing(&logits.clone().inner(), rows.iter().map(|row| self.labels[*row]));
            let targets =
                Tensor::from_data(TensorData::new(self.targets(rows), [rows.len(), self.classes]), device);
            let loss = (log_softmax(logits, 1) * targets).sum_dim(1).mean().neg();
            let value: f32 = loss.clone().into_scalar();
            if !value.is_finite() {
                return Err(LearnError::Diverged { fold: self.index, epoch, step, loss: value });
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let position = (epoch * steps + step) as f64 / (settings.epochs * steps) as f64;
            network = descent.step(rate(settings, position), network, gradients);

            loss_sum += f64::from(value) * rows.len() as f64;
            seen += rows.len();
            (self.progress)(Progress {
                fold: self.index,
                folds: settings.folds,
                epoch,
                epochs: settings.epochs,
                step: step + 1,
                steps,
                loss: (loss_sum / seen as f64) as f32,
                accuracy: right as f32 / seen as f32,
            });
        }
        // Before a checkpoint is written over the last good one.
        if !network.is_finite() {
            return Err(LearnError::Diverged { fold: self.index, epoch, step: steps, loss: f32::NAN });
        }
        Ok((network, descent))
    }

    /// One-hot rows, smoothed (Szegedy et al. 2016).
    fn targets(&self, rows: &[usize]) -> Vec<f32> {
        let smoothing = self.settings.label_smoothing;
        let mut targets = vec![smoothing / self.classes as f32; rows.len() * self.classes];
        for (row, target) in rows.iter().zip(targets.chunks_exact_mut(self.classes)) {
            target[usize::from(self.labels[*row])] += 1.0 - smoothing;
        }
        targets
    }

    /// Mean probabilities over several views of each row that was kept apart.
    fn ask(&self, network: &Network<Train>) -> Result<Vec<f32>, LearnError> {
        let network = network.valid();
        let moments = self.moments(&network)?;
        // The whole picture in a smaller size, the inner part in full size, and both mirrored.
        let views = [
            View::plain(false, 1.0),
            View::plain(true, 1.0),
            View::plain(false, 1.08),
            View::plain(true, 1.08),
        ];
        let mut sums = Vec::with_capacity(self.ask.len() * self.classes);
        for rows in self.ask.chunks(ASKED) {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(LearnError::Cancelled);
            }
            let mut sum = vec![0.0f32; rows.len() * self.classes];
            for view in views {
                let (logits, _) = self.look(&network, rows, view, Some(&moments));
                let probabilities = softmax(logits, 1).into_data().to_vec::<f32>();
                let probabilities =
                    probabilities.map_err(|error| LearnError::Record(format!("{error:?}")))?;
                for (sum, probability) in sum.iter_mut().zip(probabilities) {
                    *sum += probability / views.len() as f32;
                }
            }
            sums.extend(sum);
        }
        Ok(sums)
    }

    /// The moments of normalisation for a network as it is now: means over batches of faces it learnt from.
    fn moments(&self, network: &Network<Flex>) -> Result<Vec<Moments>, LearnError> {
        let mut rows = self.learn.clone();
        Random::new(&[self.settings.seed, self.index as u64, u64::MAX - 1]).shuffle(&mut rows);
        rows.truncate(MEASURED);
        // No batch may be much smaller than the others: what is left over is left out.
        let batches: Vec<&[usize]> =
            if rows.len() < ASKED { vec![&rows] } else { rows.chunks_exact(ASKED).collect() };
        let mut mean: Vec<Moments> = Vec::new();
        for (index, rows) in batches.iter().enumerate() {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(LearnError::Cancelled);
            }
            let (_, moments) = self.look(network, rows, View::plain(index % 2 == 1, 1.0), None);
            if mean.is_empty() {
                mean = moments;
            } else {
                let part = 1.0 / (index + 1) as f32;
                mean.iter_mut().zip(&moments).for_each(|(mean, new)| mean.approach(new, part));
            }
        }
        Ok(mean)
    }

    fn look(
        &self,
        network: &Network<Flex>,
        rows: &[usize],
        view: View,
        fixed: Option<&[Moments]>,
    ) -> (Tensor<Flex, 2>, Vec<Moments>) {
        let device = Device::default();
        let (grid, input) = batch(self.faces, rows.iter().map(|row| (*row, view)));
        let input = Tensor::from_data(TensorData::new(input, [grid.rows(), crate::network::INPUTS]), &device);
        network.forward(input, grid, fixed, None)
    }
}

/// The learning rate at a `position` in 0..1 of the whole training.
fn rate(settings: &Settings, position: f64) -> f64 {
    if position < settings.warm_up {
        return settings.learning_rate * (0.1 + 0.9 * position / settings.warm_up);
    }
    let along = (position - settings.warm_up) / (1.0 - settings.warm_up);
    // Never quite zero: the last step still counts.
    settings.learning_rate * (0.5 * (1.0 + (std::f64::consts::PI * along).cos())).max(1e-3)
}

/// Zero for features left out, 1 / (1 - rate) for those kept.
fn dropout(rows: usize, channels: usize, rate: f32, random: &mut Random) -> Option<Vec<f32>> {
    (rate > 0.0).then(|| {
        (0..rows * channels).map(|_| if random.unit() < rate { 0.0 } else { 1.0 / (1.0 - rate) }).collect()
    })
}

/// For how many rows the greatest logit is the label's.
fn agreeing(logits: &Tensor<Flex, 2>, labels: impl Iterator<Item = u8>) -> usize {
    let [_, classes] = logits.dims();
    let Ok(values) = logits.to_data().to_vec::<f32>() else { return 0 };
    let best = |row: &[f32]| (0..classes).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    values
        .chunks_exact(classes)
        .zip(labels)
        .filter(|(row, label)| best(row) == Some(usize::from(*label)))
        .count()
}
