//! The Frechet distance of two normal distributions.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::{Features, FidelityError, check};

/// Steps for each eigenvalue, of which a few are usual.
const STEPS: usize = 100;

/// The Frechet distance between the normal distributions that fit two sets of features (Dowson & Landau 1982;
/// Heusel et al. 2017, who take the features of an Inception network): `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1
/// C2)^(1/2))`, with means `m` and covariances `C` over n - 1. It is a squared distance, 0 or more.
///
/// The trace of the root is that of `(C1^(1/2) C2 C1^(1/2))^(1/2)`, which is symmetric, so that fewer rows
/// than dimensions do no harm. They do make the distance larger, though: compare only sets of equal size
/// (Chong & Forsyth 2020).
///
/// # Errors
/// Fewer than two rows, rows of different lengths, values that are not finite.
pub fn frechet_distance(a: Features<'_>, b: Features<'_>) -> Result<f64, FidelityError> {
    check(&a, &b, [2, 2])?;
    let ((mean_a, covariance_a), (mean_b, covariance_b)) = (moments(&a), moments(&b));
    let traces = covariance_a.trace() + covariance_b.trace();
    let eigen = eigen(covariance_a)?;
    let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(root));
    let root_a = &eigen.eigenvectors * roots * eigen.eigenvectors.transpose();
    let product = &root_a * covariance_b * &root_a;
    let product = (&product + product.transpose()) / 2.0;
    let trace_of_root: f64 = self::eigen(product)?.eigenvalues.iter().copied().map(root).sum();
    Ok(((mean_a - mean_b).norm_squared() + traces - 2.0 * trace_of_root).max(0.0))
}

/// The root of an eigenvalue that cannot be negative, but for rounding.
fn root(eigenvalue: f64) -> f64 {
    eigenvalue.max(0.0).sqrt()
}

/// Mean, and covariance over n - 1.
fn moments(features: &Features<'_>) -> (DVector<f64>, DMatrix<f64>) {
    let mut values = features.doubles();
    let mean = values.column_mean();
    values.column_iter_mut().for_each(|mut column| column -= &mean);
    let covariance = &values * values.transpose() / (features.rows() as f64 - 1.0);
    (mean, covariance)
}

fn eigen(matrix: DMatrix<f64>) -> Result<SymmetricEigen<f64, nalgebra::Dyn>, FidelityError> {
    let steps = STEPS * matrix.nrows();
    SymmetricEigen::try_new(matrix, f64::EPSILON, steps).ok_or(FidelityError::NoEigenvalues)
}
