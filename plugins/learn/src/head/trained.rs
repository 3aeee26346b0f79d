//! A trained head.

use ferroflow_onnx::Dense;
use nalgebra::{DMatrix, DMatrixView};

use super::blocks::Plan;
use super::examples::Examples;
use super::layer::Layer;
use super::weights::Weights;
use crate::error::LearnError;

/// Faces that are asked about at once.
const BATCH: usize = 1024;

/// What is a feature's deviation from its mean at least, as a part of the mean: one that differs less is taken for
/// constant, and is not divided. f32 has seven digits, and the rest is lost when the mean is folded into the first
/// layer.
const LEAST_DEVIATION: f64 = 1e-4;

/// How features are shifted, and what they are multiplied with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    mean: Vec<f32>,
    factor: Vec<f32>,
}

impl Scale {
    /// So that over these rows, mirrored ones included where there are such, each feature has the mean 0 and
    /// the deviation 1.
    pub fn of(examples: Examples<'_>, rows: &[usize]) -> Self {
        let ways: &[bool] = if examples.mirrored.is_some() { &[false, true] } else { &[false] };
        let all = || rows.iter().flat_map(|row| ways.iter().map(|way| examples.row(*row, *way)));
        let count = (rows.len() * ways.len()).max(1) as f64;
        let mut mean = vec![0.0f64; examples.dimensions];
        for row in all() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) / count);
        }
        let mut variance = vec![0.0f64; examples.dimensions];
        for row in all() {
            let parts = variance.iter_mut().zip(row.iter().zip(&mean));
            parts.for_each(|(sum, (value, mean))| *sum += (f64::from(*value) - mean).powi(2) / count);
        }
        let factor = mean.iter().zip(&variance).map(|(mean, variance)| {
            let deviation = variance.sqrt();
            let varies = deviation > LEAST_DEVIATION * mean.abs() && deviation > f64::from(f32::MIN_POSITIVE);
            if varies { (1.0 / deviation) as f32 } else { 1.0 }
        });
        let factor = factor.collect();
        Self { mean: mean.iter().map(|mean| *mean as f32).collect(), factor }
    }

    /// Makes the gradient of what [`Scale::apply`] gave that of what it was given.
    pub fn back(&self, gradient: &mut [f32]) {
        gradient.iter_mut().zip(&self.factor).for_each(|(value, factor)| *value *= factor);
    }

    /// Changes the features of one face.
    pub fn apply(&self, features: &mut [f32]) {
        let by = self.mean.iter().zip(&self.factor);
        features.iter_mut().zip(by).for_each(|(value, (mean, factor))| *value = (*value - mean) * factor);
    }
}

/// Dense layers that tell classes from features, and convolutions before them where these have learnt as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub(super) weights: Weights,
    /// How features go through the convolutions.
    pub(super) plan: Option<Plan>,
    pub(super) scale: Option<Scale>,
}

impl Head {
    /// Features of a face.
    pub fn dimensions(&self) -> usize {
        self.plan.as_ref().map_or_else(|| self.weights.layers[0].inputs(), Plan::inputs)
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.weights.layers[1].outputs()
    }

    /// Probabilities (faces x classes) of faces with these features (faces x dimensions).
    ///
    /// # Errors
    /// If there are not as many features as faces need.
    pub fn probabilities(&self, features: &[f32]) -> Result<Vec<f32>, LearnError> {
        let (dimensions, found) = (self.dimensions(), features.len());
        if !found.is_multiple_of(dimensions) {
            let expected = found.next_multiple_of(dimensions);
            return Err(LearnError::Length { what: "features", found, expected });
        }
        let mut all = Vec::with_capacity(found / dimensions * self.classes());
        for features in features.chunks(BATCH * dimensions) {
            let mut logits = self.logits(features);
            softmax(&mut logits);
            all.extend_from_slice(logits.as_slice());
        }
        Ok(all)
    }

    /// Changes numbers of faces as the first layer takes them.
    pub(super) fn scaled(&self, numbers: &mut [f32]) {
        if let Some(scale) = &self.scale {
            numbers.chunks_exact_mut(self.weights.layers[0].inputs()).for_each(|face| scale.apply(face));
        }
    }

    /// Of faces with these features.
    pub(super) fn logits(&self, features: &[f32]) -> DMatrix<f32> {
        let mut x = match &self.plan {
            Some(plan) => plan.answers(&self.weights.kernels, features),
            None => features.to_vec(),
        };
        self.scaled(&mut x);
        let [first, last] = &self.weights.layers;
        let mut hidden =
            first.forward(&DMatrixView::from_slice(&x, first.inputs(), x.len() / first.inputs()));
        // What is no number stays none.
        hidden.apply(|value| {
            if *value < 0.0 {
                *value = 0.0;
            }
        });
        last.forward(&hidden.as_view())
    }

    /// The `backbone`'s ONNX file with this head behind its only output, or behind the value `output` inside it, and
    /// this metadata. How features are standardised is folded into the first layer. Where convolutions have learnt as
    /// well, they take the place of the backbone's, and the head stands behind its only output.
    ///
    /// # Errors
    /// If the file cannot be extended; it is said what was expected and found.
    pub fn behind(
        &self,
        backbone: &[u8],
        output: Option<&str>,
        metadata: &[(&str, String)],
    ) -> Result<Vec<u8>, LearnError> {
        let failed = |error: ferroflow_onnx::OnnxError| LearnError::Export(error.to_string());
        let layers = self.folded();
        let dense = layers
            .each_ref()
            .map(|layer| Dense { weights: layer.weights.as_slice(), bias: layer.bias.as_slice() });
        let Some(plan) = &self.plan else {
            return ferroflow_onnx::with_layers(backbone, output, &dense, metadata).map_err(failed);
        };
        let learnt = plan.initialisers(&self.weights.kernels);
        let learnt: Vec<(&str, &[f32])> =
            learnt.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        let changed = ferroflow_onnx::with_weights(backbone, &learnt).map_err(failed)?;
        ferroflow_onnx::with_layers(&changed, None, &dense, metadata).map_err(failed)
    }

    /// Layers that take features as they are.
    fn folded(&self) -> [Layer; 2] {
        let mut layers = self.weights.layers.clone();
        let Some(Scale { mean, factor }) = &self.scale else { return layers };
        let [first, _] = &mut layers;
        let mut shift = vec![0.0f64; first.outputs()];
        for (feature, mut column) in first.weights.column_iter_mut().enumerate() {
            for (weight, shift) in column.iter_mut().zip(&mut shift) {
                *weight *= factor[feature];
                *shift += f64::from(*weight) * f64::from(mean[feature]);
            }
        }
        first.bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias = (f64::from(*bias) - shift) as f32);
        layers
    }
}

/// Probabilities instead of the logits of each column.
pub(super) fn softmax(logits: &mut DMatrix<f32>) {
    for mut column in logits.column_iter_mut() {
        let greatest = column.max();
        column.apply(|value| *value = (*value - greatest).exp());
        let sum = column.sum();
        column.apply(|value| *value /= sum);
    }
}
