//! Which class is taken for which.

/// Counts of faces by class and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Lines are classes, columns answers.
    counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Counts. Pairs in which either number is not below `classes` are left out.
    pub fn of(truths: &[usize], answers: &[usize], classes: usize) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (truth, answer) in truths.iter().zip(answers) {
            if let Some(count) = counts.get_mut(*truth).and_then(|line| line.get_mut(*answer)) {
                *count += 1;
            }
        }
        Self { counts }
    }

    /// For each class, how many of its faces were given each answer.
    pub fn counts(&self) -> &[Vec<usize>] {
        &self.counts
    }

    /// All faces.
    pub fn total(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// Faces with the right answer.
    pub fn right(&self) -> usize {
        (0..self.counts.len()).map(|class| self.counts[class][class]).sum()
    }

    /// Share of the faces with the right answer; 0 without any.
    pub fn accuracy(&self) -> f64 {
        share(self.right(), self.total()).unwrap_or(0.0)
    }

    /// For each class, the share of its faces with the right answer; none for a class without faces.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        let one = |(class, line): (usize, &Vec<usize>)| share(line[class], line.iter().sum());
        self.counts.iter().enumerate().map(one).collect()
    }

    /// For each class, the share of the faces with this answer that are of it; none for a class that is never
    /// the answer.
    pub fn precisions(&self) -> Vec<Option<f64>> {
        let classes = 0..self.counts.len();
        let given = |class: usize| self.counts.iter().map(|line| line[class]).sum();
        classes.map(|class| share(self.counts[class][class], given(class))).collect()
    }

    /// Mean recall of the classes that have faces; what scikit-learn calls balanced accuracy. 0 without any.
    pub fn balanced_accuracy(&self) -> f64 {
        mean(self.recalls().into_iter().flatten())
    }

    /// Mean F1 (harmonic mean of precision and recall) of the classes that have faces: the same ones for each
    /// classifier of a table, whatever it answers. 0 without any.
    pub fn macro_f1(&self) -> f64 {
        let score = |(recall, precision): (Option<f64>, Option<f64>)| match (recall?, precision) {
            (recall, Some(precision)) if recall + precision > 0.0 => {
                Some(2.0 * recall * precision / (recall + precision))
            }
            _ => Some(0.0),
        };
        mean(self.recalls().into_iter().zip(self.precisions()).filter_map(score))
    }
}

/// The interval that holds a share with 95 % confidence, where `part` of `all` were seen (Wilson 1927).
pub fn wilson(part: usize, all: usize) -> [f64; 2] {
    if all == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (all as f64, part as f64 / all as f64);
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

fn share(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are scikit-learn's 1.9 (`balanced_accuracy_score`, `f1_score(average="macro")`,
    /// `precision_score(average=None)`).
    #[test]
    fn measures_agree_with_scikit_learn() {
        let truths = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
        let answers = [0, 0, 1, 2, 1, 1, 0, 2, 2, 2];
        let confusion = Confusion::of(&truths, &answers, 3);
        assert_eq!(confusion.counts(), [[2, 1, 1], [1, 2, 0], [0, 0, 3]]);
        assert!((confusion.accuracy() - 0.7).abs() < 1e-12);
        assert!((confusion.balanced_accuracy() - 0.722_222_222_222_222_2).abs() < 1e-12);
        assert!((confusion.macro_f1() - 0.698_412_698_412_698_4).abs() < 1e-12);
        let precisions = confusion.precisions();
        assert_eq!(precisions, [Some(2.0 / 3.0), Some(2.0 / 3.0), Some(0.75)]);
    }

    #[test]
    fn a_class_without_faces_has_no_recall_and_does_not_count() {
        let confusion = Confusion::of(&[0, 0, 1], &[0, 0, 1], 3);
        assert_eq!(confusion.recalls(), [Some(1.0), Some(1.0), None]);
        assert!((confusion.balanced_accuracy() - 1.0).abs() < 1e-12);
        assert!((Confusion::of(&[], &[], 3).accuracy() - 0.0).abs() < 1e-12);
    }

    /// `statsmodels.stats.proportion.proportion_confint(7, 10, method="wilson")`.
    #[test]
    fn wilson_intervals_agree_with_statsmodels() {
        let [low, high] = wilson(7, 10);
        assert!((low - 0.396_778_147_461_6).abs() < 1e-9, "{low}");
        assert!((high - 0.892_208_732_285_8).abs() < 1e-9, "{high}");
    }
}
