//! What goes on inside a network: any ONNX file whose inner values are outputs, and whose card says how its input is made.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    align::Crop,
    frame::Frame,
    inference::{InferenceError, SessionOptions, SharedSession},
    model::{ModelError, ModelFile},
    sample::{ImageSpec, Sampler},
};

/// Why a network cannot be looked into.
#[derive(Debug, Error)]
pub enum ActivationsError {
    /// The model has no usable card.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network cannot be loaded or failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// Runs a network on faces that were cut out already and shows its input and all its outputs.
pub struct Activations {
    session: Arc<SharedSession>,
    spec: ImageSpec,
    /// Most faces in one run; 1 for models exported with a batch of one.
    batch_size: usize,
    input_name: String,
    output_names: Vec<String>,
    sampler: Sampler,
    input: Vec<f32>,
}

impl Activations {
    /// Opens a network. `batch_size` limits the faces of one run, and with it the memory that its outputs take.
    ///
    /// # Errors
    /// If the model has no card or cannot be loaded, or does not take what its card promises.
    pub fn open(
        model: &ModelFile,
        options: &SessionOptions,
        batch_size: usize,
    ) -> Result<Self, ActivationsError> {
        let spec = model.card()?.image_spec();
        let session = SharedSession::open(&model.path, &SessionOptions { batch_size, ..options.clone() })?;
        Ok(Self {
            spec,
            batch_size: session.images_at_once(spec.shape(1), batch_size)?,
            input_name: session.inputs().iter().map(|input| input.name.clone()).collect(),
            output_names: session.outputs().iter().map(|output| output.name.clone()).collect(),
            session,
            sampler: Sampler::default(),
            input: Vec::new(),
        })
    }

    /// Shows the network these faces, each whole, and hands the name and values of its input and of each output to
    /// `take`, run by run.
    ///
    /// # Errors
    /// If the network fails, or an output is no tensor of floats.
    pub fn observe(
        &mut self,
        pictures: &[Frame<'_>],
        mut take: impl FnMut(&str, &[f32]),
    ) -> Result<(), ActivationsError> {
        let length = self.spec.len();
        for pictures in pictures.chunks(self.batch_size) {
            self.input.resize(length * pictures.len(), 0.0);
            for (picture, image) in pictures.iter().zip(self.input.chunks_exact_mut(length)) {
                self.sampler.sample_crop(picture, &Crop::whole(picture), &self.spec, image);
            }
            take(&self.input_name, &self.input);
            let names = &self.output_names;
            self.session.run(self.spec.shape(pictures.len()), &mut self.input, |outputs| {
                names.iter().zip(outputs).for_each(|(name, output)| take(name, output.values));
            })?;
        }
        Ok(())
    }
}
