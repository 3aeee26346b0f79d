//! The networks that look at faces: one says which class, one gives features.

use anyhow::Context as _;
use ferroflow_vision::{
    embedding::FaceEmbedder, expression::ExpressionClassifier, face::Emotion, frame::Frame,
    inference::SessionOptions, model,
};

use super::BATCH;
use crate::batch::Context;

/// The networks, for faces of one size.
pub struct Networks<'a> {
    /// The classifier's name.
    pub classifier_name: String,
    /// The name of the network that gives features.
    pub features_name: String,
    classifier: ExpressionClassifier,
    embedder: FaceEmbedder,
    size: (usize, usize),
    context: &'a Context<'a>,
}

impl<'a> Networks<'a> {
    /// Opens both.
    pub fn open(
        classifier: &str,
        features: &str,
        options: &SessionOptions,
        size: (usize, usize),
        context: &'a Context<'a>,
    ) -> anyhow::Result<Self> {
        let (classifier, features) = (
            model::resolve_model(classifier).context("`classifier`")?,
            model::resolve_model(features).context("`features`")?,
        );
        Ok(Self {
            classifier: ExpressionClassifier::open(&classifier, options, 1).context("`classifier`")?,
            embedder: FaceEmbedder::open(&features, options, BATCH).context("`features`")?,
            classifier_name: classifier.name,
            features_name: features.name,
            size,
            context,
        })
    }

    /// Features of a face.
    pub const fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// Refuses a class that the classifier does not know.
    pub fn knows(&self, class: &str) -> anyhow::Result<()> {
        let labels = self.classifier.labels();
        if !labels.iter().any(|label| label == class) {
            anyhow::bail!(
                "`classifier`: {} does not know the class `{class}` (it has: {})",
                self.classifier_name,
                labels.join(", ")
            );
        }
        Ok(())
    }

    /// The features of each face (faces x dimensions).
    pub fn features(&mut self, pixels: &[u8]) -> anyhow::Result<Vec<f32>> {
        let ((width, height), mut features) = (self.size, Vec::new());
        for faces in pixels.chunks((BATCH * width * height).max(1)) {
            self.context.check()?;
            features.extend(self.embedder.embed_gray(faces, width, height)?);
            self.context.progress.advance(faces.len() / (width * height).max(1));
        }
        Ok(features)
    }

    /// The class that each face is called.
    pub fn classes(&mut self, pixels: &[u8]) -> anyhow::Result<Vec<String>> {
        let (width, height) = self.size;
        let mut emotions = Vec::new();
        for pixels in pixels.chunks_exact((width * height).max(1)) {
            self.context.check()?;
            self.classifier.classify_pictures(&[Frame::gray(pixels, width, height)?], &mut emotions)?;
        }
        Ok(emotions.iter().map(|emotion: &Emotion| emotion.label().to_owned()).collect())
    }
}
