//! How alike two gray pictures are, whatever their brightness and contrast.

/// Pearson's correlation of two pictures of one size, -1 to 1; 0 where either is constant or they differ in size.
pub fn correlation(a: &[u8], b: &[u8]) -> f32 {
    if a.len() != b.len() || a.is_empty() {
        return 0.0;
    }
    let (mut sum_a, mut sum_b, mut aa, mut bb, mut ab) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (u64::from(a), u64::from(b));
        sum_a += a;
        sum_b += b;
        aa += a * a;
        bb += b * b;
        ab += a * b;
    }
    let count = a.len() as f64;
    let (mean_a, mean_b) = (sum_a as f64 / count, sum_b as f64 / count);
    let variance = |squares: u64, mean: f64| squares as f64 / count - mean * mean;
    let spread = (variance(aa, mean_a) * variance(bb, mean_b)).sqrt();
    if spread > 1e-9 { ((ab as f64 / count - mean_a * mean_b) / spread) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_and_contrast_do_not_count_and_what_is_shown_does() {
        let picture = |shown: fn(f32) -> f32| -> Vec<u8> {
            (0..48 * 48).map(|at| 100.0 + 50.0 * shown((at % 48) as f32 / 7.0)).map(|p| p as u8).collect()
        };
        let (original, other) = (picture(f32::sin), picture(f32::cos));
        let brighter: Vec<u8> = original.iter().map(|&pixel| (f32::from(pixel) * 1.1 + 10.0) as u8).collect();
        let negative: Vec<u8> = original.iter().map(|&pixel| 255 - pixel).collect();
        assert!(correlation(&original, &brighter) > 0.98 && correlation(&original, &other) < 0.8);
        assert!(correlation(&original, &negative) < -0.98);
    }

    #[test]
    fn what_cannot_be_compared_does_not_correlate() {
        for (a, b) in [(&[7; 9][..], &[7; 9][..]), (&[], &[]), (&[1, 2], &[1, 2, 3])] {
            assert!(correlation(a, b).abs() < 1e-9, "{a:?} {b:?}");
        }
    }
}
