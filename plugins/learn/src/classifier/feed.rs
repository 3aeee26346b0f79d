//! What steps learn from: drawn and computed on the CPU while the steps before are under way.

use std::sync::mpsc;
use std::thread;

use super::examples::Examples;
use super::network::INPUTS;
use super::settings::Settings;
use super::views::{View, batch};
use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::random::Random;

/// Steps that may be ready before they are wanted.
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

/// Makes shards of rows.
#[derive(Clone, Copy)]
pub(super) struct Feed<'a> {
    pub examples: Examples<'a>,
    pub settings: &'a Settings,
}

impl Feed<'_> {
    /// Gives `learn` the shards of each step's rows in turn, which another thread has ready. Random numbers are drawn in the
    /// order of the steps.
    pub fn run<'s, T>(
        self,
        steps: impl Iterator<Item = &'s [usize]> + Send,
        mut random: Random,
        learn: impl FnOnce(&mut dyn Iterator<Item = Vec<Shard>>) -> Result<T, LearnError>,
    ) -> Result<T, LearnError> {
        thread::scope(|scope| {
            let (ready, shards) = mpsc::sync_channel(AHEAD);
            let producer = scope.spawn(move || {
                // Nobody waits for them once a step has failed.
                let _ = steps
                    .map(|rows| self.shards(rows, &mut random))
                    .try_for_each(|shards| ready.send(shards));
            });
            let outcome = learn(&mut shards.iter());
            drop(shards);
            producer.join().map_err(|_| LearnError::Panicked)?;
            outcome
        })
    }

    fn shards(self, rows: &[usize], random: &mut Random) -> Vec<Shard> {
        let size = rows.len().div_ceil(self.settings.shards).max(1);
        rows.chunks(size).map(|rows| self.shard(rows, random)).collect()
    }

    fn shard(self, rows: &[usize], random: &mut Random) -> Shard {
        let settings = self.settings;
        let views: Vec<View> = rows.iter().map(|_| View::random(&settings.augmentation, random)).collect();
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
        let (grid, mut input) = batch(self.examples.faces, rows.iter().copied().zip(views));
        let mut targets = self.targets(rows);
        if let Some((share, partners)) = mixed {
            let body = grid.margin() * INPUTS..(grid.margin() + grid.body()) * INPUTS;
            mix(&mut input[body], grid.face() * INPUTS, &partners, share);
            mix(&mut targets, self.examples.classes, &partners, share);
        }
        Shard { rows: rows.to_vec(), grid, input, targets, keep, seed }
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

/// Of each item of so many values `share` is kept; the rest comes from its partner, as that was.
fn mix(values: &mut [f32], length: usize, partners: &[usize], share: f32) {
    let before = values.to_vec();
    for (item, partner) in values.chunks_exact_mut(length).zip(partners) {
        let other = &before[partner * length..(partner + 1) * length];
        item.iter_mut().zip(other).for_each(|(value, other)| *value = share * *value + (1.0 - share) * other);
    }
}
