//! Finds wrong labels, and what they should be.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow_array::{
    Array, ArrayRef, Float32Array, Int64Array, ListArray,
    builder::{BooleanBuilder, Float32Builder, Int64Builder},
};
use arrow_schema::{DataType, Field};
use ferroflow_learn::label_quality::{self, FilterBy, Judged, Posterior};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cross_validate::learn_splits;
use crate::{
    batch::{
        Context, Facts, Stage,
        data::{
            Faces,
            columns::{LABEL, LABEL_QUALITY, ORIGINAL_LABEL, PROBABILITIES},
            faces::{Reason, check_splits, dropped_columns},
        },
    },
    graph::dag::{Port, PortType},
};

/// What drops a row here.
pub const NAME: &str = "relabel";

/// Finds wrong labels by confident learning, changes those whose right label is clear, and drops rows without
/// a likely one.
///
/// The out-of-fold probabilities of `cross-validate` and the given label are taken as two witnesses of the
/// true class: `label_quality` is the probability that the new label is right. It ranks rows well and
/// promises somewhat too much. Rows without probabilities stay as they are. How far each witness can be
/// trusted is learnt from the splits `learn-splits`, so that no label of a test part has a say in labels that
/// are learnt from; `is_label_issue`, a mark, goes by all rows.
///
/// Columns: `original_label`, `label_quality`, and, with cleanlab's names and of the given label, `self_confidence`,
/// `normalized_margin`, `confidence_weighted_entropy`, `is_label_issue`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relabel {
    /// The splits from which it is learnt how far the probabilities and labels can be trusted. The rows of
    /// all splits are judged.
    #[serde(default = "learn_splits")]
    learn_splits: Vec<String>,
    /// A row whose label is less likely right than this is dropped (`wrong-label`), 0 to 1.
    #[serde(default = "drop_below")]
    drop_below: f64,
    /// A label is changed where the new one is at least this likely right, 0 to 1. Below, it stays, and
    /// `drop-below` asks how likely right it is itself.
    #[serde(default)]
    change_from: f64,
    /// How `is_label_issue` is decided; the names are cleanlab's. It marks, and neither changes nor drops.
    #[serde(default)]
    filter_by: Filter,
}

/// cleanlab's ways of finding label issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Filter {
    /// For each pair of classes, as many as the confident joint counts.
    #[default]
    PruneByNoiseRate,
    /// For each class, as many as the confident joint counts.
    PruneByClass,
    /// Where both agree.
    Both,
    /// Off the diagonal of the confident joint.
    ConfidentLearning,
    /// Where the network prefers another class.
    PredictedNeqGiven,
}

fn drop_below() -> f64 {
    0.5
}

impl Stage for Relabel {
    const NAME: &'static str = NAME;
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port::faces("Faces with labels.")];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        for (name, value) in [("drop-below", self.drop_below), ("change-from", self.change_from)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("`{name}` is {value}, and must be from 0 to 1"));
            }
        }
        Ok(())
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let splits = faces.splits()?;
        check_splits(&self.learn_splits, &splits).context("`learn-splits`")?;
        let Witnesses { rows, given, probabilities } = Witnesses::of(&faces, &|_| true)?;
        let judged = Judged::new(&given, &probabilities, faces.classes.len())?;
        check_networks(&judged, &given, &faces.classes)?;
        let learnt = Witnesses::of(&faces, &|row| self.learn_splits.contains(&splits[row]))
            .context("`learn-splits`")?;
        let learnt = Judged::new(&learnt.given, &learnt.probabilities, faces.classes.len())?;
        let posterior = label_quality::posterior(&learnt, &judged);
        let issues = label_quality::find_label_issues(&judged, self.filter_by.into());
        let decided = self.decide(&given, &posterior);
        let mut decisions = vec![None; faces.table.rows()];
        for (&row, decided) in rows.iter().zip(&decided) {
            if decided.is_dropped {
                decisions[row] = Some((Reason::WrongLabel, 1.0 - decided.quality));
            }
        }
        let mut columns = dropped_columns(&faces, NAME, &decisions)?;
        columns.extend(columns_of(&faces, &rows, &decided, &judged, &issues)?);
        faces.table.write_with(&context.table(), &columns)?;
        let lost = emptied(&given, &decided, &faces.classes);
        for class in &lost {
            tracing::warn!("relabel: {class}: give `cross-validate` more epochs, or raise `change-from`");
        }
        let count = |is: &dyn Fn(&Decided, u8) -> bool| {
            decided.iter().zip(&given).filter(|(decided, given)| is(decided, **given)).count()
        };
        Ok(Facts::default()
            .with("rows", faces.table.rows())
            .with("judged", rows.len())
            .with("label_issues", issues.iter().filter(|issue| **issue).count())
            .with("changed", count(&|decided, given| decided.label != given && !decided.is_dropped))
            .with("dropped", count(&|decided, _| decided.is_dropped))
            .with("emptied", lost)
            .with("sharpness", posterior.sharpness)
            .with("taken_for", posterior.taken_for))
    }
}

/// Rows that have both, a label and what networks say of them.
struct Witnesses {
    rows: Vec<usize>,
    given: Vec<u8>,
    /// Rows x classes.
    probabilities: Vec<f32>,
}

impl Witnesses {
    fn of(faces: &Faces, is_wanted: &dyn Fn(usize) -> bool) -> anyhow::Result<Self> {
        let classes = faces.classes.len();
        let (labels, dropped) = (faces.labels()?, faces.dropped()?);
        if !faces.table.has(PROBABILITIES) {
            bail!("there is no column `{PROBABILITIES}`: put the node `cross-validate` before this one");
        }
        let lists: ListArray = faces.table.typed(PROBABILITIES)?;
        let mut found = Self { rows: Vec::new(), given: Vec::new(), probabilities: Vec::new() };
        for (row, label) in labels.iter().enumerate().filter(|(row, _)| is_wanted(*row)) {
            let (Some(label), None, true) = (label, &dropped[row], lists.is_valid(row)) else { continue };
            let values = lists.value(row);
            let values =
                values.as_any().downcast_ref::<Float32Array>().filter(|values| values.len() == classes);
            let values = values.with_context(|| {
                format!("row {row} has other probabilities than one for each of the {classes} classes")
            })?;
            found.rows.push(row);
            found.given.push(u8::try_from(*label)?);
            found.probabilities.extend(values.values());
        }
        match found.rows.is_empty() {
            true => bail!("no row has a label and probabilities and was not dropped before"),
            false => Ok(found),
        }
    }
}

/// What networks must tell apart of the classes, of 0 to 1, when they agree with hardly more labels than one
/// class has rows.
const LEAST_ACCURACY: f64 = 0.2;

/// Refuses networks that know less of the labels than whoever always says the most frequent one: they would
/// make all rows of that class.
fn check_networks(judged: &Judged<'_>, given: &[u8], classes: &[String]) -> anyhow::Result<()> {
    let ((class, most), agree) = (judged.most_frequent(), judged.agreeing());
    let share = |rows: usize| 100.0 * rows as f64 / given.len() as f64;
    // By chance it may be a few more: two standard deviations. And where one class is most of all rows,
    // agreeing with fewer need not mean to know nothing.
    let (all, of_class) = (given.len() as f64, most as f64);
    let chance = 2.0 * (of_class * (1.0 - of_class / all)).sqrt();
    if agree as f64 <= of_class + chance && judged.adjusted_balanced_accuracy() < LEAST_ACCURACY {
        bail!(
            "the networks of `cross-validate` agree with {:.1} % of the labels, and to call all rows {} would with {:.1} %: \
             they have learnt nothing that labels could be judged by; give them more `epochs` or more rows",
            share(agree),
            classes.get(class).map_or("the same", String::as_str),
            share(most)
        );
    }
    Ok(())
}

/// The classes of which less than a tenth is left, in words.
fn emptied(given: &[u8], decided: &[Decided], classes: &[String]) -> Vec<String> {
    let left = |class: u8| decided.iter().filter(|row| row.label == class && !row.is_dropped).count();
    let counts = (0u8..)
        .zip(classes)
        .map(|(class, name)| (name, given.iter().filter(|label| **label == class).count(), left(class)));
    counts
        .filter(|(_, before, after)| after * 10 < *before)
        .map(|(name, before, after)| format!("of {before} rows called {name} {after} are left"))
        .collect()
}

/// What becomes of a row.
struct Decided {
    label: u8,
    quality: f32,
    is_dropped: bool,
}

impl Relabel {
    /// The new label where it is likely enough, else the old one; too unlikely ones go.
    fn decide(&self, given: &[u8], posterior: &Posterior) -> Vec<Decided> {
        let one = |row: usize| {
            let (best, quality) = (posterior.labels[row], posterior.label_quality[row]);
            let changes = best == given[row] || quality >= self.change_from;
            let (label, quality) =
                if changes { (best, quality) } else { (given[row], posterior.given_quality[row]) };
            Decided { label, quality: quality as f32, is_dropped: quality < self.drop_below }
        };
        (0..given.len()).map(one).collect()
    }
}

impl From<Filter> for FilterBy {
    fn from(filter: Filter) -> Self {
        match filter {
            Filter::PruneByNoiseRate => Self::PruneByNoiseRate,
            Filter::PruneByClass => Self::PruneByClass,
            Filter::Both => Self::Both,
            Filter::ConfidentLearning => Self::ConfidentLearning,
            Filter::PredictedNeqGiven => Self::PredictedNeqGiven,
        }
    }
}

fn columns_of(
    faces: &Faces,
    rows: &[usize],
    decided: &[Decided],
    judged: &Judged<'_>,
    issues: &[bool],
) -> anyhow::Result<Vec<(Field, ArrayRef)>> {
    let scores: [(&str, Vec<f64>); 3] = [
        ("self_confidence", label_quality::self_confidence(judged)),
        ("normalized_margin", label_quality::normalized_margin(judged)),
        ("confidence_weighted_entropy", label_quality::confidence_weighted_entropy(judged)),
    ];
    let labels: Int64Array = faces.table.typed(LABEL)?;
    let before: Int64Array = faces.table.optional(ORIGINAL_LABEL)?.unwrap_or_else(|| labels.clone());
    let (mut new, mut quality, mut issue) =
        (Int64Builder::new(), Float32Builder::new(), BooleanBuilder::new());
    let mut floats: Vec<Float32Builder> = scores.iter().map(|_| Float32Builder::new()).collect();
    let mut places = rows.iter().enumerate().peekable();
    for (row, label) in labels.iter().enumerate() {
        match places.next_if(|(_, at)| **at == row) {
            Some((at, _)) => {
                new.append_value(i64::from(decided[at].label));
                quality.append_value(decided[at].quality);
                issue.append_value(issues[at]);
                floats
                    .iter_mut()
                    .zip(&scores)
                    .for_each(|(column, (_, values))| column.append_value(values[at] as f32));
            }
            None => {
                new.append_option(label);
                quality.append_null();
                issue.append_null();
                floats.iter_mut().for_each(Float32Builder::append_null);
            }
        }
    }
    let float = |name: &str| Field::new(name, DataType::Float32, true);
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new(LABEL, DataType::Int64, true), Arc::new(new.finish())),
        (Field::new(ORIGINAL_LABEL, DataType::Int64, true), Arc::new(before)),
        (float(LABEL_QUALITY), Arc::new(quality.finish())),
        (Field::new("is_label_issue", DataType::Boolean, true), Arc::new(issue.finish())),
    ];
    for ((name, _), mut column) in scores.into_iter().zip(floats) {
        columns.push((float(name), Arc::new(column.finish())));
    }
    Ok(columns)
}
