//! The page of judged classifiers.

use std::collections::BTreeMap;

use askama::Template;
use ferroflow_learn::evaluation::{Calibration, Measures};
use serde::{Deserialize, Serialize};

use super::{
    format::{or_dash, percent},
    plot::{self, Axes, Line, line_color},
};

/// A face that was taken for another class.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// The picture as a `data:` address.
    pub source: String,
    /// Its class, the answer, and how sure that was.
    pub caption: String,
    /// What stands in its tool tip.
    pub title: String,
}

/// A classifier.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its measures.
    pub measures: Measures,
    /// How confidence and accuracy go together.
    pub calibration: Calibration,
    /// The surest wrong answers.
    pub mistakes: Vec<Mistake>,
}

/// Two classifiers, by McNemar's exact test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// One.
    pub first: String,
    /// The other.
    pub second: String,
    /// Faces that only the one has right.
    pub only_first: usize,
    /// Faces that only the other has right.
    pub only_second: usize,
    /// How likely such a difference would be, were both equally good.
    pub p: f64,
    /// The same for the whole table of comparisons (Holm): of many pairs, some differ by chance.
    pub p_holm: f64,
}

impl Comparison {
    fn verdict(&self) -> String {
        let better = if self.only_first > self.only_second { &self.first } else { &self.second };
        match self.p_holm {
            p if p < 0.05 => format!("{better} is better"),
            _ => "not told apart".to_owned(),
        }
    }
}

/// All that the page shows.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The headline.
    pub title: String,
    /// The split.
    pub split: String,
    /// How many faces.
    pub faces: usize,
    /// Whether the majority of a second source of labels was taken for the truth.
    pub is_by_majority: bool,
    /// Further faces of the split of which no truth is known.
    pub left_out: usize,
    /// Whether answers are the mean with those to the mirror images.
    pub mirrored: bool,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The classifiers.
    pub models: Vec<Model>,
    /// Each two of them.
    pub comparisons: Vec<Comparison>,
}

/// Classes beyond which a matrix takes the whole width of the page.
const MANY: usize = 9;

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Page<'a> {
    report: &'a Evaluation,
    rows: Vec<Row<'a>>,
    comparisons: Vec<[String; 5]>,
    /// Whether the matrix is too wide to stand beside a plot.
    has_many_classes: bool,
    version: &'static str,
}

/// How many of a class are given an answer: percent, darkness 0 to 1, and whether it is the right one.
type Cell = (String, String, bool);

/// A classifier as text.
struct Row<'a> {
    model: &'a Model,
    /// Accuracy, interval, balanced accuracy, macro F1, calibration error.
    numbers: [String; 5],
    recalls: Vec<String>,
    precisions: Vec<String>,
    matrix: Vec<(&'a str, Vec<Cell>)>,
    reliability: String,
}

impl<'a> Row<'a> {
    fn new(model: &'a Model, classes: &'a [String]) -> anyhow::Result<Self> {
        let Model { measures, calibration, .. } = model;
        let [low, high] = measures.interval;
        let line = |(class, counts): (usize, &Vec<usize>)| {
            let total = counts.iter().sum::<usize>();
            let cell = |(answer, count): (usize, &usize)| {
                let share = *count as f64 / total.max(1) as f64;
                // A class without faces is not one that is never recognised.
                let text = if total == 0 { "–".to_owned() } else { (share * 100.0).round().to_string() };
                (text, format!("{share:.3}"), answer == class)
            };
            (classes[class].as_str(), counts.iter().enumerate().map(cell).collect())
        };
        let by_class = |shares: &BTreeMap<String, Option<f64>>| {
            classes.iter().map(|class| or_dash(shares.get(class).copied().flatten(), percent)).collect()
        };
        Ok(Self {
            model,
            numbers: [
                percent(measures.accuracy),
                format!("{:.1} to {:.1}", low * 100.0, high * 100.0),
                percent(measures.balanced_accuracy),
                format!("{:.3}", measures.macro_f1),
                format!("{:.3}", measures.calibration_error),
            ],
            recalls: by_class(&measures.recall),
            precisions: by_class(&measures.precision),
            matrix: measures.confusion.iter().enumerate().map(line).collect(),
            reliability: reliability(calibration)?,
        })
    }
}

/// Accuracy over confidence; on the diagonal, probabilities are what they say.
fn reliability(calibration: &Calibration) -> anyhow::Result<String> {
    let filled = calibration.bins.iter().filter(|bin| bin.faces > 0);
    let points: Vec<_> = filled.map(|bin| (bin.confidence, bin.accuracy)).collect();
    let measured =
        Line { name: Some("measured"), color: line_color(0), points: points.clone(), marks: points };
    let perfect = Line {
        name: Some("as it should be"),
        color: line_color(7),
        points: vec![(0.0, 0.0), (1.0, 1.0)],
        marks: Vec::new(),
    };
    let axes = Axes {
        x: ("confidence", 0.0, 1.0),
        y: ("accuracy", 0.0, 1.0),
        in_steps: false,
        name: "accuracy over confidence",
    };
    plot::lines(&[perfect, measured], &axes)
}

/// Makes the page.
pub fn page(report: &Evaluation) -> anyhow::Result<String> {
    let rows = report.models.iter().map(|model| Row::new(model, &report.classes));
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    let p = |p: f64| if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") };
    let one = |comparison: &Comparison| {
        [
            format!("{} and {}", comparison.first, comparison.second),
            format!("{} / {}", comparison.only_first, comparison.only_second),
            p(comparison.p),
            p(comparison.p_holm),
            comparison.verdict(),
        ]
    };
    let comparisons = report.comparisons.iter().map(one).collect();
    let has_many_classes = report.classes.len() > MANY;
    Ok(Page { report, rows, comparisons, has_many_classes, version: env!("CARGO_PKG_VERSION") }.render()?)
}
