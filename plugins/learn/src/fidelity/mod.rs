//! How near generated pictures come to real ones, measured on features: what a network sees in each picture.
//!
//! [`frechet_distance`] and [`kernel_distance`] compare two sets as a whole, [`greatest_similarities`] each
//! row of one with its nearest in the other. None of them says anything alone: compare each value with the
//! one that real pictures have among themselves, on sets of the same size.

mod frechet;
mod kernel;
mod measures;
mod nearest;

use nalgebra::{DMatrix, DMatrixView};

pub use frechet::frechet_distance;
pub use kernel::kernel_distance;
pub use measures::{Distances, Measures, Nearest, Neighbours, Shares, Structure, real_faces_above};
pub use nearest::{Similarity, greatest_similarities};

/// Features of pictures, one row each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features<'a> {
    /// Rows x dimensions, row by row.
    pub values: &'a [f32],
    /// Values of a row.
    pub dimensions: usize,
}

/// Why two sets cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FidelityError {
    /// Values that are no whole rows.
    #[error("{values} values are no rows of {dimensions}: give whole rows of one dimension at least")]
    Shape {
        /// How many values there are.
        values: usize,
        /// Values of a row.
        dimensions: usize,
    },
    /// Too few rows for a variance, or for a neighbour.
    #[error("a set has {found} rows, and {needed} are needed at least: give more pictures")]
    TooFewRows {
        /// How many there are.
        found: usize,
        /// How many would do.
        needed: usize,
    },
    /// Rows of different lengths.
    #[error("rows of {0} and of {1} values cannot be compared: make both with the same network")]
    Dimensions(usize, usize),
    /// A value that is no number.
    #[error(
        "row {row} has the value {value} in dimension {dimension} (each from 0): features are finite numbers"
    )]
    NotFinite {
        /// The row.
        row: usize,
        /// The place in it.
        dimension: usize,
        /// The value.
        value: String,
    },
    /// One entry for each row is needed.
    #[error("{found} entries where {expected} are needed: give one for each row")]
    Entries {
        /// How many there are.
        found: usize,
        /// How many would do.
        expected: usize,
    },
    /// Eigenvalues were not found: the values span too wide a range.
    #[error("the eigenvalues of the covariance do not converge: are the features of one scale?")]
    NoEigenvalues,
}

impl<'a> Features<'a> {
    /// How many rows there are; what is left over of a row does not count.
    pub const fn rows(&self) -> usize {
        match self.values.len().checked_div(self.dimensions) {
            Some(rows) => rows,
            None => 0,
        }
    }

    /// The rows at these places, one behind the other; places beyond the last are passed over.
    pub fn select(&self, rows: &[usize]) -> Vec<f32> {
        let row = |row: &usize| {
            let start = row.checked_mul(self.dimensions)?;
            self.values.get(start..start.checked_add(self.dimensions)?)
        };
        rows.iter().filter_map(row).flatten().copied().collect()
    }

    fn check(&self, needed: usize) -> Result<(), FidelityError> {
        let Self { values, dimensions } = *self;
        if dimensions == 0 || values.len() % dimensions != 0 {
            return Err(FidelityError::Shape { values: values.len(), dimensions });
        }
        if self.rows() < needed {
            return Err(FidelityError::TooFewRows { found: self.rows(), needed });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(FidelityError::NotFinite {
                row: at / dimensions,
                dimension: at % dimensions,
                value: values[at].to_string(),
            }),
            None => Ok(()),
        }
    }

    /// As a matrix with a column for each row, which is how it lies in memory.
    fn columns(&self) -> DMatrixView<'a, f32> {
        DMatrixView::from_slice(self.values, self.dimensions, self.rows())
    }

    /// The same in doubles.
    fn doubles(&self) -> DMatrix<f64> {
        self.columns().map(f64::from)
    }
}

/// Refuses sets that cannot be compared, or that have fewer than `needed` rows.
fn check(a: &Features<'_>, b: &Features<'_>, needed: [usize; 2]) -> Result<(), FidelityError> {
    a.check(needed[0])?;
    b.check(needed[1])?;
    if a.dimensions != b.dimensions {
        return Err(FidelityError::Dimensions(a.dimensions, b.dimensions));
    }
    Ok(())
}
