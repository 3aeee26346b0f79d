//! Whether probabilities are what they say.

/// Equal parts into which confidences are sorted (Guo et al. 2017).
const BINS: usize = 15;

/// Faces of about one confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// How many.
    pub faces: usize,
    /// Their mean greatest probability.
    pub confidence: f64,
    /// The share of them with the right answer.
    pub accuracy: f64,
}

/// How confidence and accuracy go together.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Bins of equal width in confidence, from 0 to 1; some may be empty.
    pub bins: Vec<Bin>,
    /// The mean distance of confidence and accuracy over all faces: the expected calibration error (Naeini et
    /// al. 2015).
    pub error: f64,
}

impl Calibration {
    /// Sorts faces by the probability of their answer. `probabilities` are faces x `classes`.
    pub fn of(truths: &[usize], probabilities: &[f32], classes: usize) -> Self {
        let answers = super::answers(probabilities, classes);
        let mut bins = vec![Bin::default(); BINS];
        for ((truth, answer), row) in
            truths.iter().zip(&answers).zip(probabilities.chunks_exact(classes.max(1)))
        {
            let confidence = row.get(*answer).map_or(0.0, |value| f64::from(*value)).clamp(0.0, 1.0);
            // As in Guo et al., a bin holds its upper bound, of which f32 may be a little above.
            let at = ((confidence * BINS as f64 - 1e-6).ceil() as usize).clamp(1, BINS) - 1;
            bins[at].faces += 1;
            bins[at].confidence += confidence;
            bins[at].accuracy += f64::from(u8::from(truth == answer));
        }
        let faces = bins.iter().map(|bin| bin.faces).sum::<usize>().max(1) as f64;
        let error = bins.iter().map(|bin| (bin.confidence - bin.accuracy).abs()).sum::<f64>() / faces;
        for bin in bins.iter_mut().filter(|bin| bin.faces > 0) {
            bin.confidence /= bin.faces as f64;
            bin.accuracy /= bin.faces as f64;
        }
        Self { bins, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_mean_distance_of_confidence_and_accuracy() {
        // Four faces at 0.8, of which three are right, and two at 1, both right.
        let probabilities = [0.8, 0.2, 0.8, 0.2, 0.8, 0.2, 0.2, 0.8, 1.0, 0.0, 0.0, 1.0];
        let calibration = Calibration::of(&[0, 0, 0, 0, 0, 1], &probabilities, 2);
        assert!((calibration.error - 4.0 * 0.05 / 6.0).abs() < 1e-6, "{}", calibration.error);
        let filled: Vec<_> = calibration.bins.iter().filter(|bin| bin.faces > 0).collect();
        assert_eq!(filled.len(), 2);
        assert_eq!(calibration.bins[11].faces, 4, "0.8 is the upper bound of the twelfth");
        assert!((filled[0].accuracy - 0.75).abs() < 1e-12 && (filled[0].confidence - 0.8).abs() < 1e-6);
    }
}
