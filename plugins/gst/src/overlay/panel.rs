//! What is drawn of one face: its box, a title above and the scores as bars beside or below.

use std::fmt::Write;

use ferroflow_vision::face::{EXPRESSION_COLORS, Emotion, Face, OTHER_COLOR, expression_of};

use super::{
    canvas::{Canvas, Color},
    text::Text,
};

const WHITE: Color = [255, 255, 255];
const INK: Color = [16, 18, 24];

/// The colour of an expression, whatever a classifier calls it, for boxes and bars alike.
fn expression_color(label: &str) -> Color {
    expression_of(label).map_or(OTHER_COLOR, |expression| EXPRESSION_COLORS[expression])
}

/// Which parts are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Name, confidence and identity above the box.
    pub labels: bool,
    /// The scores as bars.
    pub scores: bool,
}

/// Draws one face. `title` is scratch space.
pub fn draw(canvas: &mut Canvas<'_, '_>, text: &mut Text, face: &Face, parts: Parts, title: &mut String) {
    let emotion = face.smoothed.as_ref().or(face.emotion.as_ref());
    let color = emotion.map_or(OTHER_COLOR, |emotion| expression_color(emotion.label()));
    let bounds = face.detection.box_in_frame.clamped(canvas.width as f32, canvas.height as f32);
    let (x, y) = (bounds.x as i32, bounds.y as i32);
    let (width, height) = (bounds.width as i32, bounds.height as i32);
    let line = (text.line_height() / 8).max(1);
    canvas.outline(x, y, width, height, line, color);
    let row = text.line_height();
    if parts.labels {
        title.clear();
        if let Some(id) = face.track_id {
            let _ = write!(title, "#{id} ");
        }
        match emotion {
            Some(emotion) => {
                let _ = write!(title, "{} {:.0}%", emotion.label(), emotion.confidence() * 100.0);
            }
            None => {
                let _ = write!(title, "face {:.0}%", face.detection.confidence * 100.0);
            }
        }
        let title_width = text.width(title) + row / 2;
        let top = if y >= row + 2 { y - row - 2 } else { y };
        let left = x.min(canvas.width - title_width).max(0);
        canvas.fill(left, top, title_width, row + 2, color, 230);
        text.draw(canvas, left + row / 4, top + 1, title, INK);
    }
    if let Some(emotion) = emotion.filter(|_| parts.scores) {
        draw_scores(canvas, text, emotion, (x, y, width, height));
    }
}

/// A panel of bars to the right of the box where there is room, else to its left, else below.
fn draw_scores(
    canvas: &mut Canvas<'_, '_>,
    text: &mut Text,
    emotion: &Emotion,
    (x, y, width, height): (i32, i32, i32, i32),
) {
    let row = text.line_height();
    let name_width = emotion.labels.iter().map(|label| text.width(label)).max().unwrap_or(0);
    let bar = 3 * row;
    let panel_width = name_width + bar + row;
    let panel_height = row * emotion.labels.len() as i32 + row / 2;
    let gap = row / 4;
    let top = y.min(canvas.height - panel_height).max(0);
    let (left, top) = if x + width + gap + panel_width <= canvas.width {
        (x + width + gap, top)
    } else if x - gap - panel_width >= 0 {
        (x - gap - panel_width, top)
    } else {
        (
            x.min(canvas.width - panel_width).max(0),
            (y + height + gap).min(canvas.height - panel_height).max(0),
        )
    };
    canvas.fill(left, top, panel_width, panel_height, INK, 150);
    for (index, (label, score)) in emotion.labels.iter().zip(&emotion.scores).enumerate() {
        let line_top = top + row / 4 + index as i32 * row;
        text.draw(canvas, left + row / 4, line_top, label, WHITE);
        let (bar_left, bar_height) = (left + row / 2 + name_width, (row * 6 / 10).max(2));
        let bar_top = line_top + (row - bar_height) / 2;
        canvas.fill(bar_left, bar_top, bar, bar_height, WHITE, 40);
        let length = (bar as f32 * score.clamp(0.0, 1.0)).round() as i32;
        canvas.fill(bar_left, bar_top, length, bar_height, expression_color(label), 255);
    }
}
