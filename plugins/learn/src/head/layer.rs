//! A dense layer, with its gradients.
//!
//! In a matrix of faces each column is a face, so that one that lies row by row in a slice is taken as it lies.
//! Products are those of `matrixmultiply`, on one thread.

use nalgebra::{DMatrix, DMatrixView, DVector};

use crate::random::Random;

/// `y = weights * x + bias`; also what is as large: gradients, and their means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layer {
    /// Outputs x inputs, column by column: in memory inputs x outputs, row by row.
    pub weights: DMatrix<f32>,
    /// One for each output.
    pub bias: DVector<f32>,
}

impl Layer {
    /// Weights of the normal distribution with variance 2 / inputs (He et al. 2015), no bias.
    pub fn new(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        let deviation = (2.0 / inputs as f32).sqrt();
        let weights = DMatrix::from_fn(outputs, inputs, |_, _| deviation * random.normal());
        Self { weights, bias: DVector::zeros(outputs) }
    }

    /// All zero.
    pub fn zeros(inputs: usize, outputs: usize) -> Self {
        Self { weights: DMatrix::zeros(outputs, inputs), bias: DVector::zeros(outputs) }
    }

    pub fn inputs(&self) -> usize {
        self.weights.ncols()
    }

    pub fn outputs(&self) -> usize {
        self.weights.nrows()
    }

    /// What it makes of faces (outputs x faces).
    pub fn forward(&self, x: &DMatrixView<'_, f32>) -> DMatrix<f32> {
        let mut y = DMatrix::zeros(self.outputs(), x.ncols());
        y.column_iter_mut().for_each(|mut column| column.copy_from(&self.bias));
        y.gemm(1.0, &self.weights, x, 1.0);
        y
    }

    /// The gradients of its weights and bias, where `dy` is that of what it made of `x`.
    pub fn gradients(x: &DMatrixView<'_, f32>, dy: &DMatrix<f32>) -> Self {
        let mut weights = DMatrix::zeros(dy.nrows(), x.nrows());
        weights.gemm(1.0, dy, &x.transpose(), 0.0);
        Self { weights, bias: dy.column_sum() }
    }

    /// The gradient of what it was given.
    pub fn back(&self, dy: &DMatrix<f32>) -> DMatrix<f32> {
        let mut dx = DMatrix::zeros(self.inputs(), dy.ncols());
        dx.gemm(1.0, &self.weights.transpose(), dy, 0.0);
        dx
    }

    /// Its numbers, weights first.
    pub fn parts(&self) -> [&[f32]; 2] {
        [self.weights.as_slice(), self.bias.as_slice()]
    }

    /// As [`Layer::parts`].
    pub fn parts_mut(&mut self) -> [&mut [f32]; 2] {
        [self.weights.as_mut_slice(), self.bias.as_mut_slice()]
    }
}
