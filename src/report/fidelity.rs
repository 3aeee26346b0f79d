//! The page of translated faces: faces drawn at random, and how good they are, each number beside what it is
//! to be compared with.

use askama::Template;
use ferroflow_learn::{
    evaluation::{Spread, chance_above},
    fidelity::{Distances, Measures, Shares, Structure, real_faces_above},
};

use super::format::{percent, thousands};

/// A face, translated, and back, each as a `data:` address.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The face's number in its source.
    pub row: i64,
    /// As it is.
    pub real: String,
    /// Translated.
    pub translated: String,
    /// Translated back.
    pub returned: String,
}

/// A direction on the page.
#[derive(Clone, Debug)]
pub struct Direction {
    /// Its numbers.
    pub measures: Measures,
    /// Some faces.
    pub pictures: Vec<Translation>,
}

/// All that the page shows.
#[derive(Clone, Debug)]
pub struct Fidelity {
    /// The split whose faces were translated.
    pub split: String,
    /// The classifier's name.
    pub classifier: String,
    /// The name of the network that gave features.
    pub features: String,
    /// Epochs that the network was trained for, if it is known.
    pub epochs: Option<usize>,
    /// Losses over epochs as SVG; empty where there are none.
    pub losses: String,
    /// There and back.
    pub directions: Vec<Direction>,
}

#[derive(Template)]
#[template(path = "fidelity.html")]
struct Page<'a> {
    report: &'a Fidelity,
    title: String,
    totals: Vec<(String, String)>,
    sections: Vec<Section<'a>>,
    draws: usize,
    version: &'static str,
}

/// A direction with its table.
struct Section<'a> {
    direction: &'a Direction,
    lines: Vec<Line>,
}

/// A line of the table: a measure of translated faces, the same of real ones and of the faces before.
struct Line {
    name: String,
    translated: String,
    real: String,
    source: String,
    meaning: String,
}

/// Makes the page.
pub fn page(report: &Fidelity) -> anyhow::Result<String> {
    let of_each = |value: &dyn Fn(&Measures) -> String| {
        let values: Vec<_> = report.directions.iter().map(|direction| value(&direction.measures)).collect();
        values.join(" · ")
    };
    let title = match report.directions.first() {
        Some(Direction { measures: Measures { from, to, .. }, .. }) => {
            format!("Translated faces: {from} to {to}, and back")
        }
        None => "Translated faces".to_owned(),
    };
    let mut totals = vec![
        (of_each(&|of| thousands(of.faces)), "faces translated, there and back".to_owned()),
        (of_each(&|of| percent(of.called_target.translated)), "called the target class".to_owned()),
        (of_each(&|of| percent(of.called_target.real)), "real faces of it that are".to_owned()),
        (of_each(&|of| format!("{:.2}", of.structure.returned)), "similarity after the way back".to_owned()),
    ];
    totals.extend(report.epochs.map(|epochs| (thousands(epochs), "epochs of training".to_owned())));
    let sections = report
        .directions
        .iter()
        .map(|direction| Section { direction, lines: lines(report, &direction.measures) });
    let page = Page {
        title,
        totals,
        sections: sections.collect(),
        draws: report.directions.first().map_or(0, |direction| direction.measures.draws),
        report,
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

/// Three digits that say something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

fn spread(spread: Spread) -> String {
    format!("{} ± {}", digits(spread.mean), digits(spread.deviation))
}

fn lines(report: &Fidelity, of: &Measures) -> Vec<Line> {
    let Measures { called_target, frechet, kernel, structure, nearest, .. } = of;
    let none = String::new;
    vec![
        Line {
            name: format!("called {} by {}", of.to, report.classifier),
            translated: percent(called_target.translated),
            real: percent(called_target.real),
            source: percent(called_target.source),
            meaning: called(called_target, &of.to),
        },
        Line {
            name: format!("Frechet distance to real {} faces", of.to),
            translated: spread(frechet.translated),
            real: spread(frechet.real),
            source: spread(frechet.source),
            meaning: match of.sample > of.dimensions {
                true => distance(frechet, &of.to),
                false => format!(
                    "Sets of {} faces cannot tell: features have {} numbers, and a covariance needs more faces than that.",
                    of.sample, of.dimensions
                ),
            },
        },
        Line {
            name: format!("kernel distance to real {} faces", of.to),
            translated: spread(kernel.translated),
            real: spread(kernel.real),
            source: spread(kernel.source),
            meaning: kernel_meaning(kernel),
        },
        Line {
            name: "structural similarity after the way there and back".to_owned(),
            translated: digits(structure.returned),
            real: none(),
            source: format!(
                "{} after the way there, {} of two different faces",
                digits(structure.translated),
                digits(structure.others)
            ),
            meaning: kept(structure),
        },
        Line {
            name: "distance to the nearest training face, by features (median; least)".to_owned(),
            translated: format!(
                "{}; {}",
                digits(nearest.translated.median_distance),
                digits(nearest.translated.least_distance)
            ),
            real: format!(
                "{}; {}",
                digits(nearest.real.median_distance),
                digits(nearest.real.least_distance)
            ),
            source: none(),
            meaning: copies(nearest.translated.very_near_by_features, of.faces, of.real_faces),
        },
        Line {
            name: "correlation with the nearest training face, by pixels (median; greatest)".to_owned(),
            translated: format!(
                "{}; {}",
                digits(nearest.translated.median_correlation),
                digits(nearest.translated.greatest_correlation)
            ),
            real: format!(
                "{}; {}",
                digits(nearest.real.median_correlation),
                digits(nearest.real.greatest_correlation)
            ),
            source: none(),
            meaning: copies(nearest.translated.very_near_by_pixels, of.faces, of.real_faces),
        },
    ]
}

fn called(Shares { translated, real, source }: &Shares, class: &str) -> String {
    if real <= source {
        return format!(
            "The classifier does not tell real {class} faces from the faces before, and says nothing here."
        );
    }
    match (translated - source) / (real - source) {
        part if part <= 0.0 => {
            format!("No more of them are called {class} than before they were translated.")
        }
        part if part >= 1.0 => format!("They are called {class} as often as real faces are, or more often."),
        part => format!(
            "The translation goes {:.0} % of the way from the faces as they were to real {class} ones.",
            part * 100.0
        ),
    }
}

fn distance(Distances { translated, real, source }: &Distances, class: &str) -> String {
    let times = translated.mean / real.mean.max(f64::MIN_POSITIVE);
    let chance = translated.deviation + source.deviation;
    let than_before = match translated.mean / source.mean.max(f64::MIN_POSITIVE) {
        _ if (translated.mean - source.mean).abs() <= chance => "as far as before".to_owned(),
        part if part < 1.0 => format!("{:.0} % nearer than before", (1.0 - part) * 100.0),
        part => format!("{:.0} % farther away than before", (part - 1.0) * 100.0),
    };
    match real.mean > 0.0 {
        true => format!(
            "{times:.1} times as far from real {class} faces as these are among themselves (1 would be as good as real); {than_before}."
        ),
        false => format!("Real {class} faces have no distance among themselves; {than_before}."),
    }
}

fn kernel_meaning(Distances { translated, real, source }: &Distances) -> String {
    let noise = real.mean.abs() + 2.0 * real.deviation;
    match (translated.mean <= noise, translated.mean < source.mean) {
        (true, _) => "No farther from real faces than chance puts these from each other.".to_owned(),
        (false, true) => format!(
            "Real faces are at about 0 from each other; {:.0} % of the distance that there was is left.",
            100.0 * translated.mean / source.mean.max(f64::MIN_POSITIVE)
        ),
        (false, false) => {
            "Real faces are at about 0 from each other; the translation came no nearer.".to_owned()
        }
    }
}

fn kept(Structure { returned, translated, others }: &Structure) -> String {
    let shown = match returned <= others {
        true => "The way back leads to another face",
        false if returned > translated => {
            "The way back brings more of the face back than the translation left"
        }
        false => "The way back brings no more of the face back than the translation left",
    };
    let little = if *translated > 0.95 { ", and little was changed" } else { "" };
    format!("{shown}{little}; 1 would be the same face.")
}

/// Whether more faces are very near to a training face than chance has it, by what is called so.
fn copies(very_near: usize, faces: usize, real: usize) -> String {
    let above = real_faces_above(real);
    let limit = match above {
        0 => format!("than any of {real} real faces is"),
        _ => format!("than all but {above} of {real} real faces are"),
    };
    let found = format!("{very_near} of {faces} are nearer to a training face {limit}");
    match chance_above(very_near, faces, above, real) < 0.01 {
        true => format!(
            "{found}, more than chance: smooth faces are near to many, and copies to one; look at them."
        ),
        false => format!("{found}, no more than chance."),
    }
}
