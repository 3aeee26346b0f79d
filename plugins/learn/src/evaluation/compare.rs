//! Whether one classifier is better than another, or was lucky.

use statrs::distribution::{Binomial, DiscreteCDF};

/// McNemar's test (McNemar 1947) of two classifiers on the same faces, exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct McNemar {
    /// Faces that only the first has right.
    pub only_first: usize,
    /// Faces that only the second has right.
    pub only_second: usize,
    /// How likely a difference of this size or more would be, were both equally good.
    pub p: f64,
}

impl McNemar {
    /// Compares the answers of two classifiers.
    pub fn of(truths: &[usize], first: &[usize], second: &[usize]) -> Self {
        let (mut only_first, mut only_second) = (0, 0);
        for ((truth, first), second) in truths.iter().zip(first).zip(second) {
            only_first += usize::from(first == truth && second != truth);
            only_second += usize::from(first != truth && second == truth);
        }
        let (least, all) = (only_first.min(only_second) as u64, (only_first + only_second) as u64);
        // Each face on which they differ falls to either with the same chance.
        let p = Binomial::new(0.5, all).map_or(1.0, |chance| (2.0 * chance.cdf(least)).min(1.0));
        Self { only_first, only_second, p }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(only_first: usize, only_second: usize) -> f64 {
        let count = only_first + only_second;
        let truths = vec![0; count];
        let first: Vec<usize> = (0..count).map(|at| usize::from(at >= only_first)).collect();
        let second: Vec<usize> = first.iter().map(|answer| 1 - answer).collect();
        McNemar::of(&truths, &first, &second).p
    }

    /// `statsmodels.stats.contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue`.
    #[test]
    fn it_agrees_with_statsmodels() {
        assert!((test(3, 12) - 0.035_156_25).abs() < 1e-9, "{}", test(3, 12));
        assert!((test(5, 5) - 1.0).abs() < 1e-9);
        assert!((test(0, 0) - 1.0).abs() < 1e-9);
        assert!(test(400, 300) < 0.001);
    }
}
