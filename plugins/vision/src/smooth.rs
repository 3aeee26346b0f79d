//! Steady expressions: the scores of a track are smoothed over time, and its label changes only when another
//! class has led clearly for a while, so that it does not flicker.

use std::collections::HashMap;

use thiserror::Error;

use crate::expression::argmax;

/// How to smooth.
#[derive(Clone, Debug, PartialEq)]
pub struct SmootherConfig {
    /// Seconds after which a lasting change has shown by 63 % (the time constant of the exponential average);
    /// 0 smooths nothing.
    pub time_constant: f32,
    /// By how much another class must lead the present label, 0 to 1.
    pub switch_margin: f32,
    /// For how many seconds it must lead before the label changes.
    pub switch_time: f32,
}

impl Default for SmootherConfig {
    /// Expressions that people notice last from half a second to four (Ekman, "Darwin, Deception, and Facial
    /// Expression", 2003): a third of a second keeps them and takes out the noise from frame to frame.
    fn default() -> Self {
        Self { time_constant: 0.3, switch_margin: 0.1, switch_time: 0.15 }
    }
}

/// A configuration that cannot be meant.
#[derive(Debug, Error, PartialEq)]
#[error("{name} is {value}: it must be {range}")]
pub struct SmootherError {
    name: &'static str,
    value: f32,
    range: &'static str,
}

#[derive(Clone, Debug)]
struct Track {
    scores: Vec<f32>,
    label_id: usize,
    /// Since when another class has led by the margin, in seconds.
    challenged_since: Option<f64>,
    /// Presentation time of the last update, in seconds.
    time: f64,
}

/// Smooths the tracks of one source.
#[derive(Clone, Debug)]
pub struct Smoother {
    config: SmootherConfig,
    tracks: HashMap<u64, Track>,
}

impl Smoother {
    /// A smoother that has seen nothing.
    pub fn new(config: SmootherConfig) -> Result<Self, SmootherError> {
        let seconds = [("time-constant", config.time_constant), ("switch-time", config.switch_time)];
        for (name, value) in seconds {
            if !(value.is_finite() && value >= 0.0) {
                return Err(SmootherError { name, value, range: "a number of seconds, 0 or more" });
            }
        }
        if !(0.0..=1.0).contains(&config.switch_margin) {
            return Err(SmootherError {
                name: "switch-margin",
                value: config.switch_margin,
                range: "from 0 to 1",
            });
        }
        Ok(Self { config, tracks: HashMap::new() })
    }

    /// Takes in the scores of a track at a time in seconds, and answers the smoothed scores and the label to show.
    /// Scores that are not finite leave the track as it was.
    pub fn update(&mut self, id: u64, scores: &[f32], time: f64) -> (&[f32], usize) {
        let config = &self.config;
        let begin =
            || Track { scores: scores.to_vec(), label_id: argmax(scores), challenged_since: None, time };
        let track = self.tracks.entry(id).or_insert_with(begin);
        // Another model's scores have nothing to do with those before, nor have scores with those that were
        // not finite.
        if track.scores.len() != scores.len() || track.scores.iter().any(|score| !score.is_finite()) {
            *track = begin();
        }
        if scores.iter().all(|score| score.is_finite()) {
            let elapsed = (time - track.time).max(0.0) as f32;
            track.time = time;
            let keep = if config.time_constant > 0.0 { (-elapsed / config.time_constant).exp() } else { 0.0 };
            for (smoothed, score) in track.scores.iter_mut().zip(scores) {
                *smoothed = keep * *smoothed + (1.0 - keep) * score;
            }
            let leader = argmax(&track.scores);
            let score = |id: usize| track.scores.get(id).copied().unwrap_or(0.0);
            if leader != track.label_id && score(leader) - score(track.label_id) >= config.switch_margin {
                let since = *track.challenged_since.get_or_insert(time);
                if time - since >= f64::from(config.switch_time) {
                    track.label_id = leader;
                    track.challenged_since = None;
                }
            } else {
                track.challenged_since = None;
            }
        }
        (&track.scores, track.label_id)
    }

    /// Forgets tracks that have not been seen for `seconds` at `now`.
    pub fn forget(&mut self, now: f64, seconds: f64) {
        self.tracks.retain(|_, track| now - track.time <= seconds);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn smoother() -> Smoother {
        Smoother::new(SmootherConfig::default()).unwrap()
    }

    #[test]
    fn a_lasting_change_arrives_and_a_single_frame_does_not() {
        let (happy, sad) = ([0.9, 0.1], [0.1, 0.9]);
        let mut smoother = smoother();
        for frame in 0..30 {
            smoother.update(1, &happy, f64::from(frame) / 30.0);
        }
        assert_eq!(smoother.update(1, &sad, 1.0).1, 0);
        let mut labels = Vec::new();
        for frame in 31..90 {
            labels.push(smoother.update(1, &sad, f64::from(frame) / 30.0).1);
        }
        assert_eq!(labels.first(), Some(&0));
        assert_eq!(labels.last(), Some(&1));
        assert_eq!(labels.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1);
    }

    #[test]
    fn the_frame_rate_does_not_change_what_is_shown() {
        let at_rate = |rate: i32| {
            let mut smoother = smoother();
            smoother.update(1, &[1.0, 0.0], 0.0);
            for frame in 1..=rate {
                smoother.update(1, &[0.0, 1.0], f64::from(frame) / f64::from(rate));
            }
            smoother.update(1, &[0.0, 1.0], 1.0).0[1]
        };
        assert!((at_rate(10) - at_rate(60)).abs() < 1e-4);
    }

    #[test]
    fn a_single_frame_after_a_gap_or_at_a_low_rate_changes_no_label() {
        let (happy, sad) = ([0.9, 0.1], [0.1, 0.9]);
        for (rate, gap) in [(30.0, 1.0), (4.0, 0.25)] {
            let mut smoother = smoother();
            for frame in 0..30 {
                smoother.update(1, &happy, f64::from(frame) / rate);
            }
            let time = 29.0 / rate + gap;
            assert_eq!(smoother.update(1, &sad, time).1, 0);
            assert_eq!(smoother.update(1, &happy, time + 1.0 / rate).1, 0);
            // Two in a row are a lead of some length.
            smoother.update(1, &sad, time + 2.0);
            assert_eq!(smoother.update(1, &sad, time + 2.25).1, 1);
        }
    }

    #[test]
    fn scores_that_are_not_finite_spoil_no_track() {
        let mut smoother = smoother();
        smoother.update(1, &[f32::NAN, 0.1], 0.0);
        assert_eq!(smoother.update(1, &[0.9, 0.1], 0.1), (&[0.9, 0.1][..], 0));
        smoother.update(1, &[f32::NAN, 0.1], 0.2);
        let (scores, label) = smoother.update(1, &[0.9, 0.1], 0.3);
        assert!((scores[0] - 0.9).abs() < 1e-6 && label == 0);
    }

    #[test]
    fn a_time_constant_that_is_not_finite_is_refused() {
        let config = SmootherConfig { time_constant: f32::NAN, ..SmootherConfig::default() };
        assert_eq!(
            Smoother::new(config).unwrap_err().to_string(),
            "time-constant is NaN: it must be a number of seconds, 0 or more"
        );
    }

    proptest! {
        #[test]
        fn smoothed_scores_stay_a_distribution(
            rows in prop::collection::vec((prop::collection::vec(0.01f32..1.0, 7), 0f64..0.5), 1..40),
        ) {
            let (mut smoother, mut time) = (smoother(), 0.0);
            for (raw, step) in rows {
                let sum: f32 = raw.iter().sum();
                let scores: Vec<_> = raw.iter().map(|score| score / sum).collect();
                time += step;
                let (smoothed, label) = smoother.update(1, &scores, time);
                prop_assert!((smoothed.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                prop_assert!(smoothed.iter().all(|score| (0.0..=1.0001).contains(score)));
                prop_assert!(label < 7);
            }
        }

        #[test]
        fn noise_below_the_margin_never_changes_the_label(noise in prop::collection::vec(-0.04f32..0.04, 1..100)) {
            let mut smoother = smoother();
            smoother.update(1, &[0.51, 0.49], 0.0);
            for (frame, noise) in noise.into_iter().enumerate() {
                let (_, label) = smoother.update(1, &[0.5 + noise, 0.5 - noise], frame as f64 / 30.0);
                prop_assert_eq!(label, 0);
            }
        }
    }
}
