//! One score for each row, from 0 (surely wrong) to 1 (surely right). Names and formulas are cleanlab's
//! (`cleanlab.rank`).

use super::Judged;

/// Keeps logarithms and quotients finite, as in cleanlab.
const LOWER_BOUND: f64 = 1e-6;

/// The probability of the given label.
pub fn self_confidence(judged: &Judged<'_>) -> Vec<f64> {
    judged.rows().map(|(label, row)| f64::from(row[label])).collect()
}

/// How far the given label's probability is above the best other, from 0 (far below) to 1 (far above).
pub fn normalized_margin(judged: &Judged<'_>) -> Vec<f64> {
    let margin = |(label, row): (usize, &[f32])| {
        let others = row.iter().enumerate().filter(|(class, _)| *class != label);
        let best = others.map(|(_, value)| f64::from(*value)).fold(0.0, f64::max);
        (f64::from(row[label]) - best + 1.0) / 2.0
    };
    judged.rows().map(margin).collect()
}

/// The entropy of the row, divided by the given label's probability and scaled so that 1 is best.
pub fn confidence_weighted_entropy(judged: &Judged<'_>) -> Vec<f64> {
    let scale = (judged.classes as f64).ln();
    let score = |(label, row): (usize, &[f32])| {
        let values = row.iter().map(|value| f64::from(*value)).filter(|value| *value > 0.0);
        let entropy = -values.map(|value| value * value.ln()).sum::<f64>() / scale;
        let score = entropy.max(0.0) / f64::from(row[label]).max(LOWER_BOUND);
        score.ln_1p() / score.max(LOWER_BOUND)
    };
    judged.rows().map(score).collect()
}
