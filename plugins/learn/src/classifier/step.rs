//! One step of training, in shards.
//!
//! What is random about the shards is in them already, and their gradients are added in a fixed order: the
//! result is the same on any number of threads.

use std::thread;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use super::examples::Examples;
use super::loader::Shard;
use super::network::{INPUTS, Network};
use crate::error::LearnError;
use crate::kernels::Train;

/// What a step has come to.
pub(super) struct Outcome {
    /// The mean loss of its faces.
    pub loss: f32,
    /// For how many faces the network preferred the class that is wanted most.
    pub right: usize,
}

/// Computes steps.
pub(super) struct Steps<'a> {
    pub examples: Examples<'a>,
    /// Threads at most.
    pub threads: usize,
}

impl Steps<'_> {
    /// The gradients of the mean loss over the faces of these shards.
    pub fn step(
        &self,
        network: &Network<Train>,
        shards: &[Shard],
    ) -> Result<(GradientsParams, Outcome), LearnError> {
        let total = self.examples.total(shards.iter().flat_map(|shard| &shard.rows));
        let threads = self.threads.clamp(1, shards.len().max(1));
        let outcomes = thread::scope(|scope| {
            let work = |first: usize| {
                // Leaves of their own, so that no two threads share a graph.
                let network = network.clone().fork(&Default::default());
                let mine = shards.iter().skip(first).step_by(threads);
                mine.map(|shard| self.gradients(&network, shard, total)).collect::<Vec<_>>()
            };
            let others: Vec<_> = (1..threads).map(|first| scope.spawn(move || work(first))).collect();
            let mut by_thread = vec![work(0)];
            for other in others {
                by_thread.push(other.join().map_err(|_| LearnError::Panicked)?);
            }
            Ok::<_, LearnError>(by_thread)
        })?;
        let mut by_thread: Vec<_> = outcomes.into_iter().map(Vec::into_iter).collect();
        let mut sum = GradientsAccumulator::new();
        let (mut loss, mut right) = (0.0, 0);
        for shard in 0..shards.len() {
            let Some(outcome) = by_thread[shard % threads].next() else { return Err(LearnError::Panicked) };
            let (gradients, outcome) = outcome?;
            sum.accumulate::<Train>(network, gradients);
            loss += outcome.loss;
            right += outcome.right;
        }
        Ok((sum.grads(), Outcome { loss, right }))
    }

    /// A shard's part of the gradients, where the weights of all of a step's faces sum to `total`.
    fn gradients(
        &self,
        network: &Network<Train>,
        shard: &Shard,
        total: f32,
    ) -> Result<(GradientsParams, Outcome), LearnError> {
        let Shard { rows, grid, input, targets, keep, .. } = shard;
        let (classes, count) = (self.examples.classes, rows.len());
        let tensor = |values: &[f32], shape: [usize; 2]| {
            Tensor::<Train, 2>::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
        };
        let keep = keep.as_ref().map(|keep| tensor(keep, [count, keep.len() / count.max(1)]));
        let (logits, _) = network.forward(tensor(input, [grid.rows(), INPUTS]), *grid, None, keep);
        let wanted = tensor(targets, [count, classes]);
        let loss = (log_softmax(logits.clone(), 1) * wanted).sum().neg() / total;
        let found = Tensor::cat(vec![loss.clone().inner(), logits.inner().reshape([count * classes])], 0);
        let gradients = GradientsParams::from_grads(loss.backward(), network);
        let found: Vec<f32> = found.into_data().iter::<f32>().collect();
        let Some((loss, logits)) = found.split_first() else { return Err(LearnError::Panicked) };
        Ok((gradients, Outcome { loss: *loss, right: self.examples.agreeing(logits, targets) }))
    }
}
