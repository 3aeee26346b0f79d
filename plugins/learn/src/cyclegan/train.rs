//! All steps of a training, and what a killed one goes on from.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::losses::Direction;
use super::pair::{CpuPair, Pair};
use super::settings::Settings;
use super::step::Steps;
use super::translator::Translator;
use super::warnings;
use super::{Epoch, Progress, Samples, to_gray, to_values};
use crate::allocator;
use crate::checkpoint;
use crate::error::LearnError;
use crate::faces::Faces;
use crate::random::Random;
use crate::ssim::Ssim;

/// Between two checkpoints within an epoch.
const CHECKPOINTS: Duration = Duration::from_secs(300);
/// Faces of each class that show how far the networks are.
const SAMPLES: usize = 8;
/// Further ones that only tell how much generated faces vary.
const MEASURED: usize = 32;

/// What a training comes to: the networks of both directions, and mean losses of both in each epoch.
pub(super) type Outcome = ([Translator; 2], Vec<[Direction; 2]>);

/// A training under way.
pub(super) struct Training<'a> {
    pub settings: &'a Settings,
    pub classes: [Faces<'a>; 2],
    pub fingerprint: &'a str,
    pub checkpoint: PathBuf,
    pub parallel: bool,
    pub progress: &'a dyn Fn(Progress),
    pub epoch_done: &'a dyn Fn(&Epoch<'_>),
    pub cancelled: &'a AtomicBool,
}

/// Where a training stands.
struct State<P> {
    pair: P,
    /// Steps done, over all epochs.
    steps: usize,
    /// Losses of both directions in each epoch; those of the last one are sums of its steps so far.
    history: Vec<[Direction; 2]>,
}

impl Training<'_> {
    /// Trains on the CPU to the end, from the last checkpoint if there is one.
    pub fn run(&self) -> Result<Outcome, LearnError> {
        allocator::keep();
        let side = self.side();
        let ssim = Ssim::new(side.0, side.1, 2.0, &Default::default());
        self.teach(CpuPair::new(Steps { settings: self.settings, ssim, parallel: self.parallel, side }))
    }

    /// The same with networks wherever they are.
    pub(super) fn teach(&self, pair: impl Pair) -> Result<Outcome, LearnError> {
        let settings = self.settings;
        let mut state = self.resume(pair)?;
        let in_epoch = self.steps_in_epoch();
        let mut saved = Instant::now();
        while state.steps < in_epoch * settings.all_epochs() {
            let epoch = state.steps / in_epoch;
            let order = [0, 1].map(|class| self.order(epoch, class, in_epoch * settings.batch_size));
            for step in state.steps % in_epoch..in_epoch {
                if self.cancelled.load(Ordering::Relaxed) {
                    self.save(&mut state)?;
                    return Err(LearnError::Cancelled);
                }
                state = self.step(state, epoch, step, &order)?;
                if saved.elapsed() >= CHECKPOINTS && step + 1 < in_epoch {
                    self.save(&mut state)?;
                    saved = Instant::now();
                }
            }
            self.tell(&mut state, epoch)?;
            self.save(&mut state)?;
            saved = Instant::now();
        }
        let translators = self.translators(&mut state)?;
        Ok((translators, state.history))
    }

    /// Lines of a face, and pixels in a line.
    pub(super) const fn side(&self) -> (usize, usize) {
        (self.classes[0].height, self.classes[0].width)
    }

    /// Steps in an epoch.
    fn steps_in_epoch(&self) -> usize {
        let larger = self.classes.iter().map(Faces::count).max().unwrap_or(0);
        let faces = if self.settings.epoch_faces == 0 { larger } else { self.settings.epoch_faces };
        (faces / self.settings.batch_size).max(1)
    }

    /// Rows of a class in the order of an epoch: each once before any comes again.
    fn order(&self, epoch: usize, class: usize, length: usize) -> Vec<usize> {
        let mut random = Random::new(&[self.settings.seed, epoch as u64, class as u64]);
        let mut rows: Vec<usize> = (0..self.classes[class].count()).collect();
        let mut order = Vec::with_capacity(length + rows.len());
        while order.len() < length {
            random.shuffle(&mut rows);
            order.extend_from_slice(&rows);
        }
        order.truncate(length);
        order
    }

    fn step<P: Pair>(
        &self,
        state: State<P>,
        epoch: usize,
        step: usize,
        order: &[Vec<usize>; 2],
    ) -> Result<State<P>, LearnError> {
        let settings = self.settings;
        let mut random = Random::new(&[settings.seed, epoch as u64, step as u64, u64::MAX]);
        let batch = [0, 1].map(|class| {
            let rows = &order[class][step * settings.batch_size..(step + 1) * settings.batch_size];
            let face = |row: &usize| {
                let mirrored = settings.mirrored && random.unit() < 0.5;
                to_values(self.classes[class].face(*row), self.classes[class].width, mirrored)
            };
            rows.iter().flat_map(face).collect::<Vec<f32>>()
        });
        let sources = [Random::new(&[random.next()]), Random::new(&[random.next()])];
        let State { pair, steps: done, mut history } = state;
        let (pair, losses) = pair.step(batch, settings.rate(epoch), sources)?;
        if let Some(loss) = losses.iter().flat_map(Direction::values).find(|loss| !loss.is_finite()) {
            return Err(LearnError::NotFinite { epoch, step, loss });
        }
        if step == 0 {
            history.push(Default::default());
        }
        let in_epoch = self.steps_in_epoch();
        let mut means = [Direction::default(); 2];
        if let Some(last) = history.last_mut() {
            for ((last, mean), new) in last.iter_mut().zip(&mut means).zip(&losses) {
                last.add(new, 1.0 / in_epoch as f32);
                mean.add(last, in_epoch as f32 / (step + 1) as f32);
            }
        }
        (self.progress)(Progress {
            epoch,
            epochs: settings.all_epochs(),
            step: step + 1,
            steps: in_epoch,
            losses: means,
        });
        Ok(State { pair, steps: done + 1, history })
    }

    /// Shows what an epoch has come to.
    fn tell(&self, state: &mut State<impl Pair>, epoch: usize) -> Result<(), LearnError> {
        let translators = self.translators_of_batch(state)?;
        let mut samples = [Samples::default(), Samples::default()];
        let mut warnings = [Vec::new(), Vec::new()];
        for (at, sample) in samples.iter_mut().enumerate() {
            let (from, to) = (&self.classes[at], &self.classes[1 - at]);
            let size = from.width * from.height;
            let real = some(from, SAMPLES.max(MEASURED));
            let generated = translators[at].translate_values(&real)?;
            if generated.iter().any(|value| !value.is_finite()) {
                let step = self.steps_in_epoch();
                return Err(LearnError::NotFinite { epoch, step, loss: f32::NAN });
            }
            let shown = SAMPLES.min(from.count()) * size;
            let returned = translators[1 - at].translate_values(&generated[..shown])?;
            let history: Vec<Direction> = state.history.iter().map(|epoch| epoch[at]).collect();
            warnings[at] = warnings::warnings(&history, &some(to, SAMPLES.max(MEASURED)), &generated, size);
            *sample = Samples {
                real: to_gray(&real[..shown]),
                translated: to_gray(&generated[..shown]),
                returned: to_gray(&returned),
            };
        }
        (self.epoch_done)(&Epoch {
            epoch,
            epochs: self.settings.all_epochs(),
            history: &state.history,
            samples,
            warnings,
        });
        Ok(())
    }

    /// Networks that normalise with what they are given, as while they learn.
    fn translators_of_batch(&self, state: &mut State<impl Pair>) -> Result<[Translator; 2], LearnError> {
        let generators = state.pair.generators()?;
        Ok(generators.map(|generator| Translator::new(generator, self.settings, self.side())))
    }

    /// Networks that translate each face for itself.
    fn translators(&self, state: &mut State<impl Pair>) -> Result<[Translator; 2], LearnError> {
        let [mut there, mut back] = self.translators_of_batch(state)?;
        there.measure(&self.classes[0], self.settings.batch_size)?;
        back.measure(&self.classes[1], self.settings.batch_size)?;
        Ok([there, back])
    }

    fn resume<P: Pair>(&self, pair: P) -> Result<State<P>, LearnError> {
        let path = &self.checkpoint;
        let Some(saved) = checkpoint::read(path, self.fingerprint)? else {
            return Ok(State { pair, steps: 0, history: Vec::new() });
        };
        let [parts @ .., losses] = saved.parts.as_slice() else {
            return Err(checkpoint::damaged(path, "it has no parts"));
        };
        let values: Vec<f32> = losses.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let history = values.as_chunks::<10>().0.iter().map(|values| {
            let (there, back) = values.split_at(5);
            [there, back].map(Direction::from_values)
        });
        let steps = saved.epochs;
        Ok(State { pair: pair.restore(parts, steps, path)?, steps, history: history.collect() })
    }

    /// Writes a checkpoint, unless that would put networks that are no numbers in the place of the last good one.
    fn save(&self, state: &mut State<impl Pair>) -> Result<(), LearnError> {
        if !state.pair.is_finite()? {
            let (epoch, step) = (state.steps / self.steps_in_epoch(), state.steps % self.steps_in_epoch());
            return Err(LearnError::NotFinite { epoch, step, loss: f32::NAN });
        }
        let mut parts = state.pair.save()?;
        let losses = state.history.iter().flatten().flat_map(Direction::values);
        parts.push(losses.flat_map(f32::to_le_bytes).collect());
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        checkpoint::write(&self.checkpoint, self.fingerprint, state.steps, &parts)
    }
}

/// Some faces of a class, from all over it.
fn some(class: &Faces<'_>, most: usize) -> Vec<f32> {
    let count = class.count().min(most);
    let rows = (0..count).map(|at| at * class.count() / count);
    rows.flat_map(|row| to_values(class.face(row), class.width, false)).collect()
}
