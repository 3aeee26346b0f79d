//! Makes classes equally heavy.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Context as _;
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
            columns::{COPY, WEIGHT},
            faces::{Reason, dropped_columns, train},
        },
    },
    graph::dag::{Port, PortType},
};

/// Balances the classes of one split: by repeating rows of rare classes, by dropping rows of frequent ones,
/// or by weights.
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
    /// How many rows each class is to have; unless given, `oversample` goes by the largest class,
    /// `undersample` by the smallest.
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
    /// Rows are repeated until each class has as many as the largest. Repeated rows come last; `copy` is 0
    /// for the original, then 1, 2 and so on.
    #[default]
    Oversample,
    /// Rows are dropped (`undersampled`) until each class has as many as the smallest.
    Undersample,
    /// A column `weight`: rows / (classes x rows of the class), which is what scikit-learn calls balanced.
    ClassWeights,
}

impl Stage for Balance {
    const NAME: &'static str = "balance";
    const VERSION: u32 = 2;
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
        let by_class = faces.rows_by_class(&self.split)?;
        if by_class.iter().all(Vec::is_empty) {
            anyhow::bail!("the split `{}` has no rows with a label", self.split);
        }
        for name in &self.classes {
            faces.class(name).context("`classes`")?;
        }
        match self.method {
            Method::Oversample => self.oversample(&faces, &by_class, &context.table()),
            Method::Undersample => self.undersample(&faces, &by_class, &context.table()),
            Method::ClassWeights => class_weights(&faces, &by_class, &context.table()),
        }
    }
}

impl Balance {
    /// The rows of the classes that may change; none of others.
    fn changed<'a>(&self, faces: &Faces, by_class: &'a [Vec<usize>]) -> impl Iterator<Item = &'a Vec<usize>> {
        by_class.iter().zip(&faces.classes).filter(|(_, name)| self.may_change(name)).map(|(rows, _)| rows)
    }

    fn may_change(&self, class: &String) -> bool {
        self.classes.is_empty() || self.classes.contains(class)
    }

    fn oversample(&self, faces: &Faces, by_class: &[Vec<usize>], out: &Path) -> anyhow::Result<Facts> {
        let wanted = self.rows.or_else(|| by_class.iter().map(Vec::len).max()).unwrap_or(0);
        let there = faces.table.rows();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut by_round = BTreeMap::<i64, Vec<usize>>::new();
        for members in self.changed(faces, by_class).filter(|members| !members.is_empty()) {
            for (missing, copy) in rounds(members.len(), wanted).into_iter().zip(1..) {
                let mut shuffled = members.clone();
                shuffled.shuffle(&mut random);
                by_round.entry(copy).or_default().extend(shuffled.into_iter().take(missing));
            }
        }
        let (mut rows, mut copies): (Vec<usize>, Vec<i64>) = ((0..there).collect(), vec![0; there]);
        // Each round in the order of the table, which is then read once for it.
        for (copy, mut repeated) in by_round {
            repeated.sort_unstable();
            copies.extend(std::iter::repeat_n(copy, repeated.len()));
            rows.extend(repeated);
        }
        let column = Arc::new(Int64Array::from(copies)) as ArrayRef;
        faces.table.write_rows(out, &rows, &[(Field::new(COPY, DataType::Int64, true), column)])?;
        let added = rows.len() - there;
        let sizes = self.sizes(faces, by_class, |size| if size > 0 { size.max(wanted) } else { 0 });
        self.warn_of_others(&sizes, wanted, "oversampling takes no rows away");
        Ok(Facts::default().with("rows", rows.len()).with("added", added).with("by_class", sizes))
    }

    fn undersample(&self, faces: &Faces, by_class: &[Vec<usize>], out: &Path) -> anyhow::Result<Facts> {
        let sizes = by_class.iter().map(Vec::len).filter(|size| *size > 0);
        let wanted = self.rows.or_else(|| sizes.min()).unwrap_or(0);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut decisions = vec![None; faces.table.rows()];
        for members in self.changed(faces, by_class) {
            let mut shuffled = members.clone();
            shuffled.shuffle(&mut random);
            let too_many = shuffled.into_iter().skip(wanted);
            too_many.for_each(|row| decisions[row] = Some((Reason::Undersampled, 1.0)));
        }
        let gone = decisions.iter().flatten().count();
        let sizes = self.sizes(faces, by_class, |size| size.min(wanted));
        self.warn_of_others(&sizes, wanted, "undersampling adds none");
        faces.table.write_with(out, &dropped_columns(faces, Self::NAME, &decisions)?)?;
        Ok(Facts::default().with("rows", decisions.len()).with("dropped", gone).with("by_class", sizes))
    }

    /// How many rows each class has then.
    fn sizes(
        &self,
        faces: &Faces,
        by_class: &[Vec<usize>],
        after: impl Fn(usize) -> usize,
    ) -> serde_json::Map<String, serde_json::Value> {
        let of_class = |(name, rows): (&String, &Vec<usize>)| {
            let size = if self.may_change(name) { after(rows.len()) } else { rows.len() };
            (name.clone(), size.into())
        };
        faces.classes.iter().zip(by_class).map(of_class).collect()
    }

    /// Says so where `rows` asks for what this way of balancing cannot do.
    fn warn_of_others(&self, sizes: &serde_json::Map<String, serde_json::Value>, wanted: usize, why: &str) {
        let is_other = |name: &String, size: &serde_json::Value| {
            self.may_change(name) && size.as_u64().is_some_and(|size| size > 0 && size != wanted as u64)
        };
        let others = sizes.iter().filter(|(name, size)| is_other(name, size));
        let others: Vec<_> = others.map(|(name, size)| format!("{name} has {size}")).collect();
        if !others.is_empty() {
            tracing::warn!(
                "balance: {wanted} rows of each class are asked for, and {}: {why}",
                others.join(", ")
            );
        }
    }
}

fn class_weights(faces: &Faces, by_class: &[Vec<usize>], out: &Path) -> anyhow::Result<Facts> {
    let present: Vec<_> = faces.classes.iter().zip(by_class).filter(|(_, rows)| !rows.is_empty()).collect();
    let total: usize = present.iter().map(|(_, rows)| rows.len()).sum();
    let weight = |rows: &[usize]| total as f32 / (present.len() * rows.len()) as f32;
    let mut weights = vec![1f32; faces.table.rows()];
    for (_, rows) in &present {
        rows.iter().for_each(|&row| weights[row] = weight(rows));
    }
    let count = weights.len();
    let column = Arc::new(Float32Array::from(weights)) as ArrayRef;
    faces.table.write_with(out, &[(Field::new(WEIGHT, DataType::Float32, true), column)])?;
    let by_name: serde_json::Map<_, _> =
        present.iter().map(|(name, rows)| ((*name).clone(), f64::from(weight(rows)).into())).collect();
    Ok(Facts::default().with("rows", count).with("weights", by_name))
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
