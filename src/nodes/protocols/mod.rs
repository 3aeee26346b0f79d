//! Puts several evaluations in one table.

mod groups;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::groups::lines;
use super::evaluate::{Evaluate, Evaluation};
use crate::{
    atomic,
    batch::{Context, Facts, Stage, data::TableWriter},
    graph::dag::{Arity, Port, PortType},
    report::protocols::{self, Line, Protocol, Step},
};

/// Puts what several `evaluate` found in one table: each protocol, that is, each way to say which faces and labels
/// count, with all classifiers that were judged by it, and beside them what others report.
///
/// Classifiers whose names differ in the number at their end only (`cleaned 0`, `cleaned 1`) are one recipe trained
/// with several seeds: they stand in one line, as their mean with the interval that holds it with 95 % confidence
/// (Student's t). One alone has its Wilson interval. With a `baseline`, each line says what it gains over
/// that recipe, in the mean over seeds that both have.
///
/// `steps` go from one recipe to another, each by the first protocol that has it, as papers do that change their test
/// faces along with their training faces: accuracy before and after, and what the recall of each class gains.
///
/// The result is a table with a line for each protocol and recipe, `protocols.json`, and a page, `index.html`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Protocols {
    /// The headline of the page.
    #[serde(default = "title")]
    title: String,
    /// The recipe that the others are compared with, by its name without a seed.
    #[serde(default)]
    baseline: Option<String>,
    /// What others report: `{ protocol = "the evaluation's title", model = "who", accuracy = 0.64 }`. Nothing is
    /// computed from it.
    #[serde(default)]
    reported: Vec<Reported>,
    /// From one recipe to another: `{ name = "ours", before = "as it came", after = "cleaned" }`.
    #[serde(default)]
    steps: Vec<Measured>,
    /// Steps that others report, shares of 1: `{ name = "they", before = 0.64, after = 0.9176, recall-gains =
    /// { sad = 0.34 } }`.
    #[serde(default)]
    reported_steps: Vec<ReportedStep>,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

/// A number from elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reported {
    protocol: String,
    model: String,
    accuracy: f64,
}

/// From one recipe to another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measured {
    name: String,
    before: String,
    after: String,
}

/// The same from elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReportedStep {
    name: String,
    before: f64,
    after: f64,
    #[serde(default)]
    recall_gains: BTreeMap<String, f64>,
}

fn title() -> String {
    "Every protocol".to_owned()
}

impl Stage for Protocols {
    const NAME: &'static str = "protocols";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port {
        name: "input",
        accepts: PortType::Table,
        arity: Arity::Many,
        doc: "Results of `evaluate`; the title of each is the protocol's name.",
    }];
    const OUTPUT: PortType = PortType::Table;
    const PATHS: &'static [&'static str] = &["path"];

    fn check(&self) -> Result<(), String> {
        let reported = self.reported.iter().map(|reported| ("reported", &reported.model, reported.accuracy));
        let steps = self.reported_steps.iter().flat_map(|step| {
            [step.before, step.after].map(|accuracy| ("reported-steps", &step.name, accuracy))
        });
        match reported.chain(steps).find(|(_, _, accuracy)| !(0.0..=1.0).contains(accuracy)) {
            Some((key, name, accuracy)) => {
                Err(format!("`{key}` gives {name} the accuracy {accuracy}, and must be from 0 to 1"))
            }
            None => Ok(()),
        }
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let evaluations = context
            .inputs
            .iter()
            .map(|input| input.facts_of(Evaluate::NAME))
            .collect::<anyhow::Result<Vec<Evaluation>>>()?;
        let titles: Vec<&str> = evaluations.iter().map(|evaluation| evaluation.title.as_str()).collect();
        let unknown = self.reported.iter().find(|reported| !titles.contains(&reported.protocol.as_str()));
        if let Some(Reported { protocol, .. }) = unknown {
            bail!("`reported` names the protocol `{protocol}`; there are: {}", titles.join(", "));
        }
        let baseline = self.baseline.as_deref();
        let measured: Vec<Vec<Line>> = evaluations
            .iter()
            .map(|evaluation| lines(&evaluation.models, &evaluation.classes, baseline))
            .collect::<anyhow::Result<_>>()?;
        let find = |key: &str, name: &str| {
            measured
                .iter()
                .zip(&evaluations)
                .find_map(|(lines, evaluation)| {
                    let line = lines.iter().find(|line| line.model == name)?;
                    Some((line, evaluation.classes.as_slice()))
                })
                .with_context(|| {
                    let mut known: Vec<&str> =
                        measured.iter().flatten().map(|line| line.model.as_str()).collect();
                    known.sort_unstable();
                    known.dedup();
                    format!("`{key}` is `{name}`; there are: {}", known.join(", "))
                })
        };
        baseline.map(|name| find("baseline", name)).transpose()?;
        let classes = evaluations.first().map_or_else(Vec::new, |evaluation| evaluation.classes.clone());
        let ours = self.steps.iter().map(|step| {
            let (before, after) = (find("before", &step.before)?, find("after", &step.after)?);
            Ok(Step::between(&step.name, before, after, &classes))
        });
        let mut steps = ours.collect::<anyhow::Result<Vec<Step>>>()?;
        let gains = self.reported_steps.iter().flat_map(|step| step.recall_gains.keys());
        if let Some(unknown) = gains.into_iter().find(|class| !classes.contains(class)) {
            bail!("`recall-gains` names the class `{unknown}`; there are: {}", classes.join(", "));
        }
        steps.extend(self.reported_steps.iter().map(|step| Step {
            name: step.name.clone(),
            before: step.before,
            after: step.after,
            recall_gains: classes.iter().map(|class| step.recall_gains.get(class).copied()).collect(),
        }));
        let protocols = evaluations.into_iter().zip(measured).map(|(evaluation, mut lines)| {
            let others = self.reported.iter().filter(|reported| reported.protocol == evaluation.title);
            lines.extend(others.map(|reported| Line::reported(&reported.model, reported.accuracy)));
            Protocol { title: evaluation.title, faces: evaluation.faces, classes: evaluation.classes, lines }
        });
        let protocols: Vec<Protocol> = protocols.collect();
        write_table(&context.table(), &protocols)?;
        let page = protocols::page(&self.title, baseline, &protocols, &classes, &steps)?;
        atomic::write(&context.out.join("index.html"), page.as_bytes())?;
        let facts = Facts::default().with("protocols", json!(protocols)).with("steps", json!(steps));
        atomic::write(&context.out.join("protocols.json"), &serde_json::to_vec_pretty(&facts)?)?;
        Ok(facts)
    }
}

/// A line for each protocol and recipe.
fn write_table(path: &Path, protocols: &[Protocol]) -> anyhow::Result<()> {
    let rows: Vec<(&Protocol, &Line)> = protocols
        .iter()
        .flat_map(|protocol| protocol.lines.iter().map(move |line| (protocol, line)))
        .collect();
    let text = |name: &str, of: &dyn Fn(&(&Protocol, &Line)) -> String| {
        let values: StringArray = rows.iter().map(|row| Some(of(row))).collect();
        (Field::new(name, DataType::Utf8, false), Arc::new(values) as ArrayRef)
    };
    let count = |name: &str, of: &dyn Fn(&(&Protocol, &Line)) -> usize| {
        let values: UInt64Array = rows.iter().map(|row| Some(of(row) as u64)).collect();
        (Field::new(name, DataType::UInt64, false), Arc::new(values) as ArrayRef)
    };
    let number = |name: &str, of: &dyn Fn(&Line) -> Option<f64>| {
        let values: Float64Array = rows.iter().map(|(_, line)| of(line)).collect();
        (Field::new(name, DataType::Float64, true), Arc::new(values) as ArrayRef)
    };
    let columns = vec![
        text("protocol", &|(protocol, _)| protocol.title.clone()),
        text("model", &|(_, line)| line.model.clone()),
        count("faces", &|(protocol, _)| protocol.faces),
        count("seeds", &|(_, line)| line.seeds),
        number("accuracy", &|line| Some(line.accuracy)),
        number("accuracy_low", &|line| line.interval.map(|[low, _]| low)),
        number("accuracy_high", &|line| line.interval.map(|[_, high]| high)),
        number("balanced_accuracy", &|line| line.balanced_accuracy),
        number("macro_f1", &|line| line.macro_f1),
        number("calibration_error", &|line| line.calibration_error),
        number("gain", &|line| line.gain),
        number("gain_low", &|line| line.gain_interval.map(|[low, _]| low)),
        number("gain_high", &|line| line.gain_interval.map(|[_, high]| high)),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let mut writer = TableWriter::create(path, Schema::new(fields))?;
    writer.write(&RecordBatch::try_new(writer.schema(), arrays)?)?;
    writer.finish()
}
