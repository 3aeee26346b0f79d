//! Rows of a table as examples.

use anyhow::{Context, bail};
use arrow_array::{Array, Float32Array, ListArray};
use ferroflow_learn::{Faces as Pictures, Split, classifier::Examples};

use crate::batch::data::{
    Faces,
    columns::{PROBABILITIES, WEIGHT},
};

/// Rows that take part, and what is wanted of them.
pub struct Chosen {
    /// Their places in the table, rising.
    pub rows: Vec<usize>,
    /// A distribution over the classes for each (rows x classes).
    pub targets: Vec<f32>,
    /// How much each counts, where the table says so.
    pub weights: Option<Vec<f32>>,
    /// How many classes there are.
    pub classes: usize,
    /// Which of them are to learn from.
    pub learn: Vec<usize>,
    /// Which of them are to judge on.
    pub validate: Vec<usize>,
}

impl Chosen {
    /// Which rows are for what.
    pub fn split(&self) -> Split<'_> {
        Split { learn: &self.learn, validate: &self.validate }
    }

    /// Faces to learn from, and those that judge.
    pub fn counts(&self) -> (usize, usize) {
        (self.learn.len(), self.validate.len())
    }

    /// Takes the rows of two splits that have a label and were not dropped. `soft` is the share of a target
    /// that comes from the column `probabilities`, for rows that have some; validation rows are judged by
    /// their label.
    pub fn of(faces: &Faces, [learn, validate]: [&str; 2], soft: f32) -> anyhow::Result<Self> {
        let (labels, splits, dropped) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let classes = faces.classes.len();
        let probabilities = (soft > 0.0).then(|| probabilities(faces)).transpose()?;
        let weights: Option<Float32Array> =
            faces.table.has(WEIGHT).then(|| faces.table.typed(WEIGHT)).transpose()?;
        let mut chosen = Self {
            rows: Vec::new(),
            targets: Vec::new(),
            weights: weights.is_some().then(Vec::new),
            classes,
            learn: Vec::new(),
            validate: Vec::new(),
        };
        let mut by_class = vec![0usize; classes];
        for row in 0..labels.len() {
            let (Some(label), None) = (labels[row], &dropped[row]) else { continue };
            let place = chosen.rows.len();
            let mut target = vec![0.0; classes];
            target[label] = 1.0;
            if splits[row] == learn {
                by_class[label] += 1;
                if let Some(values) = probabilities.as_ref().and_then(|all| values(all, row)) {
                    mix(&mut target, &values, soft)
                        .with_context(|| format!("`{PROBABILITIES}` of row {row}"))?;
                }
                chosen.learn.push(place);
            } else if splits[row] == validate {
                chosen.validate.push(place);
            } else {
                continue;
            }
            chosen.rows.push(row);
            chosen.targets.extend(target);
            if let (Some(chosen), Some(weights)) = (&mut chosen.weights, &weights) {
                chosen.push(if weights.is_valid(row) { weights.value(row) } else { 1.0 });
            }
        }
        if chosen.learn.is_empty() {
            bail!(
                "no row of the split `{learn}` has a label and was not dropped before: there is nothing to learn from"
            );
        }
        if let Some(empty) = by_class.iter().position(|count| *count == 0) {
            bail!(
                "the class `{}` has no faces in the split `{learn}`: a network cannot learn it; give faces of it, or take it out of the classes (`filter` with `classes` and `shrink = true`)",
                faces.classes[empty]
            );
        }
        Ok(chosen)
    }
}

/// Faces that take part, and what is wanted of them.
pub struct Drawn {
    /// Their rows.
    pub chosen: Chosen,
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Drawn {
    /// As [`Chosen::of`], with the pictures, which must be of one size.
    pub fn of(faces: &Faces, splits: [&str; 2], soft: f32, workers: usize) -> anyhow::Result<Self> {
        let chosen = Chosen::of(faces, splits, soft)?;
        let (width, height, all) = faces.gray_pixels(workers)?;
        let size = width * height;
        let mut pixels = Vec::with_capacity(chosen.rows.len() * size);
        chosen.rows.iter().for_each(|row| pixels.extend_from_slice(&all[row * size..(row + 1) * size]));
        Ok(Self { chosen, pixels, width, height })
    }

    /// As the library takes them.
    pub fn examples(&self) -> Examples<'_> {
        Examples {
            faces: Pictures { pixels: &self.pixels, width: self.width, height: self.height },
            targets: &self.chosen.targets,
            weights: self.chosen.weights.as_deref(),
            classes: self.chosen.classes,
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
    Some(row.as_any().downcast_ref::<Float32Array>().map_or_else(Vec::new, |values| values.values().to_vec()))
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
