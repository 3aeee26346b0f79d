//! Plots as SVG.

use ferroflow_vision::face::{EXPRESSION_COLORS, EXPRESSIONS, OTHER_COLOR};
use plotters::prelude::*;

use super::format::rgb;
use crate::stream::directory::timeline::Timeline;

/// Of axes and letters: can be read on light and on dark ground.
const GRAY: RGBColor = RGBColor(128, 128, 128);

/// The colour of an expression, the same as in the annotated video.
pub fn expression_color(index: usize) -> (u8, u8, u8) {
    let [red, green, blue] = EXPRESSION_COLORS.get(index).copied().unwrap_or(OTHER_COLOR);
    (red, green, blue)
}

/// Mean scores over time, stacked to 1; gaps where there was no face.
pub fn expression_over_time(timeline: &Timeline) -> anyhow::Result<String> {
    let mut svg = String::new();
    let span = (timeline.bins.len() as f64 * timeline.seconds).max(timeline.seconds);
    {
        let root = SVGBackend::with_string(&mut svg, (900, 200)).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("the plot could not be drawn: {error}");
        let label = ("sans-serif", 12).into_font().color(&GRAY);
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(36)
            .build_cartesian_2d(0.0..span, 0.0..1.0)
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRAY.mix(0.25))
            .axis_style(GRAY)
            .x_labels(8)
            .y_labels(3)
            .x_label_formatter(&|seconds| clock(*seconds))
            .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .label_style(label)
            .draw()
            .map_err(|error| failed(&error))?;
        for (index, bin) in timeline.bins.iter().enumerate().filter(|(_, bin)| bin.faces > 0) {
            let (left, right) = (index as f64 * timeline.seconds, (index + 1) as f64 * timeline.seconds);
            let mut base = 0.0;
            for (expression, mean) in bin.means().into_iter().enumerate() {
                let (r, g, b) = expression_color(expression);
                let bar = Rectangle::new([(left, base), (right, base + mean)], RGBColor(r, g, b).filled());
                chart.draw_series([bar]).map_err(|error| failed(&error))?;
                base += mean;
            }
        }
        root.present().map_err(|error| failed(&error))?;
    }
    // The page decides how wide it is.
    Ok(svg.replacen(
        "<svg width=\"900\" height=\"200\"",
        "<svg role=\"img\" aria-label=\"expressions over time\" shape-rendering=\"crispEdges\"",
        1,
    ))
}

/// A line of a plot: its name in the plot's legend, if it has one, its colour, its points, and those of them
/// that are marked.
pub struct Line {
    /// What it shows; nothing where the page says so elsewhere.
    pub name: Option<&'static str>,
    /// Red, green, blue.
    pub color: (u8, u8, u8),
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Points with a dot.
    pub marks: Vec<(f64, f64)>,
}

/// Colours that tell detectors apart on light and on dark ground.
pub fn line_color(index: usize) -> (u8, u8, u8) {
    const COLORS: [(u8, u8, u8); 12] = [
        (70, 130, 220),
        (235, 125, 45),
        (45, 165, 110),
        (160, 105, 225),
        (225, 75, 95),
        (40, 165, 185),
        (190, 150, 40),
        (150, 150, 160),
        (220, 110, 190),
        (120, 170, 50),
        (150, 110, 80),
        (110, 130, 240),
    ];
    COLORS[index % COLORS.len()]
}

/// What a plot's axes show: name, least and greatest value; and what all of it shows.
pub struct Axes {
    /// Along.
    pub x: (&'static str, f64, f64),
    /// Up.
    pub y: (&'static str, f64, f64),
    /// Whether there is nothing between whole numbers along the first, as between epochs.
    pub in_steps: bool,
    /// For those who hear the page.
    pub name: &'static str,
}

/// Precision over recall, both 0 to 1.
pub fn precision_over_recall(lines: &[Line]) -> anyhow::Result<String> {
    let axes = Axes {
        x: ("recall", 0.0, 1.0),
        y: ("precision", 0.0, 1.0),
        in_steps: false,
        name: "precision over recall",
    };
    self::lines(lines, &axes)
}

/// Lines over a grid.
pub fn lines(lines: &[Line], axes: &Axes) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (480, 360)).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("the plot could not be drawn: {error}");
        let label = ("sans-serif", 13).into_font().color(&GRAY);
        let named: Vec<_> = lines.iter().filter_map(|line| Some((line.name?, line.color))).collect();
        // Above the grid, where no curve runs.
        let (names, grid) = root.split_vertically(if named.is_empty() { 0 } else { 28 });
        let mut x = 52;
        for (name, (r, g, b)) in named {
            let line = PathElement::new([(x, 17), (x + 16, 17)], RGBColor(r, g, b).stroke_width(2));
            names.draw(&line).map_err(|error| failed(&error))?;
            names.draw_text(name, &label, (x + 22, 11)).map_err(|error| failed(&error))?;
            // A letter of 13 pixels is about 7 wide.
            x += 44 + 7 * name.len() as i32;
        }
        let mut chart = ChartBuilder::on(&grid)
            .margin(8)
            .margin_right(16)
            .x_label_area_size(40)
            .y_label_area_size(52)
            .build_cartesian_2d(axes.x.1..axes.x.2, axes.y.1..axes.y.2)
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRAY.mix(0.25))
            .axis_style(GRAY)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| {
                if axes.in_steps && value.fract() != 0.0 { String::new() } else { tick(*value) }
            })
            .y_label_formatter(&|value| tick(*value))
            .x_desc(axes.x.0)
            .y_desc(axes.y.0)
            .label_style(label.clone())
            .axis_desc_style(label)
            .draw()
            .map_err(|error| failed(&error))?;
        for Line { color: (r, g, b), points, marks, .. } in lines {
            let color = RGBColor(*r, *g, *b);
            let path = PathElement::new(points.clone(), color.stroke_width(2));
            chart.draw_series([path]).map_err(|error| failed(&error))?;
            let marks = marks.iter().map(|&point| Circle::new(point, 5, color.filled()));
            chart.draw_series(marks).map_err(|error| failed(&error))?;
        }
        root.present().map_err(|error| failed(&error))?;
    }
    // The page decides how wide it is.
    let own = "<svg width=\"480\" height=\"360\"";
    Ok(svg.replacen(own, &format!("<svg role=\"img\" aria-label=\"{}\"", axes.name), 1))
}

/// A number beside an axis: 5 and not 5.0, 0.3 and not 0.30000000000000004.
fn tick(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

/// Minutes and seconds.
fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if seconds < 60.0 { format!("{seconds:.1} s") } else { format!("{}:{:02}", whole / 60, whole % 60) }
}

/// Names and colours, for a legend.
pub fn legend() -> Vec<(&'static str, String)> {
    EXPRESSIONS.iter().enumerate().map(|(index, name)| (*name, rgb(expression_color(index)))).collect()
}
