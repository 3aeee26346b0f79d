//! Makes classes equally heavy.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, Float32Array, Int64Array};
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
            faces::{dropped_columns, train},
        },
    },
    graph::dag::{Port, PortType},
};

/// Balances the classes of one split: by repeating rows of rare classes, by dropping rows of frequent ones, or by weights.
///
/// Other splits stay as they are, and dropped rows are not counted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Balance {
    /// How.
    #[serde(default)]
    method: Method,
    /// The split.
    #[serde(default = "train")]
    split: String,
    /// Classes of which rows may be repeated or dropped, by name; all unless given.
    #[serde(default)]
    classes: Vec<String>,
    /// How many rows each class is to have; unless given, `oversample` goes by the largest class, `undersample` by the smallest.
    #[serde(default)]
    rows: Option<usize>,
    /// Another seed repeats or drops other rows.
    #[serde(default)]
    seed: u64,
}

/// How classes are balanced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Method {
    /// Rows are repeated until each class has as many as the largest. Repeated rows come last; `copy` is 0 for the original,
    /// then 1, 2 and so on.
    #[default]
    Oversample,
    /// Rows are dropped (`undersampled`) until each class has as many as the smallest.
    Undersample,
    /// A column `weight`: rows / (classes x rows of the class), which is what scikit-learn calls balanced.
    ClassWeights,
}

impl Stage for Balance {
    const NAME: &'static str = "balance";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::faces("What is balanced.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        let given = [("rows", self.rows.is_some()), ("classes", !self.classes.is_empty())];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) if self.method == Method::ClassWeights => Err(format!(
                "`{name}` has no meaning for `class-weights`, which repeats and drops no rows: leave it out"
            )),
            _ if self.rows == Some(0) => Err("`rows` is 0, and must be 1 or more".to_owned()),
            _ => Ok(()),
        }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, splits, dropped) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let mut by_class = vec![Vec::new(); faces.classes.len()];
        for (row, label) in labels.iter().enumerate() {
            if let (Some(label), true) = (label, splits[row] == self.split && dropped[row].is_none()) {
                by_class[*label].push(row);
            }
        }
        if by_class.iter().all(Vec::is_empty) {
            anyhow::bail!("the split `{}` has no rows with a label", self.split);
        }
        if let Some(unknown) = self.classes.iter().find(|name| !faces.classes.contains(name)) {
            let known = faces.classes.join(", ");
            anyhow::bail!("`classes`: there is no class `{unknown}` (classes: {known})");
        }
        let may_change =
            |class: usize| self.classes.is_empty() || self.classes.contains(&faces.classes[class]);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let out = context.table();
        let sizes = || by_class.iter().map(Vec::len).filter(|size| *size > 0);
        match self.method {
            Method::Oversample => {
                let wanted = self.rows.or_else(|| sizes().max()).unwrap_or(0);
                let mut rows: Vec<usize> = (0..labels.len()).collect();
                let mut copies = vec![0i64; labels.len()];
                let mut by_round = BTreeMap::<i64, Vec<usize>>::new();
                let changed = by_class.iter().enumerate().filter(|(class, _)| may_change(*class));
                for (_, members) in changed.filter(|(_, members)| !members.is_empty()) {
                    for (missing, copy) in rounds(members.len(), wanted).into_iter().zip(1..) {
                        let mut shuffled = members.clone();
                        shuffled.shuffle(&mut random);
                        by_round.entry(copy).or_default().extend(shuffled.into_iter().take(missing));
                    }
                }
                // Each round in the order of the table, which is then read once for it.
                for (copy, mut repeated) in by_round {
                    repeated.sort_unstable();
                    copies.extend(std::iter::repeat_n(copy, repeated.len()));
                    rows.extend(repeated);
                }
                let column = (
                    Field::new("copy", DataType::Int64, true),
                    Arc::new(Int64Array::from(copies)) as ArrayRef,
                );
                faces.table.write_rows(&out, &rows, &[column])?;
                let added = rows.len() - labels.len();
                Ok(Facts::default().with("rows", rows.len()).with("added", added).with("each_class", wanted))
            }
            Method::Undersample => {
                let wanted = self.rows.or_else(|| sizes().min()).unwrap_or(0);
                let mut decisions = vec![None; labels.len()];
                for (_, members) in by_class.iter_mut().enumerate().filter(|(class, _)| may_change(*class)) {
                    members.shuffle(&mut random);
                    let too_many = members.iter().skip(wanted);
                    too_many.for_each(|&row| decisions[row] = Some(("undersampled".to_owned(), 1.0)));
                }
                let gone = decisions.iter().flatten().count();
                faces.table.write_with(&out, &dropped_columns(&faces, Self::NAME, &decisions)?)?;
                Ok(Facts::default()
                    .with("rows", labels.len())
                    .with("dropped", gone)
                    .with("each_class", wanted))
            }
            Method::ClassWeights => {
                let total: usize = sizes().sum();
                let present = sizes().count();
                let weight = |members: &Vec<usize>| total as f32 / (present * members.len().max(1)) as f32;
                let mut weights = vec![1f32; labels.len()];
                for members in &by_class {
                    members.iter().for_each(|&row| weights[row] = weight(members));
                }
                let column = (
                    Field::new("weight", DataType::Float32, true),
                    Arc::new(Float32Array::from(weights)) as ArrayRef,
                );
                faces.table.write_with(&out, &[column])?;
                let by_name = faces.classes.iter().zip(&by_class).filter(|(_, members)| !members.is_empty());
                let weights: serde_json::Map<_, _> = by_name
                    .map(|(name, members)| (name.clone(), f64::from(weight(members)).into()))
                    .collect();
                Ok(Facts::default().with("rows", labels.len()).with("weights", weights))
            }
        }
    }
}

/// How many rows are repeated in each round, until there are as many as wanted.
fn rounds(there: usize, wanted: usize) -> Vec<usize> {
    let mut missing = wanted.saturating_sub(there);
    let mut rounds = Vec::new();
    while missing > 0 {
        rounds.push(missing.min(there));
        missing -= missing.min(there);
    }
    rounds
}
