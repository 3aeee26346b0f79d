//! A curve in a line of text.

/// Values that are shown at most: the latest ones.
const MOST: usize = 32;

/// The latest values as bars of eight heights, the least of them lowest; what is no number is left out.
///
/// A live curve for a terminal: `▁▃▅▆▇█`.
pub fn sparkline(values: impl IntoIterator<Item = f32>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values: Vec<f32> = values.into_iter().filter(|value| value.is_finite()).collect();
    let latest = &values[values.len().saturating_sub(MOST)..];
    let (least, most) =
        latest.iter().fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let bar = |value: &f32| {
        let height = (value - least) / (most - least).max(f32::MIN_POSITIVE) * 7.0;
        BARS[(height.round() as usize).min(7)]
    };
    latest.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn the_least_is_lowest_and_the_greatest_highest() {
        assert_eq!(sparkline([0.0, 1.0, 0.5, f32::NAN, 2.0]), "▁▅▃█");
        assert_eq!(sparkline([3.0, 3.0]), "▁▁");
        assert_eq!(sparkline([]), "");
        assert_eq!(sparkline((0..100).map(|at| at as f32)).chars().count(), 32);
    }
}
