//! The squared maximum mean discrepancy with a cubic kernel.

use nalgebra::DMatrix;

use super::{Features, FidelityError, check};

/// Rows whose kernels are taken together.
const BLOCK: usize = 256;

/// The kernel distance of Binkowski et al. 2018: the unbiased estimate of the squared maximum mean
/// discrepancy (Gretton et al. 2012, eq. 3) with the kernel `(x.y / d + 1)^3`, where `d` is the number of
/// dimensions. About 0 for two samples of one distribution, then also below it.
///
/// It is taken over all pairs of rows. Binkowski et al. average over random subsets of 1,000 rows to save time, which
/// estimates the same value less exactly.
///
/// # Errors
/// Fewer than two rows, rows of different lengths, values that are not finite.
pub fn kernel_distance(a: Features<'_>, b: Features<'_>) -> Result<f64, FidelityError> {
    check(&a, &b, [2, 2])?;
    let (a, b) = (a.doubles(), b.doubles());
    Ok(within(&a) + within(&b) - 2.0 * sum(&a, &b) / (a.ncols() as f64 * b.ncols() as f64))
}

/// The mean kernel of two different rows of one set.
fn within(x: &DMatrix<f64>) -> f64 {
    let dimensions = x.nrows() as f64;
    let own: f64 = x.column_iter().map(|row| kernel(row.norm_squared(), dimensions)).sum();
    let rows = x.ncols() as f64;
    (sum(x, x) - own) / (rows * (rows - 1.0))
}

/// The kernels of all pairs of rows, added up.
fn sum(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let dimensions = x.nrows() as f64;
    let block = |start: usize| {
        let rows = x.columns(start, BLOCK.min(x.ncols() - start));
        let products = rows.tr_mul(y);
        products.iter().map(|product| kernel(*product, dimensions)).sum::<f64>()
    };
    (0..x.ncols()).step_by(BLOCK).map(block).sum()
}

fn kernel(product: f64, dimensions: f64) -> f64 {
    (product / dimensions + 1.0).powi(3)
}
