//! The network on a device, asked.

use ferroflow_cuda::{CudaError, Gpu};

use super::{DevicePupil, packed};
use crate::classifier::looking::Looker;
use crate::error::LearnError;
use crate::kernels::grid::Grid;
use crate::kernels::norm::Moments;
use crate::native::{failed, read};

/// A pupil whose mean weights, if there are any, stand in the place of those that learn.
pub struct DeviceLooker<'p, 'a, G: Gpu>(&'p mut DevicePupil<'a, G>);

impl<'p, 'a, G: Gpu> DeviceLooker<'p, 'a, G> {
    pub fn new(pupil: &'p mut DevicePupil<'a, G>) -> Self {
        let mut looker = Self(pupil);
        looker.exchange();
        looker
    }

    fn exchange(&mut self) {
        let DevicePupil { network, mean, training, .. } = &mut *self.0;
        if training.settings.averaging > 0.0 {
            network.exchange(mean);
        }
    }
}

impl<G: Gpu> Drop for DeviceLooker<'_, '_, G> {
    fn drop(&mut self) {
        self.exchange();
    }
}

impl<G: Gpu> Looker for DeviceLooker<'_, '_, G> {
    fn look(
        &mut self,
        grid: Grid,
        input: Vec<f32>,
        fixed: Option<&[Moments]>,
    ) -> Result<(Vec<f32>, Vec<Moments>), LearnError> {
        let DevicePupil { gpu, network, looking, training, .. } = &mut *self.0;
        let mut look = || -> Result<_, CudaError> {
            looking.set_maps(grid.faces);
            looking.give(gpu, &packed(grid, &input))?;
            looking.fix(gpu, fixed.unwrap_or_default())?;
            looking.forward(gpu, network)?;
            let moments = match fixed {
                Some(fixed) => fixed.to_vec(),
                None => looking.moments(gpu, network)?,
            };
            let logits = read(gpu, looking.output()[0], grid.faces * training.examples.classes)?;
            Ok((logits, moments))
        };
        look().map_err(failed)
    }
}
