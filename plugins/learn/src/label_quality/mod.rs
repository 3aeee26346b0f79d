//! Which labels are wrong, as out-of-fold probabilities tell.
//!
//! Confident learning (Northcutt, Jiang & Chuang 2021) under the names and with the answers of cleanlab 2:
//! `scores` for each row, `confident_joint` for the whole, `find_label_issues` to choose. And a posterior of
//! our own (`posterior`), which says what the label should be and how sure that is.
//!
//! Probabilities are f32, rows x classes, row by row, each row from 0 to 1 with sum 1; labels are below
//! `classes`. Everything is computed in f64.

mod confident_joint;
mod issues;
mod posterior;
mod rounding;
mod scores;

pub use confident_joint::{confident_joint, confident_thresholds};
pub use issues::{FilterBy, find_label_issues};
pub use posterior::{Posterior, posterior};
pub use scores::{confidence_weighted_entropy, normalized_margin, self_confidence};

use crate::error::LearnError;
use crate::targets::greatest;

/// How far a row's sum may be from 1: rounding of f32 over many classes, no more.
const SUM_TOLERANCE: f64 = 1e-3;

/// Labels with the probabilities of their rows, known to fit each other.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    labels: &'a [u8],
    probabilities: &'a [f32],
    classes: usize,
}

impl<'a> Judged<'a> {
    /// Checks lengths, labels and probabilities once, for all that follows.
    ///
    /// # Errors
    /// If there are no rows or fewer than two classes, lengths do not fit, a label is no class, or a row is no distribution.
    pub fn new(labels: &'a [u8], probabilities: &'a [f32], classes: usize) -> Result<Self, LearnError> {
        if labels.is_empty() {
            return Err(LearnError::Empty);
        }
        if classes < 2 {
            return Err(LearnError::Setting {
                name: "classes",
                value: classes.to_string(),
                needed: "2 or more are needed to confuse them",
            });
        }
        let expected = labels.len() * classes;
        if probabilities.len() != expected {
            return Err(LearnError::Length { what: "probabilities", found: probabilities.len(), expected });
        }
        for (row, (label, values)) in labels.iter().zip(probabilities.chunks_exact(classes)).enumerate() {
            if usize::from(*label) >= classes {
                return Err(LearnError::Label { row, label: usize::from(*label), classes });
            }
            if let Some(class) =
                values.iter().position(|value| !(0.0..=1.0 + SUM_TOLERANCE as f32).contains(value))
            {
                return Err(LearnError::Probability { row, class, value: values[class] });
            }
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(LearnError::Sum { row, sum });
            }
        }
        Ok(Self { labels, probabilities, classes })
    }

    /// Label and probabilities of each row.
    fn rows(&self) -> impl ExactSizeIterator<Item = (usize, &'a [f32])> + use<'a> {
        let labels = self.labels.iter().map(|label| usize::from(*label));
        labels.zip(self.probabilities.chunks_exact(self.classes))
    }

    fn row(&self, row: usize) -> &'a [f32] {
        self.probabilities.split_at(row * self.classes).1.split_at(self.classes).0
    }

    /// Rows whose label is the likeliest class.
    pub fn agreeing(&self) -> usize {
        self.rows().filter(|(label, row)| greatest(row) == *label).count()
    }

    /// How much more of the classes is told apart than by chance: 0 where one class is said of all rows or
    /// any of each, 1 where the likeliest class is the label of every row (balanced accuracy, adjusted for
    /// chance).
    pub fn adjusted_balanced_accuracy(&self) -> f64 {
        let (mut right, counts) = (vec![0usize; self.classes], self.counts());
        for (label, row) in self.rows() {
            right[label] += usize::from(greatest(row) == label);
        }
        let recalls = right.iter().zip(&counts).filter(|(_, rows)| **rows > 0);
        let recalls: Vec<f64> = recalls.map(|(right, rows)| *right as f64 / *rows as f64).collect();
        let chance = 1.0 / recalls.len() as f64;
        if recalls.len() < 2 {
            return 1.0;
        }
        (recalls.iter().sum::<f64>() * chance - chance) / (1.0 - chance)
    }

    /// The label that most rows have, and how many these are.
    pub fn most_frequent(&self) -> (usize, usize) {
        let counts = self.counts().into_iter().enumerate();
        counts.rev().max_by_key(|(_, rows)| *rows).unwrap_or_default()
    }

    /// Rows of each label.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for label in self.labels {
            counts[usize::from(*label)] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn who_always_says_the_same_tells_nothing_apart() {
        let insight = |labels: &[u8], said: &[u8]| {
            let rows: Vec<f32> =
                said.iter().flat_map(|said| [0, 1, 2].map(|class| f32::from(class == *said))).collect();
            Judged::new(labels, &rows, 3).unwrap().adjusted_balanced_accuracy()
        };
        assert_eq!(insight(&[0, 0, 0, 1], &[0, 0, 0, 0]), 0.0);
        assert_eq!(insight(&[0, 0, 0, 1], &[0, 0, 0, 1]), 1.0);
        // Less often right than who says 0 of all, and yet it knows the rare class.
        assert!((insight(&[0, 0, 0, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 1, 1]) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(insight(&[2, 2], &[2, 0]), 1.0, "one class cannot be taken for another");
    }
}
