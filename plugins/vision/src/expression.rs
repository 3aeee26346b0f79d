//! Expression classification: any ONNX classifier whose card says how its input is made and what its classes are.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    align::{Alignment, Crop},
    face::{Detection, Emotion, Labels},
    frame::Frame,
    inference::{InferenceError, Output, SessionOptions, SharedSession, listed},
    model::{ModelError, ModelFile},
    sample::{ImageSpec, Sampler},
};

/// Why a classifier could not be opened or failed.
#[derive(Debug, Error)]
pub enum ExpressionError {
    /// The model cannot be found or has no usable card.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be loaded or failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// Reads the expression of faces, all faces of a frame in one run of the network.
pub struct ExpressionClassifier {
    session: Arc<SharedSession>,
    spec: ImageSpec,
    /// Share of the box added on each side before the crop.
    padding: f32,
    alignment: Alignment,
    logits: bool,
    labels: Labels,
    name: Arc<str>,
    /// Most faces in one run; 1 for models exported with a batch of one.
    batch_size: usize,
    sampler: Sampler,
    input: Vec<f32>,
}

impl ExpressionClassifier {
    /// Opens the model and checks that its input and output are what its card promises.
    ///
    /// `batch_size`, which stands in for the options' own, limits the faces of one run.
    pub fn open(
        model: &ModelFile,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, ExpressionError> {
        let card = model.card()?;
        let options = SessionOptions { batch_size, ..options.clone() };
        let session = SharedSession::open(&model.path, &options)?;
        let spec = card.image_spec();
        let labels: Labels = card.labels.clone().into();
        let batch_size = session.images_at_once(spec.shape(1), batch_size)?;
        let classes = labels.len() as i64;
        match session.outputs() {
            [output] if output.shape.last() == Some(&classes) => {}
            outputs => {
                let found = listed(outputs);
                return Err(session
                    .misfit(format!("its card names {classes} labels, so one output of [N, {classes}] is needed, found {found}"))
                    .into());
            }
        }
        Ok(Self {
            spec,
            padding: card.input.crop_padding,
            alignment: card.alignment(),
            logits: card.softmax,
            labels,
            name: model.name.as_str().into(),
            batch_size,
            session,
            sampler: Sampler::default(),
            input: Vec::new(),
        })
    }

    /// The classes, in the order of the scores.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Model and device, for logs.
    pub fn describe(&self) -> String {
        format!("{} on {}", self.name, self.session.device())
    }

    /// Appends to `emotions` one answer for each of the faces, in their order. Boxes may reach past the frame;
    /// landmarks are used where the model's card asks for aligned faces.
    pub fn classify(
        &mut self,
        frame: &Frame<'_>,
        faces: &[Detection],
        emotions: &mut Vec<Emotion>,
    ) -> Result<(), ExpressionError> {
        let (alignment, padding) = (self.alignment, self.padding);
        self.run(faces.len(), |at| (frame, Crop::of(&faces[at], alignment, padding)), emotions)
    }

    /// Appends to `emotions` one answer for each of the pictures, in their order. Each is a face that was cut out already, and
    /// is shown whole.
    pub fn classify_pictures(
        &mut self,
        pictures: &[Frame<'_>],
        emotions: &mut Vec<Emotion>,
    ) -> Result<(), ExpressionError> {
        self.run(pictures.len(), |at| (&pictures[at], Crop::whole(&pictures[at])), emotions)
    }

    /// Answers for `count` crops, each with the frame that it is of.
    fn run<'a, 'b: 'a>(
        &mut self,
        count: usize,
        crop: impl Fn(usize) -> (&'a Frame<'b>, Crop),
        emotions: &mut Vec<Emotion>,
    ) -> Result<(), ExpressionError> {
        let length = self.spec.len();
        for first in (0..count).step_by(self.batch_size) {
            let batch = first..count.min(first + self.batch_size);
            self.input.resize(length * batch.len(), 0.0);
            for (at, image) in batch.clone().zip(self.input.chunks_exact_mut(length)) {
                let (frame, crop) = crop(at);
                self.sampler.sample_crop(frame, &crop, &self.spec, image);
            }
            let answers = emotions.len();
            let (classes, logits) = (self.labels.len(), self.logits);
            self.session.run(self.spec.shape(batch.len()), &mut self.input, |outputs| {
                let values = outputs.first().map_or(&[][..], |output: &Output<'_>| output.values);
                emotions.extend(values.chunks_exact(classes).map(|scores| {
                    let scores = if logits { softmax(scores) } else { scores.to_vec() };
                    let label_id = argmax(&scores);
                    Emotion { labels: self.labels.clone(), scores, label_id, model: self.name.clone() }
                }));
            })?;
            if let Some(bad) = emotions[answers..].iter().find(|e| !e.scores.iter().all(|s| s.is_finite())) {
                let reason = format!("it answered {:?}, which are not probabilities", bad.scores);
                emotions.truncate(answers);
                return Err(self.session.failed(reason).into());
            }
            if emotions.len() != answers + batch.len() {
                let reason =
                    format!("{} faces went in, {} answers came out", batch.len(), emotions.len() - answers);
                emotions.truncate(answers);
                return Err(self.session.failed(reason).into());
            }
        }
        Ok(())
    }
}

/// Index of the greatest value, the first of equals, as everywhere; 0 for none.
pub(crate) fn argmax(values: &[f32]) -> usize {
    values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

/// Probabilities from logits, shifted by the greatest so that nothing overflows.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut powers: Vec<f32> = logits.iter().map(|logit| (logit - greatest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter_mut().for_each(|power| *power /= sum);
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_first_counts() {
        let found = [argmax(&[0.2, 0.4, 0.4]), argmax(&[0.5, 0.5]), argmax(&[0.1, 0.9]), argmax(&[])];
        assert_eq!(found, [1, 0, 1, 0]);
    }
}
