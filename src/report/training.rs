//! Plots of trainings.

use ferroflow_learn::{classifier::EpochResult, cyclegan::Direction};

use super::plot::{Axes, Line, line_color, lines};

/// A loss by its name.
type Loss = (&'static str, fn(&Direction) -> f32);

/// What of an epoch a line shows, where the epoch has it.
type Measure = fn(&EpochResult) -> Option<f32>;

/// The losses of a CycleGAN over its epochs, each the mean of both directions.
pub fn losses_over_epochs(history: &[[Direction; 2]]) -> anyhow::Result<String> {
    let losses: [Loss; 4] = [
        ("adversarial", |direction| direction.adversarial),
        ("identity", |direction| direction.identity),
        ("cycle", |direction| direction.cycle),
        ("discriminator", |direction| direction.discriminator),
    ];
    let curves = losses.into_iter().enumerate().map(|(index, (name, value))| {
        let mean = |epoch: &[Direction; 2]| f64::from(epoch.iter().map(value).sum::<f32>() / 2.0);
        let points = history.iter().enumerate().map(|(at, epoch)| ((at + 1) as f64, mean(epoch)));
        Line { name: Some(name), color: line_color(index), points: points.collect(), marks: Vec::new() }
    });
    let curves: Vec<Line> = curves.collect();
    let highest = curves.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.1, f64::max);
    let axes = Axes {
        x: ("epoch", 1.0, history.len().max(2) as f64),
        y: ("loss", 0.0, highest * 1.05),
        in_steps: true,
        name: "losses of the CycleGAN over its epochs",
    };
    lines(&curves, &axes)
}

/// Loss of a classifier over its epochs: on the faces that it learnt from, as varied, and on the validation faces.
pub fn loss_over_epochs(history: &[EpochResult]) -> anyhow::Result<String> {
    let line = |index, name, value: Measure| curve(history, index, name, value);
    let mut curves = vec![line(0, "while it learns", |epoch| Some(epoch.loss))];
    if history.iter().any(|epoch| epoch.validation_loss.is_some()) {
        curves.push(line(1, "validation", |epoch| epoch.validation_loss));
    }
    let highest = curves.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.1, f64::max);
    let axes = Axes {
        x: ("epoch", 1.0, history.len().max(2) as f64),
        y: ("loss", 0.0, highest * 1.05),
        in_steps: true,
        name: "loss of the classifier over its epochs",
    };
    lines(&curves, &axes)
}

/// Accuracy of a classifier over its epochs: on the faces that it learnt from, as varied, and on the
/// validation faces.
pub fn accuracy_over_epochs(history: &[EpochResult]) -> anyhow::Result<String> {
    let line = |index, name, value: Measure| curve(history, index, name, value);
    let mut curves = vec![line(0, "while it learns", |epoch| Some(epoch.accuracy))];
    if history.iter().any(|epoch| epoch.validation.is_some()) {
        curves.push(line(1, "validation", |epoch| epoch.validation));
    }
    let lowest = curves.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(1.0, f64::min);
    let axes = Axes {
        x: ("epoch", 1.0, history.len().max(2) as f64),
        y: ("accuracy", (lowest - 0.02).max(0.0), 1.0),
        in_steps: true,
        name: "accuracy of the classifier over its epochs",
    };
    lines(&curves, &axes)
}

fn curve(history: &[EpochResult], index: usize, name: &'static str, value: Measure) -> Line {
    let point = |(at, epoch)| Some(((at + 1) as f64, f64::from(value(epoch)?)));
    let points = history.iter().enumerate().filter_map(point);
    Line { name: Some(name), color: line_color(index), points: points.collect(), marks: Vec::new() }
}
