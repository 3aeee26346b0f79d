//! Rounding that keeps sums (cleanlab's `round_preserving_sum`, after iteround).

/// Whole numbers with the (rounded) sum of `values`. Halves go to the even number; what is then missing or
/// too much is spread over those whose rounding took away or gave most.
pub(super) fn preserving_sum(values: &[f64]) -> Vec<f64> {
    let mut rounded: Vec<f64> = values.iter().map(|value| value.round_ties_even()).collect();
    let wanted = values.iter().sum::<f64>().round_ties_even();
    loop {
        let difference = wanted - rounded.iter().sum::<f64>();
        if difference.abs() < 0.5 || values.is_empty() {
            return rounded;
        }
        let step = difference.signum();
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| (values[*a] - rounded[*a]).total_cmp(&(values[*b] - rounded[*b])));
        if step > 0.0 {
            order.reverse();
        }
        for place in order.into_iter().take(difference.abs() as usize) {
            rounded[place] += step;
        }
    }
}
