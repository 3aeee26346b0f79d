//! What a classifier learns from.

use crate::error::LearnError;
use crate::faces::Faces;
use crate::targets::Targets;

pub(super) use crate::targets::greatest;

/// Faces, and what a network is to say of each.
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    /// The faces.
    pub faces: Faces<'a>,
    /// A distribution over the classes for each face (faces x classes, each from 0, their sum 1): one-hot for
    /// a plain label.
    pub targets: &'a [f32],
    /// How much each face counts in the loss, from 0; all alike where there are none.
    pub weights: Option<&'a [f32]>,
    /// How many classes there are.
    pub classes: usize,
}

impl<'a> Examples<'a> {
    pub(super) const fn wanted(&self) -> Targets<'a> {
        Targets { values: self.targets, weights: self.weights, classes: self.classes }
    }

    /// Refuses what does not fit together.
    pub(super) fn check(&self) -> Result<(), LearnError> {
        self.wanted().check(self.faces.count())
    }

    /// The distribution that is wanted of a face.
    pub(super) fn target(&self, row: usize) -> &[f32] {
        self.wanted().of(row)
    }

    /// How much a face counts.
    pub(super) fn weight(&self, row: usize) -> f32 {
        self.wanted().weight(row)
    }

    /// The class that is wanted of a face before all others.
    pub(super) fn label(&self, row: usize) -> usize {
        self.wanted().label(row)
    }

    /// The sum of the weights of some faces, by which their losses are divided.
    pub(super) fn total<'r>(&self, rows: impl Iterator<Item = &'r usize>) -> f32 {
        rows.map(|row| self.weight(*row)).sum::<f32>().max(f32::MIN_POSITIVE)
    }

    /// For how many rows the greatest logit is that of the class that is wanted most; both are rows x
    /// classes. Of mixed faces, the targets are too.
    pub(super) fn agreeing(&self, logits: &[f32], targets: &[f32]) -> usize {
        let answers = logits.chunks_exact(self.classes).zip(targets.chunks_exact(self.classes));
        answers.filter(|(answer, target)| greatest(answer) == greatest(target)).count()
    }
}
