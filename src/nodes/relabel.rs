//! Finds wrong labels, and what they should be.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use arrow_array::{
    ArrayRef,
    builder::{BooleanBuilder, Float32Builder, Int64Builder, ListBuilder},
};
use arrow_schema::{DataType, Field};
use ferroflow_learn::{
    LearnError,
    cross_validation::{self, Progress, Settings, out_of_fold},
    label_quality::{self, FilterBy, Judged, Posterior},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{
        Context, Facts, Interrupted, Needs, Stage,
        data::{Faces, faces::dropped_columns},
    },
    graph::dag::{Arity, Port, PortType},
};

/// What drops a row here.
pub const NAME: &str = "relabel";

/// Finds wrong labels by confident learning, changes those whose right label is clear, and drops rows without a likely one.
///
/// Networks are trained on all folds but one and asked about that one, so that no row is judged by a network that has
/// seen it or a duplicate of it. Their out-of-fold probabilities and the given label are taken as two witnesses of the true
/// class: `label_quality` is the probability that the new label is right. Rows dropped before take no part.
///
/// Columns: `original_label`, `probabilities` (out of fold, one for each class), `label_quality`, and, with
/// cleanlab's names and of the given label, `self_confidence`, `normalized_margin`, `confidence_weighted_entropy`,
/// `is_label_issue`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Relabel {
    /// A row whose label is less likely right than this is dropped (`wrong-label`), 0 to 1.
    #[serde(default = "drop_below")]
    drop_below: f64,
    /// A label is changed where the new one is at least this likely right, 0 to 1. Below, it stays, and the row is dropped.
    #[serde(default)]
    change_from: f64,
    /// How `is_label_issue` is decided; the names are cleanlab's. It marks, and neither changes nor drops.
    #[serde(default)]
    filter_by: Filter,
    /// Into how many parts the rows are divided.
    #[serde(default = "folds")]
    folds: usize,
    /// How often a network sees each of its faces.
    #[serde(default = "epochs")]
    epochs: usize,
    /// Faces in a step.
    #[serde(default = "batch_size")]
    batch_size: usize,
    /// The greatest learning rate.
    #[serde(default = "learning_rate")]
    learning_rate: f64,
    /// Another seed divides the rows otherwise and trains other networks.
    #[serde(default)]
    seed: u64,
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

fn folds() -> usize {
    Settings::default().folds
}

fn epochs() -> usize {
    Settings::default().epochs
}

fn batch_size() -> usize {
    Settings::default().batch_size
}

fn learning_rate() -> f64 {
    Settings::default().learning_rate
}

impl Stage for Relabel {
    const NAME: &'static str = NAME;
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port { name: "input", accepts: PortType::Faces, arity: Arity::One, doc: "Faces with labels." }];
    const OUTPUT: PortType = PortType::Faces;

    fn check(&self) -> Result<(), String> {
        for (name, value) in [("drop-below", self.drop_below), ("change-from", self.change_from)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("`{name}` is {value}, and must be from 0 to 1"));
            }
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::all_cores(1 << 30)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let (labels, dropped) = (faces.labels()?, faces.dropped()?);
        let taking_part: Vec<(usize, u8)> = labels
            .iter()
            .enumerate()
            .filter(|(row, _)| dropped[*row].is_none())
            .filter_map(|(row, label)| Some((row, u8::try_from((*label)?).ok()?)))
            .collect();
        if taking_part.is_empty() {
            bail!("no row has a label and was not dropped before: there is nothing to learn from");
        }
        let (rows, given): (Vec<usize>, Vec<u8>) = taking_part.into_iter().unzip();
        let probabilities = self.probabilities(&faces, &rows, &given, context)?;
        let judged = Judged::new(&given, &probabilities, faces.classes.len())?;
        let posterior = label_quality::posterior(&judged);
        let issues = label_quality::find_label_issues(&judged, self.filter_by.into());
        let decided = self.decide(&given, &posterior);
        let mut decisions = vec![None; labels.len()];
        for (&row, decided) in rows.iter().zip(&decided) {
            if decided.is_dropped {
                decisions[row] = Some(("wrong-label".to_owned(), 1.0 - decided.quality));
            }
        }
        let mut columns = dropped_columns(&faces, NAME, &decisions)?;
        columns.extend(columns_of(&faces, &labels, &rows, &decided, &judged, &probabilities, &issues)?);
        faces.table.write_with(&context.table(), &columns)?;
        let count = |is: &dyn Fn(&Decided, u8) -> bool| {
            decided.iter().zip(&given).filter(|(decided, given)| is(decided, **given)).count()
        };
        Ok(Facts::default()
            .with("rows", labels.len())
            .with("judged", rows.len())
            .with("label_issues", issues.iter().filter(|issue| **issue).count())
            .with("changed", count(&|decided, given| decided.label != given && !decided.is_dropped))
            .with("dropped", count(&|decided, _| decided.is_dropped))
            .with("sharpness", posterior.sharpness)
            .with("taken_for", posterior.taken_for))
    }
}

/// What becomes of a row.
struct Decided {
    label: u8,
    quality: f32,
    is_dropped: bool,
}

impl Relabel {
    fn settings(&self) -> Settings {
        Settings {
            folds: self.folds,
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            seed: self.seed,
            ..Settings::default()
        }
    }

    /// Out-of-fold probabilities of these rows.
    fn probabilities(
        &self,
        faces: &Faces,
        rows: &[usize],
        given: &[u8],
        context: &Context,
    ) -> anyhow::Result<Vec<f32>> {
        let (width, height, all) = faces.gray_pixels(context.workers)?;
        let groups = faces.groups()?;
        let side = width * height;
        let pixels: Vec<u8> =
            rows.iter().flat_map(|row| &all[row * side..(row + 1) * side]).copied().collect();
        drop(all);
        let groups: Vec<u32> = rows.iter().map(|&row| groups[row]).collect();
        let bar = Bar::new(context, self.folds);
        let outcome = out_of_fold(
            cross_validation::Faces { pixels: &pixels, width, height },
            given,
            faces.classes.len(),
            &groups,
            &self.settings(),
            &context.checkpoints,
            context.workers,
            &|progress| bar.show(&progress),
            context.interrupted,
        );
        outcome.map_err(|error| match error {
            LearnError::Cancelled => Interrupted.into(),
            other => other.into(),
        })
    }

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

/// The bar over all folds.
struct Bar<'a> {
    context: &'a Context<'a>,
    done: Mutex<Vec<usize>>,
}

impl<'a> Bar<'a> {
    fn new(context: &'a Context<'a>, folds: usize) -> Self {
        Self { context, done: Mutex::new(vec![0; folds]) }
    }

    fn show(&self, at: &Progress) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.iter().all(|done| *done == 0) {
            self.context.progress.begin(at.folds * at.epochs * at.steps, "steps");
        }
        if let Some(done) = done.get_mut(at.fold) {
            *done = at.epoch * at.steps + at.step;
        }
        self.context.progress.set(done.iter().sum());
        if at.step == at.steps {
            let (fold, epoch, loss, accuracy) = (at.fold + 1, at.epoch + 1, at.loss, at.accuracy);
            self.context.progress.message(format!(
                "fold {fold}: epoch {epoch}/{}, loss {loss:.3}, accuracy {accuracy:.3}",
                at.epochs
            ));
        }
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
    labels: &[Option<usize>],
    rows: &[usize],
    decided: &[Decided],
    judged: &Judged<'_>,
    probabilities: &[f32],
    issues: &[bool],
) -> anyhow::Result<Vec<(Field, ArrayRef)>> {
    let scores: [(&str, Vec<f64>); 3] = [
        ("self_confidence", label_quality::self_confidence(judged)),
        ("normalized_margin", label_quality::normalized_margin(judged)),
        ("confidence_weighted_entropy", label_quality::confidence_weighted_entropy(judged)),
    ];
    let mut place = vec![None; labels.len()];
    rows.iter().enumerate().for_each(|(at, &row)| place[row] = Some(at));
    let before: arrow_array::Int64Array = match faces.table.has("original_label") {
        true => faces.table.typed("original_label")?,
        false => faces.table.typed("label")?,
    };
    let mut new = Int64Builder::new();
    let mut quality = Float32Builder::new();
    let item = Field::new("item", DataType::Float32, true);
    let mut lists = ListBuilder::new(Float32Builder::new()).with_field(item.clone());
    let mut issue = BooleanBuilder::new();
    let mut floats: Vec<Float32Builder> = scores.iter().map(|_| Float32Builder::new()).collect();
    let classes = faces.classes.len();
    for (row, at) in place.iter().enumerate() {
        let Some(at) = *at else {
            new.append_option(labels[row].map(i64::try_from).transpose().context("a label")?);
            quality.append_null();
            lists.append_null();
            issue.append_null();
            floats.iter_mut().for_each(Float32Builder::append_null);
            continue;
        };
        new.append_value(i64::from(decided[at].label));
        quality.append_value(decided[at].quality);
        lists.values().append_slice(&probabilities[at * classes..(at + 1) * classes]);
        lists.append(true);
        issue.append_value(issues[at]);
        floats
            .iter_mut()
            .zip(&scores)
            .for_each(|(column, (_, values))| column.append_value(values[at] as f32));
    }
    let float = |name: &str| Field::new(name, DataType::Float32, true);
    let mut columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new("label", DataType::Int64, true), Arc::new(new.finish())),
        (Field::new("original_label", DataType::Int64, true), Arc::new(before)),
        (Field::new("probabilities", DataType::List(Arc::new(item)), true), Arc::new(lists.finish())),
        (float("label_quality"), Arc::new(quality.finish())),
        (Field::new("is_label_issue", DataType::Boolean, true), Arc::new(issue.finish())),
    ];
    for ((name, _), mut column) in scores.into_iter().zip(floats) {
        columns.push((float(name), Arc::new(column.finish())));
    }
    Ok(columns)
}
