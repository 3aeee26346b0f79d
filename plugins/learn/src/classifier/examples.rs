//! What a classifier learns from.

use crate::error::LearnError;
use crate::faces::Faces;

/// Faces, and what a network is to say of each.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// The faces.
    pub faces: Faces<'a>,
    /// A distribution over the classes for each face (faces x classes, each from 0, their sum 1): one-hot for a plain label.
    pub targets: &'a [f32],
    /// How much each face counts in the loss, from 0; all alike where there are none.
    pub weights: Option<&'a [f32]>,
    /// How many classes there are.
    pub classes: usize,
}

impl Examples<'_> {
    /// Refuses what does not fit together.
    pub(super) fn check(&self) -> Result<(), LearnError> {
        let rows = self.faces.count();
        if rows == 0 || self.classes == 0 {
            return Err(LearnError::Empty);
        }
        let expected = rows * self.classes;
        if self.targets.len() != expected {
            return Err(LearnError::Length { what: "targets", found: self.targets.len(), expected });
        }
        for (row, target) in self.targets.chunks_exact(self.classes).enumerate() {
            if let Some(class) = target.iter().position(|value| !(0.0..=1.0).contains(value)) {
                return Err(LearnError::Probability { row, class, value: target[class] });
            }
            let sum = target.iter().map(|value| f64::from(*value)).sum::<f64>();
            if (sum - 1.0).abs() > 1e-3 {
                return Err(LearnError::Sum { row, sum });
            }
        }
        let Some(weights) = self.weights else { return Ok(()) };
        if weights.len() != rows {
            return Err(LearnError::Length { what: "weights", found: weights.len(), expected: rows });
        }
        match weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite())) {
            Some(row) => Err(LearnError::Weight { row, value: weights[row] }),
            None => Ok(()),
        }
    }

    /// The distribution that is wanted of a face.
    pub(super) fn target(&self, row: usize) -> &[f32] {
        &self.targets[row * self.classes..(row + 1) * self.classes]
    }

    /// How much a face counts.
    pub(super) fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The class that is wanted of a face before all others.
    pub(super) fn label(&self, row: usize) -> usize {
        greatest(self.target(row))
    }
}

/// The index of the greatest value, the first of equals; 0 for none.
pub(super) fn greatest(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (at, value)| if *value > values[best] { at } else { best })
}
