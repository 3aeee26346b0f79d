//! A trained classifier.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::backend::Flex;
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::examples::Examples;
use super::network::{INPUTS, Layer, Network};
use super::settings::Settings;
use super::views::{View, batch};
use crate::checkpoint::damaged;
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::norm::Moments;
use crate::random::Random;

/// Faces in a batch of those that only ask.
const BATCH: usize = 128;

/// Faces over which the moments of normalisation are taken.
const MEASURED: usize = 4096;

/// How often each face is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// Once, as it is. What the exported network does.
    One,
    /// Four times, and the mean taken: the middle in its own size and a little smaller, and both mirrored.
    Four,
}

impl Looks {
    const fn views(self) -> &'static [View] {
        const VIEWS: [View; 4] = [
            View::plain(false, 1.0),
            View::plain(true, 1.0),
            View::plain(false, 1.08),
            View::plain(true, 1.08),
        ];
        match self {
            Self::One => VIEWS.split_at(1).0,
            Self::Four => &VIEWS,
        }
    }
}

/// A network with the moments that single faces are normalised with.
#[derive(Clone, Debug)]
pub struct Classifier {
    pub(super) network: Network<Flex>,
    pub(super) moments: Vec<Moments>,
    pub(super) about: About,
}

/// What must be known of a classifier besides its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub layers: Vec<Layer>,
    pub classes: usize,
    pub width: usize,
    pub height: usize,
}

/// A classifier in a file.
#[derive(Serialize, Deserialize)]
struct File {
    about: About,
    /// Means and variances of each block.
    moments: Vec<(Vec<f32>, Vec<f32>)>,
    /// Hash of the network that follows.
    hash: String,
}

impl Classifier {
    /// Takes the moments of `network`: means over batches of faces that it learnt from, whose rows are `learnt`.
    pub(super) fn measure(
        network: Network<Flex>,
        about: About,
        faces: Faces<'_>,
        learnt: &[usize],
        random: &mut Random,
        cancelled: &AtomicBool,
    ) -> Result<Self, LearnError> {
        let mut rows = learnt.to_vec();
        random.shuffle(&mut rows);
        rows.truncate(MEASURED);
        // No batch may be much smaller than the others: what is left over is left out.
        let batches: Vec<&[usize]> =
            if rows.len() < BATCH { vec![&rows] } else { rows.chunks_exact(BATCH).collect() };
        let mut classifier = Self { network, moments: Vec::new(), about };
        let mut mean: Vec<Moments> = Vec::new();
        for (index, rows) in batches.iter().enumerate() {
            check(cancelled)?;
            let (_, moments) = classifier.look(faces, rows, View::plain(index % 2 == 1, 1.0));
            if mean.is_empty() {
                mean = moments;
            } else {
                let part = 1.0 / (index + 1) as f32;
                mean.iter_mut().zip(&moments).for_each(|(mean, new)| mean.approach(new, part));
            }
        }
        classifier.moments = mean;
        Ok(classifier)
    }

    /// Width and height of the faces that it was trained with.
    pub const fn size(&self) -> (usize, usize) {
        (self.about.width, self.about.height)
    }

    /// How many classes it tells apart.
    pub const fn classes(&self) -> usize {
        self.about.classes
    }

    /// Whether training with these settings and examples would give a network of the same build.
    pub(super) fn is_like(&self, settings: &Settings, examples: Examples<'_>) -> bool {
        let faces = examples.faces;
        self.about.layers == settings.layers
            && self.classes() == examples.classes
            && self.size() == (faces.width, faces.height)
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        describe(&self.about.layers, self.classes(), self.size())
    }

    /// Probabilities (rows x classes) of these rows of `faces`.
    ///
    /// # Errors
    /// If the faces are of another size than those that it was trained with, or `cancelled` is set.
    pub fn probabilities(
        &self,
        faces: Faces<'_>,
        rows: &[usize],
        looks: Looks,
        cancelled: &AtomicBool,
    ) -> Result<Vec<f32>, LearnError> {
        if (faces.width, faces.height) != self.size() {
            return Err(LearnError::OtherSize { found: (faces.width, faces.height), expected: self.size() });
        }
        let views = looks.views();
        let mut all = Vec::with_capacity(rows.len() * self.classes());
        for rows in rows.chunks(BATCH) {
            check(cancelled)?;
            let mut sum = vec![0.0f32; rows.len() * self.classes()];
            for view in views {
                let (logits, _) = self.look(faces, rows, *view);
                let probabilities = softmax(logits, 1).into_data();
                let parts = sum.iter_mut().zip(probabilities.iter::<f32>());
                parts.for_each(|(sum, probability)| *sum += probability / views.len() as f32);
            }
            all.extend(sum);
        }
        Ok(all)
    }

    /// Logits of some faces, and the moments they were normalised with: the batch's own while it has none.
    fn look(&self, faces: Faces<'_>, rows: &[usize], view: View) -> (Tensor<Flex, 2>, Vec<Moments>) {
        let device = self.network.head.val().device();
        let (grid, input) = batch(faces, rows.iter().map(|row| (*row, view)));
        let input = Tensor::from_data(TensorData::new(input, [grid.rows(), INPUTS]), &device);
        let fixed = (!self.moments.is_empty()).then_some(self.moments.as_slice());
        self.network.forward(input, grid, fixed, None)
    }

    /// As bytes, from which training can go on: a line of JSON (what it is, its moments, a hash), then the numbers of
    /// the network as f32 in little-endian order.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        let moments = self.moments.iter().map(|block| (block.mean.clone(), block.variance.clone()));
        let values: Vec<u8> = self.network.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        let hash = blake3::hash(&values).to_hex().to_string();
        let file = File { about: self.about.clone(), moments: moments.collect(), hash };
        let mut bytes = serde_json::to_vec(&file).map_err(|error| LearnError::Record(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend(values);
        Ok(bytes)
    }

    /// From the bytes in the file at `path`.
    ///
    /// # Errors
    /// If they are not those of a classifier.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, LearnError> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (head, body) = bytes.split_at(end);
        let File { about, moments, hash } =
            serde_json::from_slice(head).map_err(|error| damaged(path, &error.to_string()))?;
        let body = body.get(1..).unwrap_or_default();
        if blake3::hash(body).to_hex().as_str() != hash {
            return Err(damaged(path, "its hash is another"));
        }
        let value = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap_or_default());
        let values: Vec<f32> = body.chunks_exact(4).map(value).collect();
        let network = Network::from_values(&about.layers, about.classes, &values, &Default::default());
        let network = network.ok_or_else(|| damaged(path, "it has another number of weights"))?;
        let moments = moments.into_iter().map(|(mean, variance)| Moments { mean, variance });
        Ok(Self { network, moments: moments.collect(), about })
    }
}

fn check(cancelled: &AtomicBool) -> Result<(), LearnError> {
    if cancelled.load(Ordering::Relaxed) { Err(LearnError::Cancelled) } else { Ok(()) }
}

/// A network in words.
pub(super) fn describe(layers: &[Layer], classes: usize, (width, height): (usize, usize)) -> String {
    let layers: Vec<String> = layers
        .iter()
        .map(|layer| format!("{}{}", layer.channels, if layer.pool { "p" } else { "" }))
        .collect();
    format!("{classes} classes of {width}x{height} faces through layers {}", layers.join(" "))
}
