//! The network on a device, asked.

use ferroflow_cuda::{CudaError, Gpu};

use super::{DeviceLearner, packed};
use crate::classifier::prediction::Predictor;
use crate::cuda::{failed, read};
use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::kernels::norm::Moments;

/// A learner whose mean weights, if there are any, stand in the place of those that learn.
pub struct DevicePredictor<'p, 'a, G: Gpu>(&'p mut DeviceLearner<'a, G>);

impl<'p, 'a, G: Gpu> DevicePredictor<'p, 'a, G> {
    pub fn new(learner: &'p mut DeviceLearner<'a, G>) -> Self {
        let mut predictor = Self(learner);
        predictor.exchange();
        predictor
    }

    fn exchange(&mut self) {
        let DeviceLearner { network, mean, training, .. } = &mut *self.0;
        if training.settings.averaging > 0.0 {
            network.exchange(mean);
        }
    }
}

impl<G: Gpu> Drop for DevicePredictor<'_, '_, G> {
    fn drop(&mut self) {
        self.exchange();
    }
}

impl<G: Gpu> Predictor for DevicePredictor<'_, '_, G> {
    fn predict(
        &mut self,
        grid: Grid,
        input: Vec<f32>,
        fixed: Option<&[Moments]>,
    ) -> Result<(Vec<f32>, Vec<Moments>), LearnError> {
        let DeviceLearner { gpu, network, prediction, training, .. } = &mut *self.0;
        let mut predict = || -> Result<_, CudaError> {
            prediction.set_maps(grid.faces);
            prediction.give(gpu, &packed(grid, &input))?;
            prediction.fix(gpu, fixed.unwrap_or_default())?;
            prediction.forward(gpu, network)?;
            let moments = match fixed {
                Some(fixed) => fixed.to_vec(),
                None => prediction.moments(gpu, network)?,
            };
            let logits = read(gpu, prediction.output()[0], grid.faces * training.examples.classes)?;
            Ok((logits, moments))
        };
        predict().map_err(failed)
    }
}
