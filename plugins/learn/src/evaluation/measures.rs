//! All that is measured of a classifier.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Calibration, Confusion, wilson};

/// A classifier's measures. Shares are from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// The classifier.
    pub name: String,
    /// Share of right answers.
    pub accuracy: f64,
    /// What holds the accuracy with 95 % confidence.
    pub interval: [f64; 2],
    /// Mean recall.
    pub balanced_accuracy: f64,
    /// Mean F1.
    pub macro_f1: f64,
    /// The expected calibration error.
    pub calibration_error: f64,
    /// Of each class, the share of its faces with the right answer; none without faces.
    pub recall: BTreeMap<String, Option<f64>>,
    /// Of each class, the share of the faces with this answer that are of it; none where it is never the answer.
    pub precision: BTreeMap<String, Option<f64>>,
    /// Counts; lines are classes, columns answers, both in the order of the classes.
    pub confusion: Vec<Vec<usize>>,
}

impl Measures {
    /// Of what was counted, for classes of these names.
    pub fn of(name: &str, confusion: &Confusion, calibration: &Calibration, classes: &[String]) -> Self {
        let by_class = |values: Vec<Option<f64>>| classes.iter().cloned().zip(values).collect();
        Self {
            name: name.to_owned(),
            accuracy: confusion.accuracy(),
            interval: wilson(confusion.right(), confusion.total()),
            balanced_accuracy: confusion.balanced_accuracy(),
            macro_f1: confusion.macro_f1(),
            calibration_error: calibration.error,
            recall: by_class(confusion.recalls()),
            precision: by_class(confusion.precisions()),
            confusion: confusion.counts().to_vec(),
        }
    }

    /// Faces that were judged.
    pub fn faces(&self) -> usize {
        self.confusion.iter().flatten().sum()
    }
}
