//! What the engine knows of one face in one frame, and of all the faces of a frame.

use std::sync::Arc;

use crate::geometry::{Point, Rect};

/// The seven expressions in FER2013's order; the index is the class number of the data set.
pub const EXPRESSIONS: [&str; 7] = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

/// A colour for each, red first, the same wherever they are drawn.
pub const EXPRESSION_COLORS: [[u8; 3]; 7] = [
    [230, 70, 60],
    [140, 160, 50],
    [150, 100, 220],
    [250, 190, 40],
    [70, 130, 220],
    [240, 120, 190],
    [120, 200, 190],
];

/// The colour of all other classes.
pub const OTHER_COLOR: [u8; 3] = [160, 170, 180];

/// Other names that classifiers give them, FER+'s among them (Barsoum et al. 2016).
const SYNONYMS: [(&str, &str); 6] = [
    ("anger", "angry"),
    ("disgusted", "disgust"),
    ("fearful", "fear"),
    ("happiness", "happy"),
    ("sadness", "sad"),
    ("surprised", "surprise"),
];

/// Which of the [`EXPRESSIONS`] a class is, whatever it is called: `Happiness` is the fourth. Others, such as
/// contempt, are none.
pub fn expression_of(label: &str) -> Option<usize> {
    let is = |name: &str| label.eq_ignore_ascii_case(name);
    let known = |name: &str| EXPRESSIONS.iter().position(|expression| *expression == name);
    EXPRESSIONS.iter().position(|expression| is(expression)).or_else(|| {
        SYNONYMS.iter().find(|(synonym, _)| is(synonym)).and_then(|(_, expression)| known(expression))
    })
}

/// The names of a classifier's classes, in the order of its scores.
pub type Labels = Arc<[String]>;

/// One face found by a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Where the face is; may reach past the frame's edges.
    pub box_in_frame: Rect,
    /// The detector's confidence, 0 to 1.
    pub confidence: f32,
    /// Eyes (image left, image right), nose tip, mouth corners (image left, image right), where the detector
    /// gives them.
    pub landmarks_in_frame: Option<[Point; 5]>,
}

/// A classifier's answer for one face.
#[derive(Clone, Debug, PartialEq)]
pub struct Emotion {
    /// Class names, as many as there are scores.
    pub labels: Labels,
    /// Probability of each class, 0 to 1, summing to 1.
    pub scores: Vec<f32>,
    /// Which class is reported. Usually that of the highest score; a smoothed answer may hold on to an earlier one.
    pub label_id: usize,
    /// Name of the model that answered.
    pub model: Arc<str>,
}

impl Emotion {
    /// Name of the reported class; empty when `label_id` is out of range.
    pub fn label(&self) -> &str {
        self.labels.get(self.label_id).map_or("", String::as_str)
    }

    /// Probability of the reported class.
    pub fn confidence(&self) -> f32 {
        self.scores.get(self.label_id).copied().unwrap_or(0.0)
    }

    /// Probability of the class of this name, if the model knows it; an expression may have another name in
    /// the model.
    pub fn score(&self, label: &str) -> Option<f32> {
        let same = self.labels.iter().position(|name| name == label);
        let index = same.or_else(|| {
            let expression = expression_of(label)?;
            self.labels.iter().position(|name| expression_of(name) == Some(expression))
        });
        self.scores.get(index?).copied()
    }
}

/// One face of one frame, with all that the elements upstream have found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Where, and how sure the detector was.
    pub detection: Detection,
    /// Identity across frames, from the tracker.
    pub track_id: Option<u64>,
    /// The classifier's answer for this very frame.
    pub emotion: Option<Emotion>,
    /// The answer smoothed over the track.
    pub smoothed: Option<Emotion>,
}

/// One frame of one source and its faces: the unit of all that is written (JSON lines, CSV, Parquet).
#[derive(Clone, Debug, PartialEq)]
pub struct FrameFaces {
    /// Which video or camera: a path, an address or a name.
    pub source: Arc<str>,
    /// Number of the frame in its source, from 0.
    pub frame: u64,
    /// Presentation time in nanoseconds from the start of the stream, if the frame has one.
    pub pts: Option<u64>,
    /// Frame width in pixels.
    pub width: u32,
    /// Frame height in pixels.
    pub height: u32,
    /// The faces, in the detector's order.
    pub faces: Vec<Face>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_by_the_names_that_other_models_give_them() {
        let labels: Labels =
            ["neutral", "Happiness", "surprise", "sadness", "anger", "contempt"].map(str::to_owned).into();
        let scores = vec![0.1, 0.2, 0.3, 0.15, 0.05, 0.2];
        let emotion = Emotion { labels, scores, label_id: 2, model: "other".into() };
        let found = EXPRESSIONS.map(|expression| emotion.score(expression));
        assert_eq!(found, [Some(0.05), None, None, Some(0.2), Some(0.15), Some(0.3), Some(0.1)]);
        assert_eq!(emotion.score("contempt"), Some(0.2));
    }
}
