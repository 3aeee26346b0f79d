//! Rows of a table as examples.

use anyhow::{Context as _, bail};
use arrow_array::{Array, Float32Array, ListArray};
use ferroflow_learn::{Faces as Pictures, classifier::Examples};

use crate::{batch::data::Faces, nodes::cross_validate::PROBABILITIES};

/// The column with how much a row counts.
const WEIGHT: &str = "weight";

/// Faces that take part, and what is wanted of them.
pub struct Drawn {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    targets: Vec<f32>,
    weights: Option<Vec<f32>>,
    classes: usize,
    /// Faces to learn from.
    pub learn: Vec<usize>,
    /// Faces to judge on.
    pub validate: Vec<usize>,
}

impl Drawn {
    /// Takes the rows of two splits that have a label and were not dropped. `soft` is the share of a target that comes from the
    /// column `probabilities`, for rows that have some; validation rows are judged by their label.
    pub fn of(
        faces: &Faces,
        [learn, validate]: [&str; 2],
        soft: f32,
        workers: usize,
    ) -> anyhow::Result<Self> {
        let (labels, splits, dropped) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let classes = faces.classes.len();
        let probabilities = (soft > 0.0).then(|| probabilities(faces)).transpose()?;
        let weights: Option<Float32Array> =
            faces.table.has(WEIGHT).then(|| faces.table.typed(WEIGHT)).transpose()?;
        let (width, height, all) = faces.gray_pixels(workers)?;
        let mut drawn = Self {
            pixels: Vec::new(),
            width,
            height,
            targets: Vec::new(),
            weights: weights.is_some().then(Vec::new),
            classes,
            learn: Vec::new(),
            validate: Vec::new(),
        };
        let mut by_class = vec![0usize; classes];
        for row in 0..labels.len() {
            let (Some(label), None) = (labels[row], &dropped[row]) else { continue };
            let place = drawn.learn.len() + drawn.validate.len();
            let mut target = vec![0.0; classes];
            target[label] = 1.0;
            if splits[row] == learn {
                by_class[label] += 1;
                if let Some(values) = probabilities.as_ref().and_then(|all| values(all, row)) {
                    mix(&mut target, &values, soft)
                        .with_context(|| format!("`{PROBABILITIES}` of row {row}"))?;
                }
                drawn.learn.push(place);
            } else if splits[row] == validate {
                drawn.validate.push(place);
            } else {
                continue;
            }
            drawn.pixels.extend_from_slice(&all[row * width * height..(row + 1) * width * height]);
            drawn.targets.extend(target);
            if let (Some(drawn), Some(weights)) = (&mut drawn.weights, &weights) {
                drawn.push(if weights.is_valid(row) { weights.value(row) } else { 1.0 });
            }
        }
        if drawn.learn.is_empty() {
            bail!(
                "no row of the split `{learn}` has a label and was not dropped before: there is nothing to learn from"
            );
        }
        if let Some(empty) = by_class.iter().position(|count| *count == 0) {
            bail!(
                "the class `{}` has no faces in the split `{learn}`: a network cannot learn it; give faces of it, or take the class out of the data set",
                faces.classes[empty]
            );
        }
        Ok(drawn)
    }

    /// As the library takes them.
    pub fn examples(&self) -> Examples<'_> {
        Examples {
            faces: Pictures { pixels: &self.pixels, width: self.width, height: self.height },
            targets: &self.targets,
            weights: self.weights.as_deref(),
            classes: self.classes,
        }
    }
}

fn probabilities(faces: &Faces) -> anyhow::Result<ListArray> {
    faces.table.typed(PROBABILITIES).with_context(|| {
        format!("`soft-labels` needs the column `{PROBABILITIES}`, which `cross-validate` and `predict` make")
    })
}

/// The probabilities of a row, if it has some.
fn values(all: &ListArray, row: usize) -> Option<Vec<f32>> {
    let row = all.is_valid(row).then(|| all.value(row))?;
    Some(row.as_any().downcast_ref::<Float32Array>()?.values().to_vec())
}

/// Moves a target a `share` of the way to probabilities.
fn mix(target: &mut [f32], probabilities: &[f32], share: f32) -> anyhow::Result<()> {
    if probabilities.len() != target.len() {
        bail!("{} numbers, {} are needed: one for each class", probabilities.len(), target.len());
    }
    let sum: f32 = probabilities.iter().sum();
    if !((sum - 1.0).abs() < 1e-2 && probabilities.iter().all(|value| *value >= 0.0)) {
        bail!("{probabilities:?} are no probabilities");
    }
    for (target, probability) in target.iter_mut().zip(probabilities) {
        *target = (1.0 - share) * *target + share * probability / sum;
    }
    Ok(())
}
