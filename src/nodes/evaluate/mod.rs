//! Says how good classifiers are.

mod measured;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use arrow_array::Int64Array;
use ferroflow_learn::evaluation::{McNemar, Measures, holm};
use ferroflow_vision::inference::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::measured::{Measured, write_table};
use super::shared::{classifiers, device, pictures};
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{
            Faces, Renumbering,
            columns::{LABEL, MAJORITY, ROW},
            faces::{check_splits, test},
        },
    },
    graph::dag::{Arity, Port, PortType},
    report::evaluation::{self, Comparison, Mistake, Model},
};

/// Judges classifiers on the same faces: accuracy with its 95 % interval (Wilson), balanced accuracy, macro F1,
/// precision and recall by class, confusion matrices, calibration (expected calibration error over 15 bins),
/// the worst mistakes, and McNemar's exact test between each two.
///
/// The truth is the label, or the `majority` of a second source of labels where one comes in at `reference`; rows
/// without are left out, and those that were dropped. The result is a table with a line for each classifier,
/// `evaluation.json`, and a page, `index.html`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Evaluate {
    /// Classifiers by name or file, besides those that come in at `models`.
    #[serde(default)]
    classifiers: Vec<String>,
    /// The split on which they are judged.
    #[serde(default = "test")]
    split: String,
    /// The headline of the page.
    #[serde(default = "title")]
    title: String,
    /// Mistakes that the page shows of each classifier.
    #[serde(default = "mistakes")]
    mistakes: usize,
    /// Look at the mirror image of each face too and take the mean of both, at twice the time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    mirrored: bool,
    /// Where the networks run: cpu, cuda, cuda:N or auto.
    #[serde(default = "device::cpu")]
    #[schemars(with = "String")]
    device: Device,
    /// A folder that also gets the result. It must be new, empty, or one of an earlier run.
    #[serde(default)]
    path: Option<PathBuf>,
}

fn title() -> String {
    "Classifiers, judged".to_owned()
}

fn mistakes() -> usize {
    24
}

/// What is found: the facts of `evaluate`, which `protocols` reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The protocol's name.
    pub title: String,
    /// The split that was judged.
    pub split: String,
    /// How many faces.
    pub faces: usize,
    /// What was taken for the truth: `label`, or the `majority` of the table at `reference`.
    #[serde(default)]
    pub truth: String,
    /// Further faces of the split of which no truth is known.
    #[serde(default)]
    pub left_out: usize,
    /// Whether answers are the mean with those to the mirror images.
    #[serde(default)]
    pub mirrored: bool,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The classifiers.
    pub models: Vec<Measures>,
    /// Each two of them.
    pub comparisons: Vec<Comparison>,
}

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 6;
    const INPUTS: &'static [Port] = &[
        Port::faces("Faces with labels."),
        Port {
            name: "models",
            accepts: PortType::Model,
            arity: Arity::Any,
            doc: "Classifiers of `train`, `finetune` or `quantize`.",
        },
        Port {
            name: "reference",
            accepts: PortType::Table,
            arity: Arity::Optional,
            doc: "A table with `row` and `majority`, which then is the truth.",
        },
    ];
    const OUTPUT: PortType = PortType::Table;
    const PATHS: &'static [&'static str] = &["path"];

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        classifiers::files(&self.classifiers)
    }

    fn destination(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn needs(&self) -> Needs {
        Needs { device: device::needed(self.device), ..Needs::all_cores(256 << 20) }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let faces = Faces::of(context.input("input")?.table()?)?;
        let classes = faces.classes.len();
        let truths = self.truths(&faces, context)?;
        let classifiers =
            classifiers::open("models", &self.classifiers, &faces.classes, self.device, context)?;
        let classifiers: Vec<_> =
            classifiers.into_iter().map(|classifier| classifier.with_mirrored(self.mirrored)).collect();
        context.progress.begin(classifiers.len() * faces.table.rows(), "faces");
        let mut all = Vec::with_capacity(classifiers.len());
        for classifier in &classifiers {
            let answers = classifier.probabilities(&faces, &|row| truths.contains_key(&row), context)?;
            let asked = truths.keys().flat_map(|row| &answers[row * classes..(row + 1) * classes]);
            all.push(Measured::new(classifier.name.clone(), &truths, asked.copied().collect(), classes));
        }
        let comparisons = compare(&all, &truths);
        let models: Vec<Measures> = all.iter().map(|measured| measured.measures(&faces.classes)).collect();
        write_table(&context.table(), &models, &faces.classes)?;
        let found = Evaluation {
            title: self.title.clone(),
            split: self.split.clone(),
            faces: truths.len(),
            truth: self.truth(context).to_owned(),
            left_out: faces.rows_of(&self.split)?.len() - truths.len(),
            mirrored: self.mirrored,
            classes: faces.classes.clone(),
            models,
            comparisons,
        };
        self.write_page(&faces, &all, &found, context)?;
        let facts = Facts::of(&found)?;
        atomic::write(&context.out.join("evaluation.json"), &serde_json::to_vec_pretty(&facts)?)?;
        Ok(facts)
    }
}

impl Evaluate {
    /// The column that is taken for the truth.
    fn truth(&self, context: &Context) -> &'static str {
        if context.optional("reference").is_some() { MAJORITY } else { LABEL }
    }

    /// The class of each row that is judged.
    fn truths(&self, faces: &Faces, context: &Context) -> anyhow::Result<BTreeMap<usize, usize>> {
        let labels = match context.optional("reference") {
            Some(input) => majorities(faces, &input.table()?)?,
            None => faces.labels()?,
        };
        let rows = faces.rows_of(&self.split)?;
        let truths: BTreeMap<usize, usize> =
            rows.into_iter().filter_map(|row| Some((row, labels[row]?))).collect();
        if truths.is_empty() {
            check_splits(std::slice::from_ref(&self.split), &faces.splits()?)?;
            bail!("no row of the split `{}` can be judged: all have no label or were dropped", self.split);
        }
        Ok(truths)
    }

    fn write_page(
        &self,
        faces: &Faces,
        all: &[Measured],
        found: &Evaluation,
        context: &Context,
    ) -> anyhow::Result<()> {
        let worst: Vec<_> = all.iter().map(|measured| measured.worst(self.mistakes)).collect();
        let wanted = worst.iter().flatten().map(|mistake| mistake.row).collect();
        let pictures = pictures::embedded(faces, &wanted, context)?;
        let rows = faces.source_rows()?;
        let mistakes = worst.iter().map(|worst| {
            let one = |mistake: &measured::Wrong| Mistake {
                source: pictures.get(&mistake.row).cloned().unwrap_or_default(),
                caption: format!(
                    "{} → {} {:.2}",
                    faces.classes[mistake.truth], faces.classes[mistake.answer], mistake.confidence
                ),
                title: format!("row {}", rows.value(mistake.row)),
            };
            worst.iter().map(one).collect()
        });
        let models = all.iter().zip(&found.models).zip(mistakes).map(|((measured, measures), mistakes)| {
            Model { measures: measures.clone(), calibration: measured.calibration.clone(), mistakes }
        });
        let page = evaluation::Evaluation {
            title: found.title.clone(),
            split: found.split.clone(),
            faces: found.faces,
            is_by_majority: found.truth == MAJORITY,
            left_out: found.left_out,
            mirrored: found.mirrored,
            classes: found.classes.clone(),
            models: models.collect(),
            comparisons: found.comparisons.clone(),
        };
        atomic::write(&context.out.join("index.html"), evaluation::page(&page)?.as_bytes())
    }
}

/// The majority of a second source for each row; none where it has none.
fn majorities(faces: &Faces, reference: &crate::batch::data::Table) -> anyhow::Result<Vec<Option<usize>>> {
    let (keys, majority): (Int64Array, Int64Array) = (reference.typed(ROW)?, reference.typed(MAJORITY)?);
    let known: HashMap<i64, i64> =
        keys.iter().zip(majority.iter()).filter_map(|(key, value)| Some((key?, value?))).collect();
    let renumbering = Renumbering::of(reference.schema(), &faces.classes);
    let of_class = |label| renumbering.as_ref().map_or(Some(label), |moved| moved.label(label));
    let one = |(row, is_generated): (Option<i64>, bool)| -> anyhow::Result<Option<usize>> {
        // What was made has a number that may be another face's in the reference.
        let row = row.filter(|_| !is_generated);
        let Some(class) = row.and_then(|row| known.get(&row)) else { return Ok(None) };
        let Some(class) = of_class(*class) else { return Ok(None) };
        let class = usize::try_from(class).ok().filter(|class| *class < faces.classes.len());
        class.map(Some).with_context(|| format!("`majority` of row {row:?} is none of the table's classes"))
    };
    faces.source_rows()?.iter().zip(faces.generated()?).map(one).collect()
}

/// Each two of the classifiers.
fn compare(all: &[Measured], truths: &BTreeMap<usize, usize>) -> Vec<Comparison> {
    let truths: Vec<usize> = truths.values().copied().collect();
    let mut comparisons = Vec::new();
    for (at, first) in all.iter().enumerate() {
        for second in &all[at + 1..] {
            let McNemar { only_first, only_second, p } =
                McNemar::of(&truths, &first.answers, &second.answers);
            let (first, second) = (first.name.clone(), second.name.clone());
            comparisons.push(Comparison { first, second, only_first, only_second, p, p_holm: p });
        }
    }
    let adjusted = holm(&comparisons.iter().map(|comparison| comparison.p).collect::<Vec<_>>());
    comparisons.iter_mut().zip(adjusted).for_each(|(comparison, p)| comparison.p_holm = p);
    comparisons
}
