//! A trained classifier.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::backend::Flex;
use serde::{Deserialize, Serialize};

use super::examples::Examples;
use super::network::{Layer, Network};
use super::prediction::{self, TestTimeAugmentation};
use super::settings::Settings;
use crate::checkpoint::damaged;
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::norm::Moments;

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
        augmentation: TestTimeAugmentation,
        cancelled: &AtomicBool,
    ) -> Result<Vec<f32>, LearnError> {
        if (faces.width, faces.height) != self.size() {
            return Err(LearnError::OtherSize { found: (faces.width, faces.height), expected: self.size() });
        }
        prediction::probabilities(&mut &self.network, &self.moments, faces, rows, augmentation, cancelled)
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

/// A network in words.
pub(super) fn describe(layers: &[Layer], classes: usize, (width, height): (usize, usize)) -> String {
    let layers: Vec<String> = layers
        .iter()
        .map(|layer| format!("{}{}", layer.channels, if layer.pool { "p" } else { "" }))
        .collect();
    format!("{classes} classes of {width}x{height} faces through layers {}", layers.join(" "))
}
