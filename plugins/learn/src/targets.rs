//! What a network is to say of each row, and how much the row counts.

use crate::error::LearnError;

/// A distribution over the classes for each row, and weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets<'a> {
    /// Rows x classes, each from 0, the sum of a row 1: one-hot for a plain label.
    pub values: &'a [f32],
    /// How much each row counts in the loss, from 0; all alike where there are none.
    pub weights: Option<&'a [f32]>,
    /// How many classes there are.
    pub classes: usize,
}

impl<'a> Targets<'a> {
    /// Refuses what does not fit so many rows.
    pub fn check(&self, rows: usize) -> Result<(), LearnError> {
        if rows == 0 || self.classes == 0 {
            return Err(LearnError::Empty);
        }
        let expected = rows * self.classes;
        if self.values.len() != expected {
            return Err(LearnError::Length { what: "targets", found: self.values.len(), expected });
        }
        for (row, target) in self.values.chunks_exact(self.classes).enumerate() {
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

    /// Refuses rows to learn from that all count nothing.
    pub fn check_weights(&self, learn: &[usize]) -> Result<(), LearnError> {
        match learn.iter().any(|row| self.weight(*row) > 0.0) {
            true => Ok(()),
            false => Err(LearnError::NoWeight),
        }
    }

    /// The distribution that is wanted of a row.
    pub fn of(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.classes..(row + 1) * self.classes]
    }

    /// How much a row counts.
    pub fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The class that is wanted of a row before all others.
    pub fn label(&self, row: usize) -> usize {
        greatest(self.of(row))
    }
}

/// The index of the greatest value, the first of equals; 0 for none.
pub(crate) fn greatest(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (at, value)| if *value > values[best] { at } else { best })
}
