//! Divides rows into splits anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Faces,
            columns::{ORIGINAL_SPLIT, SOURCE_ROW, SPLIT},
            faces::{TEST, TRAIN, VALIDATION},
        },
    },
    graph::dag::{Port, PortType},
};

/// Divides rows into train, validation and test, stratified by label. Duplicates (`duplicate_group`) stay
/// together, and so does what is of one `group`, the faces of a video: a network knows the others of those it
/// has learnt from.
///
/// The split before is kept in `original_split`. Dropped rows follow their group, else they go to train.
/// Faces that were made (`generator`) always go to train, and so do those that they were made of
/// (`source_row`), with their groups: what is measured on must be real, and no face may be made of it. Shares
/// are of the real rows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Split {
    /// Share of the rows that goes to test, 0 to 1.
    #[serde(default = "fifth")]
    test: f64,
    /// Share of the rows that goes to validation, 0 to 1.
    #[serde(default)]
    validation: f64,
    /// Another seed gives another division.
    #[serde(default)]
    seed: u64,
}

fn fifth() -> f64 {
    0.2
}

impl Stage for Split {
    const NAME: &'static str = "split";
    const VERSION: u32 = 5;
    const INPUTS: &'static [Port] = &[Port::faces("What is divided.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        match is_share(self.test) && is_share(self.validation) && self.test + self.validation <= 1.0 {
            true => Ok(()),
            false => Err(format!(
                "`test` is {} and `validation` {}: both must be from 0 to 1, and together at most 1",
                self.test, self.validation
            )),
        }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, dropped, groups) = (faces.labels()?, faces.dropped()?, faces.groups()?);
        let (generated, stays) = (faces.generated()?, learnt_from(&faces)?);
        let counts = |row: &usize| dropped[*row].is_none() && !generated[*row];
        // A group counts with the label of its first row that counts.
        let mut members = BTreeMap::<u32, Vec<usize>>::new();
        groups.iter().enumerate().for_each(|(row, &group)| members.entry(group).or_default().push(row));
        let mut by_label = BTreeMap::<Option<usize>, Vec<&Vec<usize>>>::new();
        for rows in members.values() {
            if let Some(&first) = rows.iter().find(|row| counts(row)) {
                by_label.entry(labels[first]).or_default().push(rows);
            }
        }
        let mut splits = vec![TRAIN; labels.len()];
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut alone: Vec<String> = Vec::new();
        for (label, groups) in &mut by_label {
            if let [only] = groups[..]
                && only.len() > 1
                && self.test + self.validation > 0.0
            {
                alone.extend(label.map(|label| faces.classes[label].clone()));
            }
            groups.shuffle(&mut random);
            let counted = |rows: &[usize]| rows.iter().filter(|row| counts(row)).count();
            let total: usize = groups.iter().map(|rows| counted(rows)).sum();
            let (to_test, to_validation) = (self.test * total as f64, self.validation * total as f64);
            let (mut test, mut validation) = (0, 0);
            for rows in groups.iter().filter(|rows| !rows.iter().any(|row| stays[*row])) {
                // A group goes where at least half of it is still wanted.
                let (rows_here, half) = (counted(rows), counted(rows) as f64 / 2.0);
                let split = if test as f64 + half <= to_test {
                    test += rows_here;
                    TEST
                } else if validation as f64 + half <= to_validation {
                    validation += rows_here;
                    VALIDATION
                } else {
                    TRAIN
                };
                rows.iter().for_each(|&row| splits[row] = split);
            }
        }
        if !alone.is_empty() {
            tracing::warn!(
                "split: all faces of {} are of one group, a video for one, and stay together: more videos make a fair test",
                alone.join(", ")
            );
        }
        let before: Option<StringArray> = faces.table.optional(ORIGINAL_SPLIT)?;
        let before = before.map_or_else(|| faces.table.typed(SPLIT), Ok)?;
        let now = StringArray::from_iter_values(&splits);
        faces.table.write_with(
            &context.table(),
            &[
                (Field::new(SPLIT, DataType::Utf8, true), Arc::new(now) as ArrayRef),
                (Field::new(ORIGINAL_SPLIT, DataType::Utf8, true), Arc::new(before)),
            ],
        )?;
        let count = |name: &str| {
            splits
                .iter()
                .zip(&dropped)
                .filter(|(split, dropped)| **split == name && dropped.is_none())
                .count()
        };
        let facts = Facts::default().with("rows", labels.len()).with("train", count(TRAIN));
        Ok(facts.with("validation", count(VALIDATION)).with("test", count(TEST)))
    }
}

/// Which rows were generated, or others were generated of them.
fn learnt_from(faces: &Faces) -> anyhow::Result<Vec<bool>> {
    let generated = faces.generated()?;
    if !generated.contains(&true) || !faces.table.has(SOURCE_ROW) {
        return Ok(generated);
    }
    let sources: Int64Array = faces.table.typed(SOURCE_ROW)?;
    let sources: BTreeSet<i64> = sources.iter().flatten().collect();
    let rows = faces.source_rows()?;
    let of_row = |(row, is_generated): (Option<i64>, bool)| {
        is_generated || row.is_some_and(|row| sources.contains(&row))
    };
    Ok(rows.iter().zip(generated).map(of_row).collect())
}
