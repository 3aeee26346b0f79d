//! One step of training, in shards.
//!
//! All random numbers are drawn before the shards begin, and their gradients are added in a fixed order: the result is
//! the same on any number of threads.

use std::thread;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::examples::{Examples, greatest};
use super::network::{INPUTS, Network};
use super::settings::Settings;
use super::views::{View, batch};
use crate::device::read;
use crate::error::LearnError;
use crate::kernels::Kernels;
use crate::random::Random;

/// A backend that can learn: one with gradients and the operations of the layers, without gradients as well.
pub trait Learner: AutodiffBackend<InnerBackend: Kernels> + Kernels {}

impl<B: AutodiffBackend<InnerBackend: Kernels> + Kernels> Learner for B {}

/// Some of a step's faces.
struct Shard {
    views: Vec<(usize, View)>,
    /// The share of each face, and with which other face of the shard it is mixed.
    mixed: Option<(f32, Vec<usize>)>,
    /// Factors on the features (faces x channels): dropout.
    keep: Option<Vec<f32>>,
}

/// What a step has come to.
pub(super) struct Outcome {
    pub gradients: GradientsParams,
    /// The mean loss of its faces.
    pub loss: f32,
    /// For how many faces the network preferred the class that is wanted.
    pub right: usize,
}

/// Computes steps.
pub(super) struct Steps<'a, B: Backend> {
    pub examples: Examples<'a>,
    pub settings: &'a Settings,
    /// Where the network is.
    pub device: &'a B::Device,
    /// Threads at most.
    pub threads: usize,
}

impl<B: Learner> Steps<'_, B> {
    /// The gradients of the mean loss over these rows.
    pub fn step(
        &self,
        network: &Network<B>,
        rows: &[usize],
        random: &mut Random,
    ) -> Result<Outcome, LearnError> {
        let size = rows.len().div_ceil(self.settings.shards).max(1);
        let shards: Vec<Shard> = rows.chunks(size).map(|rows| self.draw(rows, random)).collect();
        let total: f32 =
            rows.iter().map(|row| self.examples.weight(*row)).sum::<f32>().max(f32::MIN_POSITIVE);
        let threads = self.threads.clamp(1, shards.len());
        let outcomes = thread::scope(|scope| {
            let work = |first: usize| {
                // Leaves of their own, so that no two threads share a graph.
                let network = network.clone().fork(self.device);
                let mine = shards.iter().skip(first).step_by(threads);
                mine.map(|shard| self.gradients(&network, shard, total)).collect::<Vec<_>>()
            };
            let others: Vec<_> = (1..threads).map(|first| scope.spawn(move || work(first))).collect();
            let mut by_thread = vec![work(0)];
            for other in others {
                by_thread.push(other.join().map_err(|_| LearnError::Panicked)?);
            }
            Ok(by_thread)
        })?;
        let mut by_thread: Vec<_> = outcomes.into_iter().map(Vec::into_iter).collect();
        let mut sum = GradientsAccumulator::new();
        let (mut loss, mut right) = (0.0, 0);
        for shard in 0..shards.len() {
            let Some(outcome) = by_thread[shard % threads].next() else { return Err(LearnError::Panicked) };
            let outcome = outcome?;
            sum.accumulate::<B>(network, outcome.gradients);
            loss += outcome.loss;
            right += outcome.right;
        }
        Ok(Outcome { gradients: sum.grads(), loss, right })
    }

    /// Draws everything that is random about some faces.
    fn draw(&self, rows: &[usize], random: &mut Random) -> Shard {
        let settings = self.settings;
        let views = rows.iter().map(|row| (*row, View::random(&settings.augmentation, random))).collect();
        let mixed = (settings.mixup > 0.0).then(|| {
            let share = random.beta(settings.mixup);
            let mut partners: Vec<usize> = (0..rows.len()).collect();
            random.shuffle(&mut partners);
            (share, partners)
        });
        let channels = settings.layers.last().map_or(0, |layer| layer.channels);
        let rate = settings.dropout;
        // Zero for features left out, 1 / (1 - rate) for those kept.
        let mut factor = || if random.unit() < rate { 0.0 } else { 1.0 / (1.0 - rate) };
        let keep = (rate > 0.0).then(|| (0..rows.len() * channels).map(|_| factor()).collect());
        Shard { views, mixed, keep }
    }

    /// A shard's part of the gradients, where the weights of all of a step's faces sum to `total`.
    fn gradients(&self, network: &Network<B>, shard: &Shard, total: f32) -> Result<Outcome, LearnError> {
        let (device, classes, count) = (self.device, self.examples.classes, shard.views.len());
        let (grid, mut input) = batch(self.examples.faces, shard.views.iter().copied());
        let rows: Vec<usize> = shard.views.iter().map(|(row, _)| *row).collect();
        let mut targets = self.targets(&rows);
        if let Some((share, partners)) = &shard.mixed {
            let others: Vec<_> = partners.iter().map(|at| shard.views[*at]).collect();
            mix(&mut input, &batch(self.examples.faces, others.into_iter()).1, *share);
            let others: Vec<usize> = partners.iter().map(|at| rows[*at]).collect();
            mix(&mut targets, &self.targets(&others), *share);
        }
        let input = Tensor::<B, 2>::from_data(TensorData::new(input, [grid.rows(), INPUTS]), device);
        let keep = shard.keep.as_ref().map(|keep| {
            let shape = [count, keep.len() / count.max(1)];
            Tensor::from_data(TensorData::new(keep.clone(), shape), device)
        });
        let (logits, _) = network.forward(input, grid, None, keep);
        let targets = Tensor::from_data(TensorData::new(targets, [count, classes]), device);
        let loss = (log_softmax(logits.clone(), 1) * targets).sum().neg() / total;
        let found = Tensor::cat(vec![loss.clone().inner(), logits.inner().reshape([count * classes])], 0);
        let gradients = GradientsParams::from_grads(loss.backward(), network);
        // A device is waited for once, when it has been told all that there is to do.
        let found: Vec<f32> = read(found)?.iter::<f32>().collect();
        let Some((loss, logits)) = found.split_first() else { return Err(LearnError::Panicked) };
        Ok(Outcome { gradients, loss: *loss, right: self.agreeing(logits, &rows) })
    }

    /// Targets, smoothed, times the weights of their faces.
    fn targets(&self, rows: &[usize]) -> Vec<f32> {
        let (smoothing, classes) = (self.settings.label_smoothing, self.examples.classes);
        let smooth = |value: &f32| (1.0 - smoothing) * value + smoothing / classes as f32;
        let target = |row: &usize| {
            let weight = self.examples.weight(*row);
            self.examples.target(*row).iter().map(move |value| weight * smooth(value))
        };
        rows.iter().flat_map(target).collect()
    }

    /// For how many rows the greatest logit is that of the class that is wanted.
    fn agreeing(&self, logits: &[f32], rows: &[usize]) -> usize {
        let answers = logits.chunks_exact(self.examples.classes).zip(rows);
        answers.filter(|(row, at)| greatest(row) == self.examples.label(**at)).count()
    }
}

/// `share` of the one, the rest of the other.
fn mix(values: &mut [f32], others: &[f32], share: f32) {
    values.iter_mut().zip(others).for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
}
