//! A trained generator.

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};

use super::generator::Generator;
use super::layers::Pass;
use super::settings::{Normalisation, Settings};
use super::{to_gray, to_values};
use crate::error::LearnError;
use crate::faces::Faces;
use crate::kernels::norm::Moments;

/// Faces in a batch that is translated.
const BATCH: usize = 16;
/// Faces over which moments are taken.
const MEASURED: usize = 1024;

/// A generator that translates gray faces of its size, on the CPU wherever it was trained.
///
/// One that was trained with batch normalisation over batches of one face normalises each face for itself, as
/// it always did; over larger batches, with the mean moments of batches that it learnt from.
#[derive(Clone, Debug)]
pub struct Translator {
    pub(super) generator: Generator<Flex>,
    pub(super) normalisation: Normalisation,
    pub(super) moments: Option<Vec<Moments>>,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Translator {
    pub(super) fn new(generator: Generator<Flex>, settings: &Settings, side: (usize, usize)) -> Self {
        let normalisation =
            if settings.batch_size == 1 { Normalisation::Instance } else { settings.normalisation };
        Self { generator, normalisation, moments: None, height: side.0, width: side.1 }
    }

    /// Takes the moments that single faces are normalised with, if it needs any.
    pub(super) fn measure(&mut self, class: &Faces<'_>, batch_size: usize) -> Result<(), LearnError> {
        if self.normalisation == Normalisation::Instance {
            return Ok(());
        }
        let count = class.count().min(MEASURED.max(batch_size));
        let rows: Vec<usize> = (0..count).map(|at| at * class.count() / count).collect();
        let mut mean: Vec<Moments> = Vec::new();
        for (index, rows) in rows.chunks(batch_size).filter(|rows| rows.len() == batch_size).enumerate() {
            let faces: Vec<f32> =
                rows.iter().flat_map(|row| to_values(class.face(*row), class.width, false)).collect();
            let mut pass = Pass::plain(self.normalisation.into(), None);
            self.forward(&faces, &mut pass)?;
            if mean.is_empty() {
                mean = pass.used;
            } else {
                let part = 1.0 / (index + 1) as f32;
                mean.iter_mut().zip(&pass.used).for_each(|(mean, new)| mean.approach(new, part));
            }
        }
        self.moments = (!mean.is_empty()).then_some(mean);
        Ok(())
    }

    /// Translates faces (gray, faces x height x width).
    ///
    /// # Errors
    /// If they are of another size.
    pub fn translate(&self, faces: Faces<'_>) -> Result<Vec<u8>, LearnError> {
        if (faces.width, faces.height) != (self.width, self.height) {
            return Err(LearnError::OtherSize {
                found: (faces.width, faces.height),
                expected: (self.width, self.height),
            });
        }
        Ok(to_gray(&self.translate_values(&to_values(faces.pixels, faces.width, false))?))
    }

    /// Translates faces in -1..1.
    pub(super) fn translate_values(&self, faces: &[f32]) -> Result<Vec<f32>, LearnError> {
        let mut out = Vec::with_capacity(faces.len());
        for faces in faces.chunks(BATCH * self.height * self.width) {
            let mut pass = Pass::plain(self.normalisation.into(), self.moments.as_deref());
            out.extend(self.forward(faces, &mut pass)?);
        }
        Ok(out)
    }

    fn forward(&self, faces: &[f32], pass: &mut Pass<'_>) -> Result<Vec<f32>, LearnError> {
        let shape = [faces.len() / (self.height * self.width), 1, self.height, self.width];
        let faces = Tensor::<Flex, 4>::from_data(TensorData::new(faces.to_vec(), shape), &Default::default());
        let out = self.generator.forward(faces, pass).into_data().to_vec();
        out.map_err(|error| LearnError::Record(format!("{error:?}")))
    }
}
