//! Means of a few values, and how far they can be trusted.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of some values, and what holds the mean of all that could be drawn like them with 95 % confidence
/// (Student 1908); no interval for a single value.
pub fn mean_interval(values: &[f64]) -> (f64, Option<[f64; 2]>) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let interval = StudentsT::new(0.0, 1.0, count - 1.0).ok().map(|student| {
        let reach = student.inverse_cdf(0.975) * (squares / (count - 1.0) / count).sqrt();
        [mean - reach, mean + reach]
    });
    (mean, interval)
}

/// A value over several draws.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

impl Spread {
    /// Mean and deviation, over n - 1, of some values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.interval(0.95, 2, loc=0.61, scale=scipy.stats.sem([0.60, 0.61, 0.62]))`.
    #[test]
    fn the_interval_is_scipys() {
        let (mean, interval) = mean_interval(&[0.60, 0.61, 0.62]);
        assert!((mean - 0.61).abs() < 1e-12);
        let expected = [0.585_158_6, 0.634_841_4];
        let close =
            interval.is_some_and(|found| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(close, "{interval:?}");
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(mean_interval(&[0.5]), (0.5, None));
    }
}
