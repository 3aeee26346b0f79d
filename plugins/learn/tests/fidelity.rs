//! Distances between sets of features: known values, and what must hold for any.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ferroflow_learn::fidelity::{
    Features, FidelityError, Similarity, frechet_distance, greatest_similarities, kernel_distance,
};
use proptest::prelude::*;

/// Rows of waves.
fn waves(rows: usize, dimensions: usize, phase: f64, scale: f64) -> Vec<f32> {
    let value = |at: usize| {
        let (i, j) = ((at / dimensions) as f64, (at % dimensions) as f64);
        scale * ((i * 0.7 + j * 1.3 + phase).sin() + (i * (j + 1.0) * 0.31 + phase).cos())
    };
    (0..rows * dimensions).map(|at| value(at) as f32).collect()
}

fn set(values: &[f32], dimensions: usize) -> Features<'_> {
    Features { values, dimensions }
}

/// The expected values are those of NumPy 2 and SciPy 1 in doubles, with `x` and `y` as [`waves`] makes them:
///
/// ```python
/// m, n, p = len(x), len(y), lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
/// c, e = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
/// frechet = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + e - 2 * scipy.linalg.sqrtm(c @ e)).real
/// kernel = ((p(x, x).sum() - np.trace(p(x, x))) / m / (m - 1) + (p(y, y).sum() - np.trace(p(y, y))) / n / (n - 1)
///           - 2 * p(x, y).mean())
/// ```
#[test]
fn the_distances_are_those_of_scipy() {
    let cases = [
        (4, (40, 0.0, 1.0), (40, 0.9, 1.2), 0.172_039_545_162_515_07, -0.416_084_518_415_594_6),
        (6, (25, 0.0, 1.0), (60, 2.0, 0.5), 2.169_996_618_127_258_5, 0.493_976_343_956_440_2),
        // Fewer rows than dimensions: the root of a singular product, which SciPy finds to about 1e-7.
        (8, (5, 0.0, 1.0), (7, 1.0, 1.0), 9.502_186_880_382_963, -0.685_411_547_083_329_7),
    ];
    for (dimensions, (m, p, s), (n, q, t), frechet, kernel) in cases {
        let (x, y) = (waves(m, dimensions, p, s), waves(n, dimensions, q, t));
        let (x, y) = (set(&x, dimensions), set(&y, dimensions));
        let found = (frechet_distance(x, y).unwrap(), kernel_distance(x, y).unwrap());
        assert!((found.0 - frechet).abs() < 1e-6, "{dimensions}: {} for {frechet}", found.0);
        assert!((found.1 - kernel).abs() < 1e-9, "{dimensions}: {} for {kernel}", found.1);
    }
}

/// Two points each, by hand. Means 1 and 4, variances 2 and 8: 9 + (sqrt 8 - sqrt 2)^2 = 11. Kernels (xy +
/// 1)^3: within 0, 2: 1; within 2, 6: 13^3 = 2197; across 1, 1, 5^3 and 13^3: mean 581.
#[test]
fn the_distances_are_those_by_hand() {
    let (x, y) = (set(&[0.0, 2.0], 1), set(&[2.0, 6.0], 1));
    assert!((frechet_distance(x, y).unwrap() - 11.0).abs() < 1e-12);
    assert!((kernel_distance(x, y).unwrap() - (1.0 + 2197.0 - 2.0 * 581.0)).abs() < 1e-9);
}

#[test]
fn the_nearest_is_found_and_the_row_itself_left_out() {
    let gallery = [1.0, 0.0, 0.0, 2.0, -3.0, 0.0, 0.0, 0.0];
    let rows = [2.0, 2.0, 0.0, 2.0, 0.0, 0.0];
    let of = |own: &[Option<usize>], similarity| {
        greatest_similarities(set(&rows, 2), set(&gallery, 2), own, similarity).unwrap()
    };
    let half = 0.5f32.sqrt();
    let found = of(&[None; 3], Similarity::Cosine);
    assert!(found.iter().zip([half, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    let found = of(&[Some(1), Some(1), None], Similarity::Cosine);
    assert!(found.iter().zip([half, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    // Two values correlate wholly, not, or the other way; the first row has one value only.
    let found = of(&[None, None, None], Similarity::Correlation);
    assert!(found.iter().zip([0.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
}

#[test]
fn more_rows_than_are_looked_for_together_find_their_own() {
    let values = waves(600, 5, 0.0, 1.0);
    let rows = set(&values, 5);
    let found = greatest_similarities(rows, rows, &[None; 600], Similarity::Cosine).unwrap();
    assert!(found.iter().all(|similarity| *similarity > 0.9999), "{found:?}");
    let own: Vec<_> = (0..600).map(Some).collect();
    let found = greatest_similarities(rows, rows, &own, Similarity::Cosine).unwrap();
    assert!(found.iter().any(|similarity| *similarity < 0.9999));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let (good, other) = ([1.0f32, 2.0, 3.0, 5.0], [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let strange = [1.0, 2.0, 3.0, f32::NAN];
    let cases = [
        (set(&good[..2], 2), FidelityError::TooFewRows { found: 1, needed: 2 }),
        (set(&[], 2), FidelityError::TooFewRows { found: 0, needed: 2 }),
        (set(&good, 3), FidelityError::Shape { values: 4, dimensions: 3 }),
        (set(&good, 0), FidelityError::Shape { values: 4, dimensions: 0 }),
        (set(&other, 3), FidelityError::Dimensions(3, 2)),
        (set(&strange, 2), FidelityError::NotFinite { row: 1, dimension: 1, value: "NaN".into() }),
    ];
    for (bad, error) in cases {
        assert_eq!(frechet_distance(bad, set(&good, 2)), Err(error.clone()));
        assert_eq!(kernel_distance(bad, set(&good, 2)), Err(error));
    }
    let nearest = |rows, gallery, own: &[Option<usize>]| {
        greatest_similarities(rows, gallery, own, Similarity::Cosine).unwrap_err()
    };
    let row = set(&good[..2], 2);
    assert_eq!(nearest(row, set(&[], 2), &[None]), FidelityError::TooFewRows { found: 0, needed: 1 });
    assert_eq!(nearest(row, row, &[Some(0)]), FidelityError::TooFewRows { found: 1, needed: 2 });
    assert_eq!(nearest(row, set(&good, 2), &[]), FidelityError::Entries { found: 0, expected: 1 });
}

#[test]
fn rows_are_selected_and_those_that_are_not_there_passed_over() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(set(&values, 2).select(&[2, 0, 3, usize::MAX]), [5.0, 6.0, 1.0, 2.0]);
}

/// Two sets of some dimensions, of 2 to 12 rows each.
fn sets() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
    (1usize..6, 2usize..12, 2usize..12).prop_flat_map(|(dimensions, m, n)| {
        let values = |rows: usize| proptest::collection::vec(-4f32..4.0, rows * dimensions);
        (Just(dimensions), values(m), values(n))
    })
}

proptest! {
    #[test]
    fn distances_are_symmetric_and_those_to_itself_nothing((dimensions, x, y) in sets()) {
        let (x, y) = (set(&x, dimensions), set(&y, dimensions));
        let (there, back) = (frechet_distance(x, y).unwrap(), frechet_distance(y, x).unwrap());
        prop_assert!(there >= 0.0 && (there - back).abs() < 1e-5, "{there} {back}");
        prop_assert!(frechet_distance(x, x).unwrap() < 1e-5);
        let (there, back) = (kernel_distance(x, y).unwrap(), kernel_distance(y, x).unwrap());
        prop_assert!((there - back).abs() <= 1e-9 * there.abs().max(1.0), "{there} {back}");
        // The estimate leaves out each row with itself in the sets, but not between them.
        prop_assert!(kernel_distance(x, x).unwrap() <= 1e-9);
    }

    #[test]
    fn a_shift_moves_the_frechet_distance_by_its_square((dimensions, x, _) in sets(), shift in -3f32..3.0) {
        let moved: Vec<f32> = x.iter().map(|value| value + shift).collect();
        let found = frechet_distance(set(&x, dimensions), set(&moved, dimensions)).unwrap();
        let expected = dimensions as f64 * f64::from(shift).powi(2);
        prop_assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
    }

    #[test]
    fn the_order_of_rows_does_not_matter((dimensions, x, y) in sets()) {
        let turned: Vec<f32> = x.chunks_exact(dimensions).rev().flatten().copied().collect();
        let (a, b, y) = (set(&x, dimensions), set(&turned, dimensions), set(&y, dimensions));
        prop_assert!((frechet_distance(a, y).unwrap() - frechet_distance(b, y).unwrap()).abs() < 1e-5);
        prop_assert!((kernel_distance(a, y).unwrap() - kernel_distance(b, y).unwrap()).abs() < 1e-6);
    }
}
