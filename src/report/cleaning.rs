//! The page of a cleaned data set: what is in it, what was taken out and why, what was labelled anew, and how
//! that compares with a second opinion.

use askama::Template;

use super::{
    format::rgb,
    plot::{self, Axes, Line},
};

/// A picture on the page.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The picture as a `data:` address.
    pub source: String,
    /// What stands below it.
    pub caption: String,
    /// What stands in its tool tip.
    pub title: String,
}

/// A group of duplicates.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its pictures.
    pub pictures: Vec<Picture>,
    /// What is remarkable: labels disagree, splits are crossed.
    pub remark: String,
}

/// Pictures that are there more than once.
#[derive(Clone, Debug)]
pub struct Duplicates {
    /// Value and name of each number.
    pub numbers: Vec<(String, &'static str)>,
    /// Some groups.
    pub groups: Vec<Group>,
}

/// Rows that were dropped for one reason.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The reason.
    pub name: String,
    /// How many.
    pub rows: usize,
    /// What it means.
    pub meaning: &'static str,
    /// Some of them.
    pub pictures: Vec<Picture>,
}

/// A class before and after.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Rows with it as they came.
    pub before: usize,
    /// Rows that are kept with it.
    pub after: usize,
    /// Some of these.
    pub pictures: Vec<Picture>,
}

/// Labels before against labels after.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Rows whose label was changed and that are kept.
    pub rows: usize,
    /// For each old label, how many kept rows have each new one.
    pub matrix: Vec<Vec<usize>>,
    /// Some of the changed ones.
    pub pictures: Vec<Picture>,
}

/// What a second source of labels says.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Name and value of each number.
    pub numbers: Vec<(String, String)>,
    /// Share kept, agreement after, agreement before.
    pub curve: Vec<[f64; 3]>,
    /// Each class as it sees them.
    pub by_class: Vec<JudgedClass>,
}

/// Rows of one class by a second source of labels.
#[derive(Clone, Debug)]
pub struct JudgedClass {
    /// Its name.
    pub name: String,
    /// How many.
    pub rows: usize,
    /// Share that had this label, that has it now, that has it and is kept.
    pub shares: [String; 3],
}

/// All that the page shows.
#[derive(Clone, Debug)]
pub struct Cleaning {
    /// The headline.
    pub title: String,
    /// Rows as they came.
    pub rows: usize,
    /// Rows that a network made, or that are another once more.
    pub added: usize,
    /// Rows that are kept, these included.
    pub kept: usize,
    /// Numbers for the top: value and name.
    pub totals: Vec<(String, &'static str)>,
    /// The classes.
    pub classes: Vec<Class>,
    /// Rows without a label, where there are some.
    pub unlabelled: Option<Class>,
    /// Why rows were dropped, the most frequent first.
    pub reasons: Vec<Reason>,
    /// New labels, where there are some.
    pub changes: Option<Changes>,
    /// Duplicates, where there are some.
    pub duplicates: Option<Duplicates>,
    /// The second opinion, where there is one.
    pub judgement: Option<Judgement>,
}

#[derive(Template)]
#[template(path = "cleaning.html")]
struct Page<'a> {
    report: &'a Cleaning,
    bars: Vec<Bar<'a>>,
    matrix: Vec<MatrixRow<'a>>,
    curve: String,
    curve_colors: [String; 2],
    version: &'static str,
}

/// A class's two bars, in percent of the longest.
struct Bar<'a> {
    class: &'a Class,
    color: String,
    before: String,
    after: String,
}

/// A line of the matrix.
struct MatrixRow<'a> {
    name: &'a str,
    /// Number, darkness 0 to 1, and whether the label is the same.
    cells: Vec<(usize, String, bool)>,
}

/// Makes the page.
pub fn page(report: &Cleaning) -> anyhow::Result<String> {
    let all = || report.classes.iter().chain(&report.unlabelled);
    let most = all().map(|class| class.before.max(class.after)).max().unwrap_or(1).max(1);
    let width = |rows: usize| format!("{:.2}", rows as f64 * 100.0 / most as f64);
    let mut bars = Vec::new();
    for (index, class) in all().enumerate() {
        let (before, after) = (width(class.before), width(class.after));
        bars.push(Bar { class, color: rgb(plot::expression_color(index)), before, after });
    }
    let color = |index: usize| rgb(plot::line_color(index));
    let page = Page {
        report,
        bars,
        matrix: matrix(report),
        curve: curve(report)?,
        curve_colors: [color(2), color(7)],
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

fn matrix(report: &Cleaning) -> Vec<MatrixRow<'_>> {
    let Some(changes) = &report.changes else { return Vec::new() };
    let mut rows = Vec::new();
    for (old, (class, counts)) in report.classes.iter().zip(&changes.matrix).enumerate() {
        let total = counts.iter().sum::<usize>().max(1) as f64;
        let cell =
            |(new, &count): (usize, &usize)| (count, format!("{:.3}", count as f64 / total), new == old);
        rows.push(MatrixRow { name: &class.name, cells: counts.iter().enumerate().map(cell).collect() });
    }
    rows
}

fn curve(report: &Cleaning) -> anyhow::Result<String> {
    let Some(judgement) = &report.judgement else { return Ok(String::new()) };
    let line = |index: usize, of: usize| Line {
        name: None,
        color: plot::line_color(index),
        points: judgement.curve.iter().map(|point| (point[0], point[of])).collect(),
        marks: Vec::new(),
    };
    // From 0.6 unless something lies below: differences are small.
    let least = judgement.curve.iter().flat_map(|point| [point[1], point[2]]).fold(0.62, f64::min);
    let axes = Axes {
        x: ("share of the rows kept", 0.5, 1.0),
        y: ("labels that agree", (10.0 * (least - 0.02)).floor().max(0.0) / 10.0, 1.0),
        in_steps: false,
        name: "agreement over the share of rows kept",
    };
    plot::lines(&[line(2, 1), line(7, 2)], &axes)
}
