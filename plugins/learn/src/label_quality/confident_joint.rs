//! How many rows of each label truly are of each class (`cleanlab.count`).

use super::rounding::preserving_sum;
use super::{Judged, greatest};

/// Thresholds below this would count rows that are sure of nothing (cleanlab's `CONFIDENT_THRESHOLDS_LOWER_BOUND`).
const LEAST_THRESHOLD: f64 = 2e-6;

/// The threshold of a class that no row is labelled with: no probability reaches it.
const UNREACHABLE: f64 = 2.0;

/// Probabilities this little below their threshold still reach it.
const TOLERANCE: f64 = 1e-6;

/// For each class, the mean probability of the class among the rows labelled so.
pub fn confident_thresholds(judged: &Judged<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; judged.classes];
    for (label, row) in judged.rows() {
        sums[label] += f64::from(row[label]);
    }
    let mean = |(sum, count): (f64, usize)| if count == 0 { UNREACHABLE } else { sum / count as f64 };
    sums.into_iter().zip(judged.counts()).map(mean).map(|mean| mean.max(LEAST_THRESHOLD)).collect()
}

/// The class that each row confidently belongs to: of those whose threshold its probability reaches, the likeliest.
pub(super) fn confident_classes(judged: &Judged<'_>) -> Vec<Option<usize>> {
    let thresholds = confident_thresholds(judged);
    let class = |(_, row): (usize, &[f32])| {
        let mut reached =
            (0..row.len()).filter(|class| f64::from(row[*class]) >= thresholds[*class] - TOLERANCE);
        let first = reached.next()?;
        // With several, cleanlab takes the likeliest of all classes, reached or not.
        Some(if reached.next().is_some() { greatest(row) } else { first })
    };
    judged.rows().map(class).collect()
}

/// Counts by given label (rows) and true class (columns), classes x classes, row by row. `calibrated` makes
/// each row sum to the number of rows with that label; otherwise only confident rows are counted.
pub fn confident_joint(judged: &Judged<'_>, calibrated: bool) -> Vec<usize> {
    let classes = judged.classes;
    let mut joint = vec![0usize; classes * classes];
    for ((label, _), class) in judged.rows().zip(confident_classes(judged)) {
        if let Some(class) = class {
            joint[label * classes + class] += 1;
        }
    }
    for class in 0..classes {
        let diagonal = &mut joint[class * classes + class];
        *diagonal = (*diagonal).max(1);
    }
    if calibrated {
        let counts = judged.counts();
        let mut scaled: Vec<f64> = Vec::with_capacity(joint.len());
        for (row, count) in joint.chunks_exact(classes).zip(&counts) {
            let sum = row.iter().sum::<usize>() as f64;
            scaled.extend(row.iter().map(|value| *value as f64 / sum * *count as f64));
        }
        // cleanlab scales once more by the total, which is the number of rows but for rounding; the same is
        // done here, so that halves fall to the same side.
        let (total, rows) = (scaled.iter().sum::<f64>(), counts.iter().sum::<usize>() as f64);
        for value in &mut scaled {
            *value = *value / total * rows;
        }
        joint = scaled.chunks_exact(classes).flat_map(preserving_sum).map(|value| value as usize).collect();
    }
    joint
}
