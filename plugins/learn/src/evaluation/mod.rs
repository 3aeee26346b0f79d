//! How good a classifier's answers are.
//!
//! Everything here takes plain numbers: for each face its class, and the classifier's probabilities.

mod calibration;
mod compare;
mod confusion;
mod measures;
mod spread;

pub use calibration::{Bin, Calibration};
pub use compare::{McNemar, chance_above, holm};
pub use confusion::{Confusion, wilson};
pub use measures::Measures;
pub use spread::{Spread, mean_interval};

/// The class with the greatest probability for each face (the first of equals); `probabilities` are faces x
/// `classes`.
pub fn answers(probabilities: &[f32], classes: usize) -> Vec<usize> {
    let best = |row: &[f32]| {
        row.iter().enumerate().fold(0, |best, (at, value)| if *value > row[best] { at } else { best })
    };
    probabilities.chunks_exact(classes.max(1)).map(best).collect()
}
