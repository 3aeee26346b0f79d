//! Features of faces, by which faces are compared: any ONNX network whose card says how its input is made.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    frame::{Frame, FrameError},
    geometry::Rect,
    inference::{InferenceError, Output, SessionOptions, SharedSession},
    model::{ModelError, ModelFile, card::Task},
    sample::{ImageSpec, Sampler},
};

/// Why an embedder could not be opened or failed.
#[derive(Debug, Error)]
pub enum EmbeddingError {
    /// The model cannot be found or has no usable card.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be loaded, gives no features, or failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Pictures of no size.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Gives features of faces, several in one run of the network.
pub struct FaceEmbedder {
    session: Arc<SharedSession>,
    spec: ImageSpec,
    dimensions: usize,
    /// Most faces in one run; 1 for models exported with a batch of one.
    batch_size: usize,
    sampler: Sampler,
    input: Vec<f32>,
}

impl FaceEmbedder {
    /// Opens the model and checks that it takes what its card promises and answers a row of features for each face.
    ///
    /// `batch_size`, which stands in for the options' own, limits the faces of one run.
    pub fn open(
        model: &ModelFile,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, EmbeddingError> {
        let card = model.card()?;
        let session = SharedSession::open(&model.path, &SessionOptions { batch_size, ..options.clone() })?;
        if card.task != Task::Embedding {
            return Err(session
                .misfit("its card's task is another: a network that gives features has task = \"embedding\"")
                .into());
        }
        let spec = card.image_spec();
        let found = |infos: &[crate::inference::TensorInfo]| {
            infos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let [_, a, b, c] = spec.shape(1);
        let fits = |shape: &[i64]| {
            let fits = |(&have, want): (&i64, usize)| have == -1 || have == want as i64;
            shape.len() == 4 && shape.iter().skip(1).zip([a, b, c]).all(fits)
        };
        let input = match session.inputs() {
            [input] if fits(&input.shape) => input,
            inputs => {
                let reason =
                    format!("its card promises one input of [N, {a}, {b}, {c}], found {}", found(inputs));
                return Err(session.misfit(reason).into());
            }
        };
        let dimensions = match session.outputs() {
            [output] => match output.shape.as_slice() {
                [_, dimensions] => usize::try_from(*dimensions).unwrap_or(0),
                _ => 0,
            },
            _ => 0,
        };
        if dimensions == 0 {
            let reason = format!(
                "one output of [N, features] is needed, with a fixed number of features, found {}",
                found(session.outputs())
            );
            return Err(session.misfit(reason).into());
        }
        let fixed_batch = input.shape.first().and_then(|&batch| usize::try_from(batch).ok());
        Ok(Self {
            spec,
            dimensions,
            batch_size: fixed_batch.unwrap_or(batch_size).max(1),
            session,
            sampler: Sampler::default(),
            input: Vec::new(),
        })
    }

    /// Features of a face.
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Model and device, for logs.
    pub fn describe(&self) -> String {
        format!("{} on {}", self.session.name(), self.session.device())
    }

    /// The features of gray faces of one size (faces x height x width, 0 black to 255 white): faces x dimensions. Faces are enlarged
    /// or reduced as they are to what the network takes, without a look at where eyes and mouth lie. What is left over of a face is
    /// left out.
    pub fn embed_gray(
        &mut self,
        pixels: &[u8],
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, EmbeddingError> {
        let size = width * height;
        if size == 0 {
            // Says which size it is that cannot be.
            Frame::gray(pixels, width, height)?;
            return Ok(Vec::new());
        }
        let mut features = Vec::with_capacity(pixels.len() / size * self.dimensions);
        let whole = pixels.len() - pixels.len() % size;
        for faces in pixels[..whole].chunks(self.batch_size * size) {
            let (count, length) = (faces.len() / size, self.spec.len());
            self.input.resize(count * length, 0.0);
            for (face, image) in faces.chunks_exact(size).zip(self.input.chunks_exact_mut(length)) {
                let frame = Frame::gray(face, width, height)?;
                let all = Rect::new(0.0, 0.0, width as f32, height as f32);
                self.sampler.sample(&frame, all, &self.spec, image);
            }
            let wanted = count * self.dimensions;
            let answered = self.session.run(self.spec.shape(count), &mut self.input, |outputs| {
                let values = outputs.first().map_or(&[][..], |output: &Output<'_>| output.values);
                if values.len() == wanted {
                    features.extend_from_slice(values);
                }
                values.len()
            })?;
            if answered != wanted {
                let reason =
                    format!("{count} faces went in, {answered} values came out, where {wanted} are needed");
                return Err(self.session.failed(reason).into());
            }
        }
        match features.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(self.session.failed(format!("it answered {value}, which is no feature")).into())
            }
            None => Ok(features),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use std::{fs, path::Path};

    use ferroflow_onnx::{GraphBuilder, Side};

    use super::*;
    use crate::model::resolve_model;

    const CARD: &str = "task = \"embedding\"\n[input]\nwidth = 4\nheight = 2\ncolor = \"rgb\"\nscale = 0.5\n";

    /// A network that answers with the pixels it gets, and its card.
    fn pixels(folder: &Path, batch: Side, card: &str, output: &[Side]) -> ModelFile {
        let mut graph = GraphBuilder::default();
        let sides = [3, 2, 4].map(Side::Fixed);
        graph.input("face", &[&[batch][..], &sides[..]].concat());
        graph.node("Flatten", "features", &["face"], vec![]);
        graph.output("features", output);
        let path = folder.join("pixels.onnx");
        fs::write(&path, graph.finish("pixels")).unwrap();
        fs::write(path.with_extension("toml"), card).unwrap();
        resolve_model(path.to_str().unwrap()).unwrap()
    }

    fn options() -> SessionOptions {
        SessionOptions { threads: 1, ..SessionOptions::default() }
    }

    #[test]
    fn each_face_has_its_features_in_any_batch() {
        for batch in [Side::Fixed(1), Side::Free("N")] {
            let folder = tempfile::tempdir().unwrap();
            let model = pixels(folder.path(), batch, CARD, &[batch, Side::Fixed(24)]);
            let mut embedder = FaceEmbedder::open(&model, &options(), 3).unwrap();
            assert_eq!(embedder.dimensions(), 24);
            // Faces of 2x1 are enlarged by two; each is of one brightness.
            let faces: Vec<u8> = (0..7).flat_map(|face| [face * 20; 2]).collect();
            let features = embedder.embed_gray(&faces, 2, 1).unwrap();
            assert_eq!(features.len(), 7 * 24);
            for (face, features) in features.chunks_exact(24).enumerate() {
                assert!(
                    features.iter().all(|value| (value - face as f32 * 10.0).abs() < 1e-3),
                    "{features:?}"
                );
            }
            assert!(embedder.embed_gray(&faces[..1], 2, 1).unwrap().is_empty());
            assert!(embedder.embed_gray(&faces, 0, 1).is_err());
        }
    }

    #[test]
    fn what_gives_no_features_is_refused_with_what_was_expected_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let free = Side::Free("N");
        let refuse = |card: &str| {
            let model = pixels(folder.path(), free, card, &[free, Side::Fixed(24)]);
            FaceEmbedder::open(&model, &options(), 3).err().unwrap().to_string()
        };
        let error = refuse(&CARD.replace("width = 4", "width = 5"));
        assert!(error.contains("promises one input of [N, 3, 2, 5], found `face` [-1, 3, 2, 4]"), "{error}");
        let other = CARD.replace("task = \"embedding\"", "task = \"detection\"");
        assert!(refuse(&other).contains("task = \"embedding\""), "{}", refuse(&other));
    }
}
