//! What goes on inside a network: any ONNX file whose inner values are outputs, and whose card says how its
//! input is made.

use thiserror::Error;

use crate::{
    align::Crop,
    frame::Frame,
    inference::{ImageNetwork, InferenceError, SessionOptions},
    model::{ModelError, ModelFile},
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
    network: ImageNetwork,
    input_name: String,
    output_names: Vec<String>,
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
        let network = ImageNetwork::open(&model.path, spec, options, batch_size)?;
        let session = network.session();
        Ok(Self {
            input_name: session.inputs().iter().map(|input| input.name.clone()).collect(),
            output_names: session.outputs().iter().map(|output| output.name.clone()).collect(),
            network,
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
        for batch in self.network.batches(pictures.len()) {
            let input = self.network.draw(batch, |sampler, spec, at, image| {
                let picture = &pictures[at];
                sampler.sample_crop(picture, &Crop::whole(picture), spec, image);
            });
            take(&self.input_name, input);
            let names = &self.output_names;
            self.network.ask(|_, outputs| {
                names.iter().zip(outputs).for_each(|(name, output)| take(name, output.values));
                Ok(())
            })?;
        }
        Ok(())
    }
}
