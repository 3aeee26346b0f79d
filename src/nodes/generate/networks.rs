//! The networks of one worker: one makes faces, the others judge them.

use anyhow::bail;
use ferroflow_vision::{
    expression::ExpressionClassifier,
    face::Emotion,
    faceness::{Checker, Settings},
    frame::Frame,
    inference::SessionOptions,
    model::{self, ModelFile},
    perceptual_hash::Hasher,
    translation::FaceTranslator,
};

use super::{
    Generate,
    copies::{Gallery, Look, mirrored},
    sources::Candidate,
};
use crate::{
    batch::{
        Input,
        data::picture::{Gray, encode_png},
    },
    nodes::shared::translator,
};

/// Why a translation is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The classifier calls it something else, or is not sure enough.
    Classifier,
    /// It shows no usable face.
    NoFace,
    /// It is a copy of a face that is there already.
    Copy,
}

impl Refusal {
    /// Every reason, in the order in which translations are asked about them.
    pub const ALL: [Self; 3] = [Self::Classifier, Self::NoFace, Self::Copy];

    /// The name in facts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::NoFace => "no-face",
            Self::Copy => "copy",
        }
    }
}

/// A face that is no copy of a real one and passed all else.
pub struct Made {
    /// What it was made of.
    pub source: Candidate,
    /// The picture.
    pub look: Look,
    /// The same as PNG.
    pub png: Vec<u8>,
    /// The classifier's probability of the class that it was made for, 0 to 1.
    pub confidence: f32,
    /// The greatest correlation with a real face that it was compared to, -1 to 1.
    pub similarity: f32,
}

/// What faces are looked for with. Which kind of non-face it is does not matter, so that the profile cascade
/// is not asked.
pub fn face_settings() -> Settings {
    Settings { profile_cascade: false, ..Settings::default() }
}

/// Finds the classifier, which must have a card that names the class.
pub fn classifier(name: &str, class: &str) -> anyhow::Result<ModelFile> {
    let file = model::resolve_model(name)?;
    let labels = &file.card()?.labels;
    if !labels.iter().any(|label| label == class) {
        bail!(
            "`classifier`: `{}` knows no class `{class}` (it knows: {})",
            file.name,
            if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
        );
    }
    Ok(file)
}

/// The networks of one worker.
pub struct Networks<'a> {
    node: &'a Generate,
    translator: FaceTranslator,
    classifier: ExpressionClassifier,
    checker: Checker,
    settings: Settings,
    hasher: Hasher,
    emotions: Vec<Emotion>,
}

impl<'a> Networks<'a> {
    /// Opens them for faces of this width and height.
    pub fn open(
        node: &'a Generate,
        model: &Input,
        picture_size: (usize, usize),
        options: &SessionOptions,
    ) -> anyhow::Result<Self> {
        let translator = translator::open(model, &node.from, &node.to, options)?;
        translator::check_size(&translator, picture_size)?;
        let settings = face_settings();
        let classifier = classifier(&node.classifier, &node.to)?;
        Ok(Self {
            node,
            translator,
            classifier: ExpressionClassifier::open(&classifier, options, 1)?,
            checker: Checker::open(&settings, options)?,
            settings,
            hasher: Hasher::default(),
            emotions: Vec::new(),
        })
    }

    /// Translates some of the real faces and judges each of them.
    pub fn make(&mut self, some: &[Candidate], real: &Gallery) -> anyhow::Result<Vec<Result<Made, Refusal>>> {
        let (width, height) = real.picture_size();
        let mut sources = Vec::with_capacity(some.len() * width * height);
        for source in some {
            let picture = real.picture(source.row);
            match source.is_mirrored {
                true => sources.extend(mirrored(picture, width)),
                false => sources.extend_from_slice(picture),
            }
        }
        let translated = self.translator.translate_gray(&sources)?;
        let pictures = some.iter().zip(translated.chunks_exact(width * height));
        pictures.map(|(source, pixels)| self.judge(*source, pixels, real)).collect()
    }

    /// The cheapest question first.
    fn judge(
        &mut self,
        source: Candidate,
        pixels: &[u8],
        real: &Gallery,
    ) -> anyhow::Result<Result<Made, Refusal>> {
        let (width, height) = real.picture_size();
        let Some(confidence) = self.confidence(pixels, (width, height))? else {
            return Ok(Err(Refusal::Classifier));
        };
        let evidence = self.checker.check(pixels, width, height)?;
        if evidence.decide(&self.settings.thresholds).is_some() {
            return Ok(Err(Refusal::NoFace));
        }
        let look = Look::new(pixels, width, &self.hasher);
        let to_source = look.likeness(real.picture(source.row));
        let similarity = real.closest(&look).map_or(to_source, |closest| closest.max(to_source));
        if similarity >= self.node.similarity {
            return Ok(Err(Refusal::Copy));
        }
        let png = encode_png(&Gray { width, height, pixels: pixels.to_vec() })?;
        Ok(Ok(Made { source, look, png, confidence, similarity }))
    }

    /// The classifier's probability of the wanted class, if that is its answer and it is sure enough.
    fn confidence(&mut self, pixels: &[u8], (width, height): (usize, usize)) -> anyhow::Result<Option<f32>> {
        let frame = Frame::gray(pixels, width, height)?;
        self.emotions.clear();
        self.classifier.classify_pictures(&[frame], &mut self.emotions)?;
        let answer = self.emotions.first().filter(|answer| answer.label() == self.node.to);
        Ok(answer.map(Emotion::confidence).filter(|confidence| *confidence >= self.node.agreement))
    }
}
