//! What the validation rows decide, as Keras' callbacks do: which epoch is the best (`ModelCheckpoint`), when
//! training ends (`EarlyStopping`), and how the learning rate falls (`ReduceLROnPlateau`). All of it follows
//! from the epochs so far.
//!
//! <https://keras.io/api/callbacks/>. Where Keras' `EarlyStopping` ends after `patience` 0 unless told otherwise, 0
//! here never ends early; and its `ReduceLROnPlateau` waits for 10 epochs, of which the 20 of a training
//! leave little.

use super::settings::{Settings, Watch};
use crate::classifier::EpochResult;

/// By how much an epoch must be better than the best before to count as a gain for the learning rate: Keras'
/// `min_delta`.
const LEAST_GAIN: f64 = 1e-4;

/// How bad an epoch is; none without validation rows.
fn badness(watch: Watch, epoch: &EpochResult) -> Option<f64> {
    match watch {
        Watch::Loss => epoch.validation_loss.map(f64::from),
        Watch::Accuracy => epoch.validation.map(|share| -f64::from(share)),
    }
}

/// The best epoch, the first of equals; none without validation rows.
pub(super) fn best(settings: &Settings, history: &[EpochResult]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, epoch) in history.iter().enumerate() {
        if let Some(value) = badness(settings.watch, epoch)
            && best.is_none_or(|(_, least)| value < least)
        {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}

/// Whether patience is at its end.
pub(super) fn is_over(settings: &Settings, history: &[EpochResult]) -> bool {
    let Some(best) = best(settings, history) else { return false };
    settings.patience > 0 && history.len() - 1 - best >= settings.patience
}

/// The learning rate of the next epoch.
pub(super) fn learning_rate(settings: &Settings, history: &[EpochResult]) -> f64 {
    let (mut rate, mut best, mut waited) = (settings.learning_rate, f64::INFINITY, 0);
    for value in history.iter().filter_map(|epoch| badness(settings.watch, epoch)) {
        if value < best - LEAST_GAIN {
            (best, waited) = (value, 0);
            continue;
        }
        waited += 1;
        if settings.plateau_patience > 0 && waited >= settings.plateau_patience {
            let lower = rate * f64::from(settings.plateau_factor);
            // A rate that is below the least already stays.
            rate = lower.max(settings.least_learning_rate).min(rate);
            waited = 0;
        }
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f32]) -> Vec<EpochResult> {
        let epoch = |loss: &f32| EpochResult {
            loss: 1.0,
            accuracy: 0.5,
            validation: Some(1.0 - loss),
            validation_loss: Some(*loss),
            learning_rate: 0.0,
        };
        losses.iter().map(epoch).collect()
    }

    #[test]
    fn training_ends_when_so_many_epochs_are_no_better() {
        let settings = Settings { patience: 2, ..Settings::default() };
        for (losses, over) in [
            (&[0.5][..], false),
            (&[0.5, 0.6], false),
            (&[0.5, 0.6, 0.5], true),
            (&[0.5, 0.6, 0.499_99], false),
            (&[0.5, 0.6, 0.4, 0.7, 0.6], true),
        ] {
            assert_eq!(is_over(&settings, &history(losses)), over, "{losses:?}");
        }
        let never = Settings { patience: 0, ..Settings::default() };
        assert!(!is_over(&never, &history(&[0.5; 30])));
        assert!(!is_over(&settings, &[]));
    }

    #[test]
    fn the_learning_rate_falls_on_a_plateau_and_not_below_the_least() {
        let settings = Settings {
            learning_rate: 1.0,
            plateau_patience: 2,
            plateau_factor: 0.5,
            least_learning_rate: 0.3,
            ..Settings::default()
        };
        let losses = [0.9, 0.8, 0.8, 0.799_95, 0.7, 0.7, 0.7, 0.7, 0.7];
        let rates: Vec<f64> =
            (0..=losses.len()).map(|epochs| learning_rate(&settings, &history(&losses[..epochs]))).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3]);
        let never = Settings { plateau_patience: 0, ..settings };
        assert_eq!(learning_rate(&never, &history(&[0.5; 30])), 1.0);
    }

    #[test]
    fn either_measure_says_which_epoch_is_best() {
        let mut epochs = history(&[0.5, 0.4, 0.4, 0.6]);
        epochs[3].validation = Some(0.99);
        let by = |watch| best(&Settings { watch, ..Settings::default() }, &epochs);
        assert_eq!((by(Watch::Loss), by(Watch::Accuracy)), (Some(1), Some(3)));
        epochs.iter_mut().for_each(|epoch| epoch.validation_loss = None);
        assert_eq!(best(&Settings::default(), &epochs), None);
    }
}
