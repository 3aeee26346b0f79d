//! The page of `ferroflow bench detectors`.

use askama::Template;

use super::{
    format::{or_dash, rgb},
    plot::{self, Line},
};
use crate::bench::{
    annotated::Level,
    detectors::{Measured, Report, Speed},
};

#[derive(Template)]
#[template(path = "detectors.html")]
struct Page<'a> {
    report: &'a Report,
    plots: Vec<Plot>,
    rows: Vec<Row<'a>>,
    sizes: Vec<String>,
}

/// One level's curves.
struct Plot {
    level: String,
    faces: usize,
    svg: String,
}

/// One detector on one device.
struct Row<'a> {
    result: &'a Measured,
    color: String,
    /// Average precision of each level.
    average_precisions: Vec<String>,
    /// Of all faces, at the detector's own threshold.
    precision: String,
    recall: String,
    /// Milliseconds and frames a second of each size.
    speeds: Vec<[String; 2]>,
}

impl<'a> Row<'a> {
    fn new(result: &'a Measured, color: (u8, u8, u8)) -> Self {
        let share = |value: Option<f64>| or_dash(value, |value| format!("{value:.3}"));
        let of_all = result.accuracy.iter().find(|accuracy| accuracy.level == Level::All);
        let point = of_all.and_then(|all| all.operating_point);
        let speed =
            |speed: &Speed| [format!("{:.2}", speed.median_ms), format!("{:.1}", speed.frames_per_second)];
        Self {
            result,
            color: rgb(color),
            average_precisions: result.accuracy.iter().map(|level| share(level.average_precision)).collect(),
            precision: share(point.map(|point| point.precision)),
            recall: share(point.map(|point| point.recall)),
            speeds: result.speed.iter().map(speed).collect(),
        }
    }
}

/// Makes the page.
pub fn page(report: &Report) -> anyhow::Result<String> {
    let first = report.results.first();
    let mut plots = Vec::new();
    for (index, level) in first.map_or(&[][..], |first| &first.accuracy).iter().enumerate() {
        let line = |(number, result): (usize, &Measured)| {
            let accuracy = result.accuracy.get(index)?;
            let points = accuracy.curve.iter().map(|point| (point.recall, point.precision)).collect();
            let marks =
                accuracy.operating_point.iter().map(|point| (point.recall, point.precision)).collect();
            Some(Line { name: None, color: plot::line_color(number), points, marks })
        };
        let lines: Vec<Line> = report.results.iter().enumerate().filter_map(line).collect();
        let svg = plot::precision_over_recall(&lines)?;
        plots.push(Plot { level: level.level.to_string(), faces: level.faces, svg });
    }
    let row = |(number, result)| Row::new(result, plot::line_color(number));
    let rows = report.results.iter().enumerate().map(row).collect();
    let size = |speed: &Speed| format!("{}×{}", speed.width, speed.height);
    let page = Page {
        report,
        plots,
        rows,
        sizes: first.map_or_else(Vec::new, |first| first.speed.iter().map(size).collect()),
    };
    Ok(page.render()?)
}
