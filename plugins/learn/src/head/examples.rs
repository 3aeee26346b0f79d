//! What a head learns from.

use crate::error::LearnError;
use crate::targets::Targets;

/// Features of faces, and what is to be said of each face.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// Rows x dimensions.
    pub features: &'a [f32],
    /// The same of the mirrored faces; training then takes one or the other by chance.
    pub mirrored: Option<&'a [f32]>,
    /// Features of a face.
    pub dimensions: usize,
    /// A distribution over the classes for each face (rows x classes, each from 0, their sum 1): one-hot for
    /// a plain label.
    pub targets: &'a [f32],
    /// How much each face counts in the loss, from 0; all alike where there are none.
    pub weights: Option<&'a [f32]>,
    /// How many classes there are.
    pub classes: usize,
}

impl<'a> Examples<'a> {
    /// How many faces there are.
    pub(super) const fn rows(&self) -> usize {
        match self.dimensions {
            0 => 0,
            dimensions => self.features.len() / dimensions,
        }
    }

    pub(super) const fn targets(&self) -> Targets<'a> {
        Targets { values: self.targets, weights: self.weights, classes: self.classes }
    }

    /// Refuses what does not fit together, and what is no number.
    pub(super) fn check(&self) -> Result<(), LearnError> {
        self.targets().check(self.rows())?;
        let expected = self.rows() * self.dimensions;
        for features in [Some(self.features), self.mirrored].into_iter().flatten() {
            if features.len() != expected {
                return Err(LearnError::Length { what: "features", found: features.len(), expected });
            }
            if let Some(at) = features.iter().position(|value| !value.is_finite()) {
                let (row, feature) = (at / self.dimensions, at % self.dimensions);
                return Err(LearnError::Feature { row, feature, value: features[at] });
            }
        }
        Ok(())
    }

    /// The features of a face, or of it mirrored where there are such.
    pub(super) fn row(&self, row: usize, mirrored: bool) -> &'a [f32] {
        let all = if mirrored { self.mirrored.unwrap_or(self.features) } else { self.features };
        &all[row * self.dimensions..(row + 1) * self.dimensions]
    }
}
