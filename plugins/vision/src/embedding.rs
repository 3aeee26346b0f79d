//! Features of faces, by which faces are compared: any ONNX network whose card says how its input is made.

use thiserror::Error;

use crate::{
    align::Crop,
    frame::{Frame, FrameError},
    inference::{ImageNetwork, InferenceError, Output, SessionOptions, listed},
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
    network: ImageNetwork,
    dimensions: usize,
}

impl FaceEmbedder {
    /// Opens a network whose card says that it gives features, and checks that it takes what its card
    /// promises and answers [N, ...] for N faces.
    ///
    /// `batch_size`, which stands in for the options' own, limits the faces of one run.
    pub fn open(
        model: &ModelFile,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, EmbeddingError> {
        let embedder = Self::backbone(model, options, batch_size)?;
        if model.card()?.task != Task::Embedding {
            return Err(embedder
                .network
                .session()
                .misfit("its card's task is another: a network that gives features has task = \"embedding\"")
                .into());
        }
        Ok(embedder)
    }

    /// As [`FaceEmbedder::open`], whatever the network is for: its answer, of any shape [N, ...], is a row of
    /// features for each of N faces.
    pub fn backbone(
        model: &ModelFile,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, EmbeddingError> {
        let spec = model.card()?.image_spec();
        if spec.is_empty() {
            let reason = "its card gives no size for its input: `input.width` and `input.height` are needed";
            let (path, reason) = (model.path.clone(), reason.to_owned());
            return Err(InferenceError::Shape { path, reason }.into());
        }
        let network = ImageNetwork::open(&model.path, spec, options, batch_size)?;
        let session = network.session();
        let [output] = session.outputs() else {
            let reason = format!("one output of [N, ...] is needed, found {}", listed(session.outputs()));
            return Err(session.misfit(reason).into());
        };
        // A side that is free shows only when the network runs.
        let side = |side: &i64| usize::try_from(*side).ok().filter(|side| *side > 0);
        let dimensions = output.shape.get(1..).and_then(|sides| sides.iter().map(side).product());
        let mut embedder = Self { network, dimensions: 0 };
        embedder.dimensions = match dimensions {
            Some(dimensions) => dimensions,
            None => embedder.probe()?,
        };
        Ok(embedder)
    }

    /// How many numbers the network answers for one face.
    fn probe(&mut self) -> Result<usize, EmbeddingError> {
        let mut dimensions = 0;
        let read = |_, outputs: &[Output<'_>]| {
            dimensions = outputs.first().map_or(0, |output| output.values.len());
            Ok(())
        };
        self.network.run(1, |_, _, _, image| image.fill(0.0), read)?;
        match dimensions {
            0 => Err(self.network.session().misfit("it answers nothing for a face").into()),
            dimensions => Ok(dimensions),
        }
    }

    /// Features of a face.
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Model and device, for logs.
    pub fn describe(&self) -> String {
        let session = self.network.session();
        format!("{} on {}", session.name(), session.device())
    }

    /// The features of gray faces of one size (faces x height x width, 0 black to 255 white): faces x dimensions, as
    /// [`FaceEmbedder::embed`] gives them. What is left over of a face is left out.
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
        let frames: Result<Vec<_>, _> =
            pixels.chunks_exact(size).map(|face| Frame::gray(face, width, height)).collect();
        self.embed(&frames?)
    }

    /// The features of faces that were cut out already (faces x dimensions). They are enlarged or reduced as
    /// they are to what the network takes, without a look at where eyes and mouth lie.
    pub fn embed(&mut self, pictures: &[Frame<'_>]) -> Result<Vec<f32>, EmbeddingError> {
        let mut features = Vec::with_capacity(pictures.len() * self.dimensions);
        let draw = |sampler: &mut Sampler, spec: &ImageSpec, at: usize, image: &mut [f32]| {
            // As a classifier behind the network will: what a head learns from is what it is shown.
            sampler.sample_crop(&pictures[at], &Crop::whole(&pictures[at]), spec, image);
        };
        let dimensions = self.dimensions;
        self.network.run(pictures.len(), draw, |count, outputs| {
            let wanted = count * dimensions;
            let (answered, values) =
                outputs.first().map_or((&[][..], &[][..]), |output| (output.shape, output.values));
            if answered.first() != Some(&(count as i64)) || values.len() != wanted {
                return Err(format!(
                    "{count} faces went in, {answered:?} came out, where [{count}, ...] of {wanted} numbers is needed"
                ));
            }
            features.extend_from_slice(values);
            Ok(())
        })?;
        match features.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(self.network.session().failed(format!("it answered {value}, which is no feature")).into())
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
        network(folder, "Flatten", batch, card, output)
    }

    /// A network of one node, and its card.
    fn network(folder: &Path, op: &str, batch: Side, card: &str, output: &[Side]) -> ModelFile {
        let mut graph = GraphBuilder::default();
        let sides = [3, 2, 4].map(Side::Fixed);
        graph.input("face", &[&[batch][..], &sides[..]].concat());
        graph.node(op, "features", &["face"], vec![]);
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

    #[test]
    fn any_network_is_a_backbone_and_its_answer_is_laid_flat() {
        let card = CARD.replace("task = \"embedding\"", "task = \"detection\"");
        let faces: Vec<u8> = (0..7).flat_map(|face| [face * 20; 2]).collect();
        for batch in [Side::Fixed(1), Side::Free("N")] {
            let folder = tempfile::tempdir().unwrap();
            // Of the output one side is told and the others are not.
            let shape = [batch, Side::Fixed(3), Side::Free("height"), Side::Free("width")];
            let model = network(folder.path(), "Relu", batch, &card, &shape);
            let mut backbone = FaceEmbedder::backbone(&model, &options(), 3).unwrap();
            assert_eq!(backbone.dimensions(), 24);
            let features = backbone.embed_gray(&faces, 2, 1).unwrap();
            assert_eq!(features.len(), 7 * 24);
            assert!((features[6 * 24] - 60.0).abs() < 1e-3, "{features:?}");
            assert!(FaceEmbedder::open(&model, &options(), 3).is_err());
        }
        let folder = tempfile::tempdir().unwrap();
        let (batch, sides) = (Side::Fixed(4), [3, 2, 4].map(Side::Fixed));
        let shape = [&[batch][..], &sides[..]].concat();
        let model = network(folder.path(), "Relu", batch, &card, &shape);
        let error = FaceEmbedder::backbone(&model, &options(), 3).err().unwrap().to_string();
        assert!(error.contains("it takes 4 faces at once"), "{error}");
    }
}
