//! Which labels are wrong (`cleanlab.filter.find_label_issues`).

use serde::{Deserialize, Serialize};

use super::confident_joint::{confident_classes, confident_joint};
use super::rounding::preserving_sum;
use super::{Judged, greatest};

/// How labels are chosen; the names are cleanlab's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterBy {
    /// For each pair of a given and a true class, as many as the joint counts, by the greatest margin between
    /// the two.
    PruneByNoiseRate,
    /// For each given class, as many as the joint counts as wrong, by the least probability of the label.
    PruneByClass,
    /// Those that both of these choose.
    Both,
    /// Those that the confident joint counts off its diagonal.
    ConfidentLearning,
    /// Those whose likeliest class is another.
    PredictedNeqGiven,
}

/// A class keeps at least so many rows (cleanlab's default of `min_examples_per_class`).
const LEAST_ROWS: usize = 1;

/// For each row, whether its label is an issue.
pub fn find_label_issues(judged: &Judged<'_>, filter_by: FilterBy) -> Vec<bool> {
    let mut issues = match filter_by {
        FilterBy::PruneByNoiseRate => prune_by_noise_rate(judged, &prune_counts(judged)),
        FilterBy::PruneByClass => prune_by_class(judged, &prune_counts(judged)),
        FilterBy::Both => {
            let counts = prune_counts(judged);
            let by_class = prune_by_class(judged, &counts);
            prune_by_noise_rate(judged, &counts).into_iter().zip(by_class).map(|(a, b)| a && b).collect()
        }
        FilterBy::ConfidentLearning => {
            let classes = confident_classes(judged);
            judged
                .rows()
                .zip(classes)
                .map(|((label, _), class)| class.is_some_and(|class| class != label))
                .collect()
        }
        FilterBy::PredictedNeqGiven => judged.rows().map(|(label, row)| greatest(row) != label).collect(),
    };
    // No label is an issue that is as likely as any other class, but for rounding.
    for ((label, row), issue) in judged.rows().zip(&mut issues) {
        *issue = *issue && !is_as_likely_as_any(row, label);
    }
    issues
}

/// Rows to prune by (true class, given class): cleanlab's `prune_count_matrix`, classes x classes. The
/// diagonal holds what stays.
fn prune_counts(judged: &Judged<'_>) -> Vec<usize> {
    let classes = judged.classes;
    let joint = confident_joint(judged, true);
    let mut matrix = vec![0.0; classes * classes];
    for given in 0..classes {
        for truth in 0..classes {
            matrix[truth * classes + given] = joint[given * classes + truth] as f64;
        }
    }
    for given in 0..classes {
        let diagonal = matrix[given * classes + given];
        let raised = diagonal.max(LEAST_ROWS as f64);
        let nonzero = (0..classes).filter(|truth| matrix[truth * classes + given] != 0.0).count();
        // What the diagonal was raised by is taken from the others in equal parts.
        let part = (raised - diagonal) / (nonzero as f64 - 1.0).max(1.0);
        for truth in 0..classes {
            let value = &mut matrix[truth * classes + given];
            *value = (*value - part).max(0.0).trunc();
        }
        matrix[given * classes + given] = raised;
    }
    matrix.chunks_exact(classes).flat_map(preserving_sum).map(|value| value as usize).collect()
}

fn prune_by_class(judged: &Judged<'_>, counts: &[usize]) -> Vec<bool> {
    let classes = judged.classes;
    let mut issues = vec![false; judged.labels.len()];
    for given in 0..classes {
        let mut rows = labelled(judged, given);
        if rows.len() > LEAST_ROWS {
            let wrong = rows.len().saturating_sub(counts[given * classes + given]);
            rows.sort_by(|a, b| judged.row(*a)[given].total_cmp(&judged.row(*b)[given]));
            rows.iter().take(wrong).for_each(|row| issues[*row] = true);
        }
    }
    issues
}

fn prune_by_noise_rate(judged: &Judged<'_>, counts: &[usize]) -> Vec<bool> {
    let classes = judged.classes;
    let mut issues = vec![false; judged.labels.len()];
    for given in 0..classes {
        let mut rows = labelled(judged, given);
        if rows.len() <= LEAST_ROWS {
            continue;
        }
        for truth in (0..classes).filter(|truth| *truth != given) {
            let margin = |row: usize| f64::from(judged.row(row)[truth]) - f64::from(judged.row(row)[given]);
            rows.sort_by(|a, b| margin(*b).total_cmp(&margin(*a)).then(a.cmp(b)));
            rows.iter().take(counts[truth * classes + given]).for_each(|row| issues[*row] = true);
        }
    }
    issues
}

fn labelled(judged: &Judged<'_>, given: usize) -> Vec<usize> {
    judged.rows().enumerate().filter(|(_, (label, _))| *label == given).map(|(row, _)| row).collect()
}

/// How much less likely than another a label may be without being an issue (cleanlab's `FLOATING_POINT_COMPARISON`).
const TOLERANCE: f64 = 1e-6;

fn is_as_likely_as_any(row: &[f32], label: usize) -> bool {
    let own = f64::from(row[label]) + TOLERANCE;
    row.iter().enumerate().all(|(class, value)| class == label || f64::from(*value) <= own)
}
