//! Takes some rows at random.

use std::collections::BTreeMap;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{Context, Facts, Stage, data::Faces},
    graph::dag::{Port, PortType},
};

/// Takes some rows at random, in the order in which they are there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sample {
    /// How many; all where there are fewer.
    rows: usize,
    /// As many of each class and split as its share is.
    #[serde(default = "yes")]
    stratify: bool,
    /// Another seed takes other rows.
    #[serde(default)]
    seed: u64,
}

fn yes() -> bool {
    true
}

impl Stage for Sample {
    const NAME: &'static str = "sample";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::faces("Where rows are taken from.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        if self.rows == 0 { Err("`rows` is 0, and must be 1 or more".to_owned()) } else { Ok(()) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, splits) = (faces.labels()?, faces.splits()?);
        let mut strata = BTreeMap::<(Option<usize>, &str), Vec<usize>>::new();
        for row in 0..labels.len() {
            let stratum = if self.stratify { (labels[row], splits[row].as_str()) } else { (None, "") };
            strata.entry(stratum).or_default().push(row);
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let (mut taken, mut seen) = (Vec::new(), 0);
        let share = self.rows as f64 / labels.len().max(1) as f64;
        for rows in strata.values_mut() {
            rows.shuffle(&mut random);
            seen += rows.len();
            // What the strata so far should have given, less what they gave: rounding evens out.
            let wanted = ((share * seen as f64).round() as usize).saturating_sub(taken.len());
            taken.extend(rows.iter().take(wanted));
        }
        taken.sort_unstable();
        faces.table.write_rows(&context.table(), &taken, &[])?;
        Ok(Facts::default().with("rows", taken.len()))
    }
}
