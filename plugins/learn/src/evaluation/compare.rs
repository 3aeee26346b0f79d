//! Whether one classifier is better than another, or was lucky.

use statrs::{
    distribution::{Binomial, DiscreteCDF},
    function::factorial::ln_binomial,
};

/// Probabilities of several tests, made greater so that one in twenty *families* of tests has a false one
/// below 0.05 (Holm 1979): the least times the number of tests, the next times one less, and none below one
/// before it.
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let (mut adjusted, mut least) = (vec![1.0; probabilities.len()], 0.0f64);
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((probabilities.len() - rank) as f64 * probabilities[at]).min(1.0);
        adjusted[at] = least;
    }
    adjusted
}

/// How likely it is that at least `count` of `drawn` values lie above all but `above` of `others`, were both
/// drawn alike: ranks are then in random order (Wilks 1942, sampling from an exhaustive permutation).
pub fn chance_above(count: usize, drawn: usize, above: usize, others: usize) -> f64 {
    let choose = |of: usize, some: usize| ln_binomial(of as u64, some as u64);
    let Some(below) = others.checked_sub(above + 1) else { return 1.0 };
    let exactly = |some: usize| {
        let ways = choose(above + some, some) + choose(below + drawn - some, drawn - some);
        (ways - choose(others + drawn, drawn)).exp()
    };
    (count..=drawn).map(exactly).sum::<f64>().min(1.0)
}

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

    /// `statsmodels.stats.multitest.multipletests([0.01, 0.04, 0.03, 0.005], method="holm")[1]`.
    #[test]
    fn several_tests_are_adjusted_as_statsmodels_does() {
        let close = |found: Vec<f64>, expected: &[f64]| {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12)
        };
        assert!(close(holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]));
        assert!(
            close(holm(&[0.6, 0.7]), &[1.0, 1.0]) && close(holm(&[0.04]), &[0.04]) && holm(&[]).is_empty()
        );
    }

    #[test]
    fn ranks_of_values_that_are_drawn_alike_are_in_random_order() {
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        // One above one other; both of two above one of two others: 2 of 6 orders have at least that, 1 of 6
        // both above both.
        assert!(close(chance_above(1, 1, 0, 1), 0.5) && close(chance_above(2, 2, 0, 2), 1.0 / 6.0));
        assert!(close(chance_above(2, 2, 1, 2), 0.5) && close(chance_above(0, 400, 4, 400), 1.0));
        // The limit is itself uncertain: nine in 400 are three times as likely as were it known (0.021).
        assert!((0.07..0.2).contains(&chance_above(9, 400, 4, 400)), "{}", chance_above(9, 400, 4, 400));
        assert!(close(chance_above(3, 4, 2, 2), 1.0));
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
