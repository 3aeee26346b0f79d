//! What steps learn from: drawn and then computed on the CPU while the steps before are under way.

use std::sync::mpsc;
use std::thread;

use super::augment::{View, batch};
use super::examples::Examples;
use super::network::INPUTS;
use super::settings::Settings;
use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::random::Random;

/// Steps of each thread that may be ready before they are wanted.
const AHEAD: usize = 2;

/// Some of a step's faces, ready for the network.
pub(super) struct Shard {
    pub rows: Vec<usize>,
    pub grid: Grid,
    /// Rows of the grid x `INPUTS`.
    pub input: Vec<f32>,
    /// Faces x classes: smoothed, mixed, times the weights of their faces.
    pub targets: Vec<f32>,
    /// Factors on the features (faces x channels): dropout.
    pub keep: Option<Vec<f32>>,
    /// What these were drawn from: a device draws its own.
    pub seed: u64,
}

/// What is random about a shard.
struct Draft {
    rows: Vec<usize>,
    views: Vec<View>,
    /// How much of each face is its own, and whose the rest is (mixup).
    mixed: Option<(f32, Vec<usize>)>,
    keep: Option<Vec<f32>>,
    seed: u64,
}

/// Makes shards of rows.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    pub examples: Examples<'a>,
    pub settings: &'a Settings,
    /// Threads that compute them.
    pub workers: usize,
}

impl Loader<'_> {
    /// Gives `learn` the shards of each step's rows in turn, which other threads have ready. Random numbers
    /// are drawn in the order of the steps, however many threads there are.
    pub fn run<'s, T>(
        self,
        steps: impl Iterator<Item = &'s [usize]> + Send,
        mut random: Random,
        learn: impl FnOnce(&mut dyn Iterator<Item = Vec<Shard>>) -> Result<T, LearnError>,
    ) -> Result<T, LearnError> {
        thread::scope(|scope| {
            let (mut threads, mut drafts, mut shards) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..self.workers.max(1) {
                let (draft, drawn) = mpsc::sync_channel::<Vec<Draft>>(AHEAD);
                let (ready, computed) = mpsc::sync_channel(AHEAD);
                // Nobody waits for shards once a step has failed.
                threads.push(scope.spawn(move || {
                    let _ = drawn
                        .iter()
                        .map(|step| step.into_iter().map(|draft| self.shard(draft)).collect())
                        .try_for_each(|shards| ready.send(shards));
                }));
                drafts.push(draft);
                shards.push(computed);
            }
            threads.push(scope.spawn(move || {
                let mut turns = steps.zip(drafts.iter().cycle());
                let _ = turns.try_for_each(|(rows, worker)| worker.send(self.draw(rows, &mut random)));
            }));
            let outcome = learn(&mut shards.iter().cycle().map_while(|worker| worker.recv().ok()));
            drop(shards);
            for thread in threads {
                thread.join().map_err(|_| LearnError::Panicked)?;
            }
            outcome
        })
    }

    fn draw(self, rows: &[usize], random: &mut Random) -> Vec<Draft> {
        let shards = shards(self.settings, rows.len());
        let (size, more) = (rows.len() / shards, rows.len() % shards);
        let (larger, rest) = rows.split_at(more * (size + 1));
        let larger = larger.chunks(size + 1);
        larger.chain(rest.chunks(size.max(1))).map(|rows| self.draft(rows, random)).collect()
    }

    fn draft(self, rows: &[usize], random: &mut Random) -> Draft {
        let settings = self.settings;
        let views = rows.iter().map(|_| View::random(&settings.augmentation, random)).collect();
        let mixed = (settings.mixup > 0.0).then(|| {
            let share = random.beta(settings.mixup);
            let mut partners: Vec<usize> = (0..rows.len()).collect();
            random.shuffle(&mut partners);
            (share, partners)
        });
        let channels = settings.layers.last().map_or(0, |layer| layer.channels);
        let (rate, seed) = (settings.dropout, random.state());
        // Zero for features left out, 1 / (1 - rate) for those kept.
        let mut factor = || if random.unit() < rate { 0.0 } else { 1.0 / (1.0 - rate) };
        let keep = (rate > 0.0).then(|| (0..rows.len() * channels).map(|_| factor()).collect());
        Draft { rows: rows.to_vec(), views, mixed, keep, seed }
    }

    fn shard(self, draft: Draft) -> Shard {
        let Draft { rows, views, mixed, keep, seed } = draft;
        let (grid, mut input) = batch(self.examples.faces, rows.iter().copied().zip(views));
        let mut targets = self.targets(&rows);
        if let Some((share, partners)) = mixed {
            let body = grid.margin() * INPUTS..(grid.margin() + grid.body()) * INPUTS;
            mix(&mut input[body], grid.face() * INPUTS, &partners, share);
            mix(&mut targets, self.examples.classes, &partners, share);
        }
        Shard { rows, grid, input, targets, keep, seed }
    }

    /// Targets, smoothed, times the weights of their faces.
    fn targets(self, rows: &[usize]) -> Vec<f32> {
        let (smoothing, classes) = (self.settings.label_smoothing, self.examples.classes);
        let smooth = |value: &f32| (1.0 - smoothing) * value + smoothing / classes as f32;
        let target = |row: &usize| {
            let weight = self.examples.weight(*row);
            self.examples.target(*row).iter().map(move |value| weight * smooth(value))
        };
        rows.iter().flat_map(target).collect()
    }
}

/// Into how many parts a step's rows go: as even as can be, and each of two faces at least, whose moments are
/// of no use otherwise.
pub(super) fn shards(settings: &Settings, rows: usize) -> usize {
    settings.shards.min(rows / 2).max(1)
}

/// Of each item of so many values `share` is kept; the rest comes from its partner, as that was.
fn mix(values: &mut [f32], length: usize, partners: &[usize], share: f32) {
    let before = values.to_vec();
    for (item, partner) in values.chunks_exact_mut(length).zip(partners) {
        let other = &before[partner * length..(partner + 1) * length];
        item.iter_mut().zip(other).for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::faces::Faces;

    #[test]
    fn any_number_of_threads_feeds_the_same() {
        let pixels: Vec<u8> = (0..40 * 256).map(|at| (at * 31 % 251) as u8).collect();
        let targets = vec![0.5; 80];
        let faces = Faces { pixels: &pixels, width: 16, height: 16 };
        let examples = Examples { faces, targets: &targets, weights: None, classes: 2 };
        let settings = Settings { shards: 2, mixup: 0.2, dropout: 0.3, ..Settings::default() };
        let rows: Vec<usize> = (0..40).collect();
        let fed = |workers: usize| {
            let loader = Loader { examples, settings: &settings, workers };
            let all = loader.run(rows.chunks(8), Random::new(&[3]), |shards| {
                Ok(shards.flatten().map(|shard| (shard.rows, shard.input, shard.keep)).collect::<Vec<_>>())
            });
            all.unwrap()
        };
        let one = fed(1);
        assert_eq!(one.len(), 10);
        assert_eq!(fed(3), one);
    }
}
