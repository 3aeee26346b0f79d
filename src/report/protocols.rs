//! The page on which classifiers are judged by every protocol.

use askama::Template;
use serde::Serialize;

use super::format::{or_dash, percent, thousands};

/// A recipe by one protocol. Numbers by class are in the order of the protocol's classes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// The recipe, or who reports the number.
    pub model: String,
    /// How many were trained; 0 where the number comes from elsewhere.
    pub seeds: usize,
    /// Seeds that the baseline has as well, which gains are over.
    pub pairs: usize,
    /// Share of right answers, the mean over seeds.
    pub accuracy: f64,
    /// What holds it with 95 % confidence: over the seeds, or over the faces where there is one classifier.
    pub interval: Option<[f64; 2]>,
    /// Mean recall.
    pub balanced_accuracy: Option<f64>,
    /// Mean F1.
    pub macro_f1: Option<f64>,
    /// How far confidence is from accuracy.
    pub calibration_error: Option<f64>,
    /// Share of each class's faces with the right answer.
    pub recalls: Vec<Option<f64>>,
    /// Accuracy less the baseline's, over seeds that both have.
    pub gain: Option<f64>,
    /// What holds the gain with 95 % confidence.
    pub gain_interval: Option<[f64; 2]>,
    /// Recalls less the baseline's.
    pub recall_gains: Vec<Option<f64>>,
}

impl Line {
    /// A number from elsewhere.
    pub fn reported(model: &str, accuracy: f64) -> Self {
        Self { model: model.to_owned(), accuracy, ..Self::default() }
    }
}

/// A way to say which faces and labels count.
#[derive(Clone, Debug, Serialize)]
pub struct Protocol {
    /// Its name.
    pub title: String,
    /// How many faces are judged.
    pub faces: usize,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The recipes.
    pub lines: Vec<Line>,
}

/// From one recipe to another, each by a protocol of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Whose step.
    pub name: String,
    /// Accuracy before.
    pub before: f64,
    /// Accuracy after.
    pub after: f64,
    /// What the recall of each class gains.
    pub recall_gains: Vec<Option<f64>>,
}

impl Step {
    /// The step from one line to another, each with the classes of its protocol; gains are in the order of `classes`.
    pub fn between(
        name: &str,
        before: (&Line, &[String]),
        after: (&Line, &[String]),
        classes: &[String],
    ) -> Self {
        let recall = |(line, known): (&Line, &[String]), class: &String| {
            *line.recalls.get(known.iter().position(|known| known == class)?)?
        };
        let gain = |class: &String| Some(recall(after, class)? - recall(before, class)?);
        Self {
            name: name.to_owned(),
            before: before.0.accuracy,
            after: after.0.accuracy,
            recall_gains: classes.iter().map(gain).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "protocols.html")]
struct Page<'a> {
    title: &'a str,
    baseline: Option<&'a str>,
    tables: Vec<Table<'a>>,
    classes: &'a [String],
    /// Name, accuracy before and after, gains by class.
    steps: Vec<(&'a str, [String; 2], Vec<String>)>,
    version: &'static str,
}

struct Table<'a> {
    protocol: &'a Protocol,
    faces: String,
    rows: Vec<Row<'a>>,
}

/// A line as text.
struct Row<'a> {
    line: &'a Line,
    seeds: String,
    /// Accuracy, interval, gain, its interval, balanced accuracy, macro F1, calibration error.
    numbers: [String; 7],
    /// For each class the recall, its gain, and whether that is a gain.
    recalls: Vec<(String, String, bool)>,
}

impl<'a> Row<'a> {
    fn new(line: &'a Line) -> Self {
        let recalls = line.recalls.iter().zip(&line.recall_gains).map(|(recall, gain)| {
            (
                or_dash(*recall, percent),
                gain.map_or_else(String::new, points),
                gain.is_some_and(|gain| gain >= 0.0),
            )
        });
        Self {
            line,
            seeds: match line.seeds {
                0 => "reported".into(),
                seeds if line.gain.is_some() && line.pairs < seeds => {
                    format!("{seeds}, gain over {}", line.pairs)
                }
                seeds => seeds.to_string(),
            },
            numbers: [
                percent(line.accuracy),
                or_dash(line.interval, |[low, high]| format!("{:.1} to {:.1}", low * 100.0, high * 100.0)),
                or_dash(line.gain, points),
                or_dash(line.gain_interval, |[low, high]| {
                    format!("{:+.1} to {:+.1}", low * 100.0, high * 100.0)
                }),
                or_dash(line.balanced_accuracy, percent),
                or_dash(line.macro_f1, |f1| format!("{f1:.3}")),
                or_dash(line.calibration_error, |error| format!("{error:.3}")),
            ],
            recalls: recalls.collect(),
        }
    }
}

/// A difference of shares in percentage points.
fn points(difference: f64) -> String {
    format!("{:+.1}", difference * 100.0)
}

/// Makes the page; steps go by `classes`.
pub fn page(
    title: &str,
    baseline: Option<&str>,
    protocols: &[Protocol],
    classes: &[String],
    steps: &[Step],
) -> anyhow::Result<String> {
    let tables = protocols.iter().map(|protocol| Table {
        protocol,
        faces: thousands(protocol.faces),
        rows: protocol.lines.iter().map(Row::new).collect(),
    });
    let steps = steps.iter().map(|step| {
        let gains = step.recall_gains.iter().map(|gain| or_dash(*gain, points)).collect();
        (step.name.as_str(), [percent(step.before), percent(step.after)], gains)
    });
    let (tables, steps) = (tables.collect(), steps.collect());
    Ok(Page { title, baseline, tables, classes, steps, version: env!("CARGO_PKG_VERSION") }.render()?)
}
