//! What normalises channels, or only shifts them, and its gradients.

use ferroflow_cuda::{CudaError, Gpu};

use super::{Batch, Pass, Wanted};
use crate::cuda::network::Network;
use crate::cuda::plan::{Affine, Shape};
use crate::cuda::{at, each, flag, from, n, real};
use crate::kernels::norm::EPSILON;
use crate::kernels::planes::norm::Over;

/// Rows at least that a thread adds up.
const LEAST: usize = 16;

/// Rows that are normalised together, and how many such groups there are.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    pub count: usize,
    pub of_side: usize,
    pub rows: usize,
}

impl Groups {
    pub fn of(batch: Batch, over: Over, shape: Shape) -> Self {
        let Batch { sides, groups, maps } = batch;
        match over {
            Over::Batch => Self { count: sides * groups, of_side: groups, rows: maps * shape.pixels() },
            Over::Instance => Self { count: batch.all(), of_side: batch.of_side(), rows: shape.pixels() },
        }
    }

    /// Chunks that each is added up in, and the rows of a chunk: as many as there are of the other, nearly.
    fn chunks(self) -> (usize, usize) {
        let rows = self.rows.isqrt().max(LEAST);
        (self.rows.div_ceil(rows), rows)
    }

    /// Numbers at most in the chunks of this many rows or fewer.
    pub fn most_in_parts(self, channels: usize) -> usize {
        // Fewer rows may have one chunk more.
        2 * (self.chunks().0 + 1) * self.count * channels
    }
}

impl<G: Gpu> Pass<G> {
    /// What is done to each channel, by moments of their own or `fixed` ones, and the result of that.
    pub(super) fn normalise(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        (affine, shape): (&Affine, Shape),
        fixed: Option<&G::Memory>,
        [x, done, out]: [&G::Memory; 3],
    ) -> Result<(), CudaError> {
        let groups = Groups::of(self.batch, self.over, shape);
        let ((parts, chunk), channels) = (groups.chunks(), shape.channels);
        let Affine { gain, bias, slope } = *affine;
        let takes_own = gain.is_some() && fixed.is_none();
        if takes_own {
            let numbers = [groups.count, groups.rows, channels, chunk].map(n);
            let threads = parts * groups.count * channels;
            each(gpu, "sum_moments", threads, &[&numbers[..], &[at(x), at(&self.parts)]].concat())?;
        }
        let parts = if takes_own { parts } else { 0 };
        let numbers = [groups.count, groups.of_side, channels, parts].map(n);
        let more = [flag(gain.is_some()), n(network.plan.len()), n(groups.rows), n(chunk), real(EPSILON)];
        let of = |first: usize| from(&network.weights, first);
        let memories = [at(fixed.unwrap_or(&self.parts)), of(gain.unwrap_or(bias)), of(bias), at(done)];
        each(gpu, "finish_moments", groups.count * channels, &[&numbers[..], &more, &memories].concat())?;
        let rest = [n(groups.rows), n(channels), real(slope), at(x), at(done), at(out)];
        each(gpu, "apply", self.batch.all() * shape.numbers(), &rest)
    }

    /// The gradients of gains, biases and `x`.
    pub(super) fn normalise_back(
        &self,
        gpu: &mut G,
        network: &Network<G>,
        (affine, shape): (&Affine, Shape),
        [x, done, gradient, of_x]: [&G::Memory; 4],
        wanted: Wanted,
    ) -> Result<(), CudaError> {
        let groups = Groups::of(self.batch, self.over, shape);
        let ((parts, chunk), channels) = (groups.chunks(), shape.channels);
        let Affine { gain, bias, slope } = *affine;
        let numbers = [groups.count, groups.rows, channels, chunk].map(n);
        let memories = [x, gradient, done, &self.parts].map(at);
        let rest = [&numbers[..], &[real(slope)], &memories].concat();
        each(gpu, "sum_gradients", parts * groups.count * channels, &rest)?;
        let numbers = [groups.count, groups.of_side, channels, parts].map(n);
        let more = [
            flag(gain.is_some()),
            n(network.plan.len()),
            real(groups.rows as f64),
            flag(wanted.numbers.is_some()),
            flag(wanted.numbers == Some(true)),
        ];
        let of = |first: usize| from(&network.gradient, first);
        let memories = [at(&self.parts), at(done), of(gain.unwrap_or(bias)), of(bias), at(&self.slopes)];
        each(
            gpu,
            "finish_gradients",
            self.batch.sides * channels,
            &[&numbers[..], &more, &memories].concat(),
        )?;
        let numbers = [n(groups.rows), n(channels), real(slope)];
        let memories = [x, gradient, done, &self.slopes, of_x].map(at);
        each(gpu, "spread", self.batch.all() * shape.numbers(), &[&numbers[..], &memories].concat())
    }
}
