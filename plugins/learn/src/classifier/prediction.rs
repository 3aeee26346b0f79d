//! Asking a network, wherever it is: for the moments that it is to normalise single faces with, and then for
//! its answers.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::Flex;
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};

use super::augment::{View, batch};
use super::network::{INPUTS, Network};
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::grid::Grid;
use crate::kernels::norm::Moments;
use crate::random::Random;

/// Faces in a batch of those that only ask.
pub(super) const BATCH: usize = 128;

/// Faces over which the moments of normalisation are taken.
const MEASURED: usize = 4096;

/// Whether several views of each face are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestTimeAugmentation {
    /// Once, as it is. What the exported network does.
    Off,
    /// Four times, and the mean taken: the middle in its own size and a little smaller, and both mirrored.
    Four,
}

impl TestTimeAugmentation {
    const fn views(self) -> &'static [View] {
        const VIEWS: [View; 4] = [
            View::plain(false, 1.0),
            View::plain(true, 1.0),
            View::plain(false, 1.08),
            View::plain(true, 1.08),
        ];
        match self {
            Self::Off => VIEWS.split_at(1).0,
            Self::Four => &VIEWS,
        }
    }
}

/// A network that can be asked.
pub(super) trait Predictor {
    /// Logits (faces x classes) of up to [`BATCH`] faces that lie as `grid` says, normalised with `fixed`
    /// moments, or with their own, which are given as well.
    fn predict(
        &mut self,
        grid: Grid,
        input: Vec<f32>,
        fixed: Option<&[Moments]>,
    ) -> Result<(Vec<f32>, Vec<Moments>), LearnError>;
}

/// On the CPU.
impl<N: Borrow<Network<Flex>>> Predictor for N {
    fn predict(
        &mut self,
        grid: Grid,
        input: Vec<f32>,
        fixed: Option<&[Moments]>,
    ) -> Result<(Vec<f32>, Vec<Moments>), LearnError> {
        let input = Tensor::from_data(TensorData::new(input, [grid.rows(), INPUTS]), &Default::default());
        let network: &Network<Flex> = (*self).borrow();
        let (logits, moments) = network.forward(input, grid, fixed, None);
        Ok((logits.into_data().iter::<f32>().collect(), moments))
    }
}

/// Means of moments over batches of faces that a network learnt from, whose rows are `learnt`.
pub(super) fn moments(
    predictor: &mut dyn Predictor,
    faces: Faces<'_>,
    learnt: &[usize],
    random: &mut Random,
    cancelled: &AtomicBool,
) -> Result<Vec<Moments>, LearnError> {
    let mut rows = learnt.to_vec();
    random.shuffle(&mut rows);
    rows.truncate(MEASURED);
    // No batch may be much smaller than the others: what is left over is left out.
    let batches: Vec<&[usize]> =
        if rows.len() < BATCH { vec![&rows] } else { rows.chunks_exact(BATCH).collect() };
    let mut mean: Vec<Moments> = Vec::new();
    for (index, rows) in batches.iter().enumerate() {
        check(cancelled)?;
        let view = View::plain(index % 2 == 1, 1.0);
        let (grid, input) = batch(faces, rows.iter().map(|row| (*row, view)));
        let (_, moments) = predictor.predict(grid, input, None)?;
        if mean.is_empty() {
            mean = moments;
        } else {
            let part = 1.0 / (index + 1) as f32;
            mean.iter_mut().zip(&moments).for_each(|(mean, new)| mean.approach(new, part));
        }
    }
    Ok(mean)
}

/// Probabilities (rows x classes) of these rows of `faces`.
pub(super) fn probabilities(
    predictor: &mut dyn Predictor,
    moments: &[Moments],
    faces: Faces<'_>,
    rows: &[usize],
    augmentation: TestTimeAugmentation,
    cancelled: &AtomicBool,
) -> Result<Vec<f32>, LearnError> {
    let (views, mut all) = (augmentation.views(), Vec::new());
    for rows in rows.chunks(BATCH) {
        check(cancelled)?;
        let mut sum = Vec::new();
        for view in views {
            let (grid, input) = batch(faces, rows.iter().map(|row| (*row, *view)));
            let (logits, _) = predictor.predict(grid, input, Some(moments))?;
            sum.resize(logits.len(), 0.0);
            let shape = [rows.len(), logits.len() / rows.len()];
            let logits = Tensor::<Flex, 2>::from_data(TensorData::new(logits, shape), &Default::default());
            let probabilities = softmax(logits, 1).into_data();
            let parts = sum.iter_mut().zip(probabilities.iter::<f32>());
            parts.for_each(|(sum, probability)| *sum += probability / views.len() as f32);
        }
        all.extend(sum);
    }
    Ok(all)
}

fn check(cancelled: &AtomicBool) -> Result<(), LearnError> {
    if cancelled.load(Ordering::Relaxed) { Err(LearnError::Cancelled) } else { Ok(()) }
}
