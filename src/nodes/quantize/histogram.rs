//! How the values of a tensor are spread, in memory that does not grow with them.

use ferroflow_onnx::precision::Range;

/// Bins over both signs.
const BINS: usize = 8192;
/// The reach that a histogram begins with.
const LEAST_REACH: f64 = 1.0 / (1 << 20) as f64;

/// Counts of values in bins of one width. When a value lies beyond their reach, which is a power of two, each
/// two bins become one, so that the order of values does not matter.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    /// Bins reach from minus this up to this.
    reach: f64,
    least: f32,
    greatest: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        let (least, greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        Self { counts: vec![0; BINS], reach: LEAST_REACH, least, greatest }
    }
}

impl Histogram {
    /// Counts values. False where one of them is no finite number; then none is counted.
    pub fn add(&mut self, values: &[f32]) -> bool {
        if !values.iter().all(|value| value.is_finite()) {
            return false;
        }
        self.least = values.iter().copied().fold(self.least, f32::min);
        self.greatest = values.iter().copied().fold(self.greatest, f32::max);
        while !values.is_empty() && f64::from(self.least.abs().max(self.greatest.abs())) >= self.reach {
            self.widen();
        }
        let (middle, scale) = ((BINS / 2) as f64, (BINS / 2) as f64 / self.reach);
        for value in values {
            let bin = (f64::from(*value) * scale + middle) as usize;
            if let Some(count) = self.counts.get_mut(bin.min(BINS - 1)) {
                *count += 1;
            }
        }
        true
    }

    /// Doubles the reach.
    fn widen(&mut self) {
        let mut wider = vec![0; BINS];
        for (at, pair) in self.counts.chunks_exact(2).enumerate() {
            wider[BINS / 4 + at] = pair.iter().sum();
        }
        self.counts = wider;
        self.reach *= 2.0;
    }

    /// What so many percent of the values lie between; as many of the others are below as above, but for the
    /// width of a bin. With 100 the least and the greatest value. None where nothing was counted.
    pub fn range(&self, percentile: f64) -> Option<Range> {
        let total: u64 = self.counts.iter().sum();
        if total == 0 {
            return None;
        }
        let outside = (total as f64 * (100.0 - percentile) / 200.0) as u64;
        let edge = |bin: usize| ((bin as f64 / (BINS / 2) as f64 - 1.0) * self.reach) as f32;
        let first = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut passed = 0;
            counts
                .take_while(|count| {
                    passed += **count;
                    passed <= outside
                })
                .count()
        };
        let low = edge(first(&mut self.counts.iter()));
        let high = edge(BINS - first(&mut self.counts.iter().rev()));
        if outside == 0 {
            return Some(Range { least: self.least, greatest: self.greatest });
        }
        Some(Range { least: low.max(self.least), greatest: high.min(self.greatest) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn rare_values_at_both_ends_are_left_out() {
        let mut histogram = Histogram::default();
        let values: Vec<f32> = (0..=10_000).map(|value| value as f32 / 100.0 - 20.0).collect();
        assert!(histogram.add(&values));
        assert_eq!(histogram.range(100.0), Some(Range { least: -20.0, greatest: 80.0 }));
        let inner = histogram.range(90.0).unwrap();
        assert!((inner.least + 15.0).abs() < 0.1 && (inner.greatest - 75.0).abs() < 0.1, "{inner:?}");
    }

    #[test]
    fn order_does_not_matter() {
        let values: Vec<f32> = (0..999).map(|value| ((value * 7919) % 999) as f32 * 0.37 - 40.0).collect();
        let ranges = |values: &mut dyn Iterator<Item = &f32>| {
            let mut histogram = Histogram::default();
            values.for_each(|value| assert!(histogram.add(&[*value])));
            [99.0, 95.0].map(|percentile| histogram.range(percentile).unwrap())
        };
        assert_eq!(ranges(&mut values.iter()), ranges(&mut values.iter().rev()));
    }

    #[test]
    fn what_is_no_number_is_told_and_nothing_has_no_range() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.range(99.0), None);
        assert!(!histogram.add(&[1.0, f32::NAN]) && !histogram.add(&[f32::INFINITY]));
        assert_eq!(histogram.range(99.0), None);
        assert!(histogram.add(&[0.0, 0.0]) && histogram.add(&[]));
        assert_eq!(histogram.range(99.0), Some(Range { least: 0.0, greatest: 0.0 }));
    }
}
