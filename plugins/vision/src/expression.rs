//! Expression classification: any ONNX classifier whose card says how its input is made and what its classes are.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    align::{Alignment, Crop},
    face::{Detection, Emotion, Labels},
    frame::Frame,
    inference::{ImageNetwork, InferenceError, Output, SessionOptions, listed},
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
    network: ImageNetwork,
    /// Share of the box added on each side before the crop.
    padding: f32,
    alignment: Alignment,
    logits: bool,
    labels: Labels,
    name: Arc<str>,
    mirrored: bool,
    /// Answers of all looks, in their order.
    scores: Vec<f32>,
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
        let network = ImageNetwork::open(&model.path, card.image_spec(), options, batch_size)?;
        let labels: Labels = card.labels.clone().into();
        let classes = labels.len() as i64;
        match network.session().outputs() {
            [output] if output.shape.last() == Some(&classes) => {}
            outputs => {
                let found = listed(outputs);
                return Err(network
                    .session()
                    .misfit(format!("its card names {classes} labels, so one output of [N, {classes}] is needed, found {found}"))
                    .into());
            }
        }
        Ok(Self {
            network,
            padding: card.input.crop_padding,
            alignment: card.alignment(),
            logits: card.softmax,
            labels,
            name: model.name.as_str().into(),
            mirrored: false,
            scores: Vec::new(),
        })
    }

    /// Has it look at each face's mirror image too, and answer the mean of both.
    #[must_use]
    pub fn with_mirrored(self, mirrored: bool) -> Self {
        Self { mirrored, ..self }
    }

    /// The classes, in the order of the scores.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Model and device, for logs.
    pub fn describe(&self) -> String {
        format!("{} on {}", self.name, self.network.session().device())
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

    /// Appends to `emotions` one answer for each of the pictures, in their order. Each is a face that was cut
    /// out already, and is shown whole.
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
        let (classes, logits) = (self.labels.len(), self.logits);
        // How often each face is looked at; every other look is at its mirror image.
        let looks = if self.mirrored { 2 } else { 1 };
        let draw = |sampler: &mut Sampler, spec: &ImageSpec, look: usize, image: &mut [f32]| {
            let (frame, crop) = crop(look / looks);
            sampler.sample_crop(frame, &crop, spec, image);
            if look % looks == 1 {
                spec.mirror(image);
            }
        };
        let scores = &mut self.scores;
        scores.clear();
        self.network.run(count * looks, draw, |looks, outputs| {
            let before = scores.len();
            let values = outputs.first().map_or(&[][..], |output: &Output<'_>| output.values);
            for answer in values.chunks_exact(classes.max(1)) {
                scores.extend(answer);
                if logits {
                    let begin = scores.len() - classes;
                    softmax(&mut scores[begin..]);
                }
            }
            let answers = &scores[before..];
            if let Some(bad) = answers.chunks_exact(classes.max(1)).find(|a| !a.iter().all(|s| s.is_finite()))
            {
                return Err(format!("it answered {bad:?}, which are not probabilities"));
            }
            let answers = answers.len() / classes.max(1);
            if answers != looks {
                return Err(format!("{looks} faces went in, {answers} answers came out"));
            }
            Ok(())
        })?;
        emotions.extend(self.scores.chunks_exact(classes * looks).map(|answers| {
            let (first, mirrored) = answers.split_at(classes);
            let mut scores = first.to_vec();
            scores.iter_mut().zip(mirrored).for_each(|(score, other)| *score = f32::midpoint(*score, *other));
            let label_id = argmax(&scores);
            Emotion { labels: self.labels.clone(), scores, label_id, model: self.name.clone() }
        }));
        Ok(())
    }
}

/// Index of the greatest value, the first of equals, as everywhere; 0 for none.
pub(crate) fn argmax(values: &[f32]) -> usize {
    values.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index)
}

/// Makes probabilities of logits, shifted by the greatest so that nothing overflows.
fn softmax(logits: &mut [f32]) {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - greatest).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|power| *power /= sum);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::inference::Device;

    #[test]
    fn the_mean_of_a_face_and_its_mirror_image_is_that_of_both_answers() {
        let model = crate::model::resolve_model("default").unwrap();
        let (mut pixels, mut mirrored) = (Vec::new(), Vec::new());
        for y in 0..48usize {
            let row: Vec<u8> = (0..48usize).map(|x| (x * x * 3 + y * 31 + x * y) as u8).collect();
            mirrored.extend(row.iter().rev());
            pixels.extend(row);
        }
        let pictures = [&pixels, &mirrored].map(|pixels| Frame::gray(pixels, 48, 48).unwrap());
        let ask = |mirror: bool, batch_size: usize, pictures: &[Frame<'_>]| {
            let options = SessionOptions { device: Device::Cpu, ..SessionOptions::default() };
            let classifier = ExpressionClassifier::open(&model, &options, batch_size).unwrap();
            let mut emotions = Vec::new();
            classifier.with_mirrored(mirror).classify_pictures(pictures, &mut emotions).unwrap();
            emotions.into_iter().map(|emotion| emotion.scores).collect::<Vec<_>>()
        };
        let [one, other] = [0, 1].map(|at| ask(false, 1, &pictures)[at].clone());
        assert_ne!(one, other);
        for batch_size in [1, 2, 3, 32] {
            for scores in ask(true, batch_size, &pictures) {
                let means = one.iter().zip(&other).map(|(one, other)| f32::midpoint(*one, *other));
                assert!(scores.iter().zip(means).all(|(score, mean)| (score - mean).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn of_equal_scores_the_first_counts() {
        let found = [argmax(&[0.2, 0.4, 0.4]), argmax(&[0.5, 0.5]), argmax(&[0.1, 0.9]), argmax(&[])];
        assert_eq!(found, [1, 0, 1, 0]);
    }
}
