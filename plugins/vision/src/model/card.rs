//! A model's card: what must be known of an ONNX file, besides the file, to feed it and to read its answer.
//!
//! The card of `model.onnx` is the TOML file `model.toml` beside it; without one, the text in the file's own
//! metadata.

use serde::{Deserialize, Serialize};

use crate::{
    align::Alignment,
    sample::{ColorOrder, ImageSpec, TensorLayout},
};

/// The key of an ONNX file's metadata under which its card stands.
pub const METADATA: &str = "card";

/// A card for a classifier, shown where one is missing.
pub const EXAMPLE: &str = r#"
task = "expression"
labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
softmax = false          # true when the network answers with logits
[input]
width = 64
height = 64
color = "gray"           # gray, rgb or bgr
layout = "nchw"          # nchw or nhwc
scale = 0.00784313725    # value = (pixel * scale - mean) / std, pixel 0 to 255
mean = [1.0]
std = [1.0]
crop_padding = 0.0       # share of the face's box added on each side
align = "level"          # level turns the eyes level, arcface lays the landmarks on ArcFace's template
"#;

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Classifies the expression of one face.
    Expression,
    /// Finds faces in a frame.
    Detection,
    /// Gives features of one face, by which faces are compared.
    Embedding,
}

/// How the input is made: `value = (pixel·scale - mean) / std`, pixel 0 to 255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Pixels across; 0 for a detector that takes any size.
    pub width: usize,
    /// Pixels down; 0 for a detector that takes any size.
    pub height: usize,
    /// Colour order.
    pub color: ColorOrder,
    /// Order of axes.
    #[serde(default)]
    pub layout: TensorLayout,
    /// Factor on pixels.
    #[serde(default = "one")]
    pub scale: f32,
    /// One for each channel, or one for all.
    #[serde(default = "zeros")]
    pub mean: Vec<f32>,
    /// One for each channel, or one for all.
    #[serde(default = "ones")]
    pub std: Vec<f32>,
    /// Share of the face's box added on each side before the square crop.
    #[serde(default)]
    pub crop_padding: f32,
    /// How the face is turned; detectors without landmarks leave it upright.
    #[serde(default)]
    pub align: Alignment,
}

impl Input {
    /// Gray pixels 0 to 255 as they are, of faces that are cut out as they stand, turned level.
    pub fn gray(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            color: ColorOrder::Gray,
            layout: TensorLayout::Nchw,
            scale: one(),
            mean: zeros(),
            std: ones(),
            crop_padding: 0.0,
            align: Alignment::Level,
        }
    }
}

fn one() -> f32 {
    1.0
}

fn zeros() -> Vec<f32> {
    vec![0.0]
}

fn ones() -> Vec<f32> {
    vec![1.0]
}

/// A model's card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What it is for.
    pub task: Task,
    /// Class names in the order of the scores; none for detectors.
    #[serde(default)]
    pub labels: Vec<String>,
    /// True when the network answers with logits.
    #[serde(default)]
    pub softmax: bool,
    /// How its input is made.
    pub input: Input,
}

impl Card {
    /// Reads and checks a card.
    pub fn parse(text: &str) -> Result<Self, String> {
        let card: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        card.check()?;
        Ok(card)
    }

    /// Whether a file is meant to be a card: it has a key of one, or is no TOML at all.
    pub fn is_meant(text: &str) -> bool {
        const KEYS: [&str; 4] = ["task", "labels", "softmax", "input"];
        let table: Result<toml::Table, _> = toml::from_str(text);
        table.map_or(true, |table| KEYS.iter().any(|key| table.contains_key(*key)))
    }

    /// Refuses what cannot be meant.
    pub fn check(&self) -> Result<(), String> {
        let Input { width, height, mean, std, scale, crop_padding, .. } = &self.input;
        let channels = self.image_spec().color.channels();
        if self.task == Task::Expression && self.labels.len() < 2 {
            return Err("`labels` must name at least two classes".into());
        }
        if self.task != Task::Detection && (*width == 0 || *height == 0) {
            return Err("`input.width` and `input.height` must be above zero".into());
        }
        if *width > 8192 || *height > 8192 {
            return Err(format!("an input of {width}x{height} is larger than 8192x8192"));
        }
        for (name, values) in [("mean", mean), ("std", std)] {
            if values.len() != 1 && values.len() != channels {
                return Err(format!(
                    "`input.{name}` has {} values, 1 or {channels} are needed",
                    values.len()
                ));
            }
            if values.iter().any(|value| !value.is_finite()) {
                return Err(format!("`input.{name}` must be finite"));
            }
        }
        if std.contains(&0.0) || !scale.is_finite() || *scale == 0.0 {
            return Err("`input.std` and `input.scale` must not be zero".into());
        }
        if !(-0.4..=4.0).contains(crop_padding) {
            return Err(format!("`input.crop_padding` is {crop_padding}, it must be between -0.4 and 4"));
        }
        Ok(())
    }

    /// How faces are turned.
    pub fn alignment(&self) -> Alignment {
        self.input.align
    }

    /// The input as the sampler takes it.
    pub fn image_spec(&self) -> ImageSpec {
        let each = |values: &[f32], default: f32| {
            let first = values.first().copied().unwrap_or(default);
            [0, 1, 2].map(|index| values.get(index).copied().unwrap_or(first))
        };
        ImageSpec {
            width: self.input.width,
            height: self.input.height,
            color: self.input.color,
            layout: self.input.layout,
            scale: self.input.scale,
            mean: each(&self.input.mean, 0.0),
            std: each(&self.input.std, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_file_is_no_card_and_one_with_a_mistake_is() {
        assert!(!Card::is_meant("name = \"mine\"\n[node.a]\nuse = \"fer2013\"\n"));
        assert!(Card::is_meant(EXAMPLE) && Card::is_meant("lables = []\ntask = \"expression\"\n"));
        assert!(Card::is_meant("task = "), "no TOML: its error is told");
    }
}
