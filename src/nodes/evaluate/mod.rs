//! Says how good classifiers are.

mod measured;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use arrow_array::Int64Array;
use ferroflow_learn::evaluation::{McNemar, holm};
use ferroflow_vision::inference::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::measured::{Measured, write_table};
use super::{classifiers, device, embed};
use crate::{
    atomic,
    batch::{
        Context, Facts, Needs, Stage,
        data::{Faces, classes},
    },
    graph::dag::{Arity, Port, PortType},
    report::evaluation::{self, Comparison, Mistake},
};

/// Judges classifiers on the same faces: accuracy with its 95 % interval (Wilson), balanced accuracy, macro F1,
/// precision and recall by class, confusion matrices, calibration (expected calibration error over 15 bins), the worst
/// mistakes, and McNemar's exact test between each two.
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

fn test() -> String {
    "test".to_owned()
}

fn title() -> String {
    "Classifiers, judged".to_owned()
}

fn mistakes() -> usize {
    24
}

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 5;
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
        write_table(&context.table(), &all, &faces.classes)?;
        self.write_page(&faces, &all, &comparisons, context)?;
        let models: Vec<_> = all.iter().map(|measured| measured.json(&faces.classes)).collect();
        let facts = Facts::default()
            .with("title", self.title.clone())
            .with("split", self.split.clone())
            .with("faces", truths.len())
            .with("classes", faces.classes.clone())
            .with("models", models)
            .with("comparisons", json!(comparisons));
        atomic::write(&context.out.join("evaluation.json"), &serde_json::to_vec_pretty(&facts)?)?;
        Ok(facts)
    }
}

impl Evaluate {
    /// The class of each row that is judged.
    fn truths(&self, faces: &Faces, context: &Context) -> anyhow::Result<BTreeMap<usize, usize>> {
        let (labels, splits, dropped) = (faces.labels()?, faces.splits()?, faces.dropped()?);
        let labels = match context.optional("reference") {
            Some(input) => majorities(faces, &input.table()?)?,
            None => labels,
        };
        let truths = labels.iter().enumerate().filter_map(|(row, label)| {
            let counts = splits[row] == self.split && dropped[row].is_none();
            counts.then_some((row, (*label)?))
        });
        let truths: BTreeMap<usize, usize> = truths.collect();
        if truths.is_empty() {
            let mut known: Vec<&str> = splits.iter().map(String::as_str).collect();
            known.sort_unstable();
            known.dedup();
            bail!("no row of the split `{}` can be judged (splits: {})", self.split, known.join(", "));
        }
        Ok(truths)
    }

    fn write_page(
        &self,
        faces: &Faces,
        all: &[Measured],
        comparisons: &[Comparison],
        context: &Context,
    ) -> anyhow::Result<()> {
        let worst: Vec<_> = all.iter().map(|measured| measured.worst(self.mistakes)).collect();
        let wanted = worst.iter().flatten().map(|mistake| mistake.row).collect();
        let pictures = embed::pictures(faces, &wanted, context)?;
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
        let models = all.iter().zip(mistakes).map(|(measured, mistakes)| measured.shown(mistakes)).collect();
        let page = evaluation::Evaluation {
            title: self.title.clone(),
            split: self.split.clone(),
            faces: all.first().map_or(0, |measured| measured.confusion.total()),
            classes: faces.classes.clone(),
            models,
            comparisons: comparisons.to_vec(),
        };
        atomic::write(&context.out.join("index.html"), evaluation::page(&page)?.as_bytes())
    }
}

/// The majority of a second source for each row; none where it has none.
fn majorities(faces: &Faces, reference: &crate::batch::data::Table) -> anyhow::Result<Vec<Option<usize>>> {
    let (keys, majority): (Int64Array, Int64Array) = (reference.typed("row")?, reference.typed("majority")?);
    let known: HashMap<i64, i64> =
        keys.iter().zip(majority.iter()).filter_map(|(key, value)| Some((key?, value?))).collect();
    let of_class = classes::renumbered(reference.schema(), &faces.classes);
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
