//! The nearest in a set of features, or of pictures.

use nalgebra::{DMatrix, DMatrixView};

use super::{Features, FidelityError, check};

/// Rows that are looked for together.
const BLOCK: usize = 256;

/// How alike two rows are, from -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of the angle between them. A row of zeros is like none: 0.
    Cosine,
    /// Pearson's correlation of their values. A row of one value is like none: 0.
    Correlation,
}

/// For each row the similarity to the row of `gallery` that is most like it.
///
/// `own` names, for each row, the row of `gallery` that is left out, if it is in there itself.
///
/// # Errors
/// No row in the gallery, or only the one that is left out; rows of different lengths; values that are not finite;
/// another number of entries in `own` than there are rows.
pub fn greatest_similarities(
    rows: Features<'_>,
    gallery: Features<'_>,
    own: &[Option<usize>],
    similarity: Similarity,
) -> Result<Vec<f32>, FidelityError> {
    let leaves_out = own.iter().flatten().any(|own| *own < gallery.rows());
    check(&rows, &gallery, [0, if leaves_out { 2 } else { 1 }])?;
    if own.len() != rows.rows() {
        return Err(FidelityError::Entries { found: own.len(), expected: rows.rows() });
    }
    let gallery = directions(gallery.columns(), similarity);
    let mut greatest = Vec::with_capacity(own.len());
    for (start, own) in (0..own.len()).step_by(BLOCK).zip(own.chunks(BLOCK)) {
        let block = directions(rows.columns().columns(start, own.len()), similarity);
        // A column for each of these rows.
        let products = gallery.tr_mul(&block);
        greatest.extend(products.column_iter().zip(own).map(|(products, own)| {
            let others = products.iter().enumerate().filter(|(at, _)| Some(*at) != *own);
            others.map(|(_, product)| *product).fold(-1.0, f32::max).min(1.0)
        }));
    }
    Ok(greatest)
}

/// The columns at length 1; those without any direction are zeros.
fn directions(columns: DMatrixView<'_, f32>, similarity: Similarity) -> DMatrix<f32> {
    let mut directions = columns.clone_owned();
    for mut column in directions.column_iter_mut() {
        if similarity == Similarity::Correlation {
            let mean = column.mean();
            column.add_scalar_mut(-mean);
        }
        let length = column.norm();
        if length > 0.0 && length.is_finite() {
            column /= length;
        } else {
            column.fill(0.0);
        }
    }
    directions
}
