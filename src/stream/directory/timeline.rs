//! Expression over time, in memory that does not grow with the video.

use ferroflow_vision::face::{EXPRESSIONS, FrameFaces};
use serde::{Deserialize, Serialize};

/// Bins at most; when a video needs more, two become one.
const MOST_BINS: usize = 512;

/// One stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Frames that fell into it.
    pub frames: u64,
    /// Classified faces that fell into it.
    pub faces: u64,
    /// Sum of their scores, in the order of [`EXPRESSIONS`].
    pub scores: [f64; 7],
}

impl Bin {
    fn join(&mut self, other: &Self) {
        self.frames += other.frames;
        self.faces += other.faces;
        for (own, other) in self.scores.iter_mut().zip(other.scores) {
            *own += other;
        }
    }

    /// Mean scores of the faces; zero without a face.
    pub fn means(&self) -> [f64; 7] {
        self.scores.map(|sum| sum / self.faces.max(1) as f64)
    }
}

/// The whole video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds that a bin spans.
    pub seconds: f64,
    /// Bins from the beginning of the video on; where its frames begin later, the first are empty.
    pub bins: Vec<Bin>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { seconds: 0.25, bins: Vec::new() }
    }
}

impl Timeline {
    /// Takes in a frame. Frames without a time fall into the last bin.
    pub fn add(&mut self, frame: &FrameFaces) {
        let index = loop {
            let last = self.bins.len().saturating_sub(1);
            let index = frame.pts.map_or(last, |pts| (pts as f64 / 1e9 / self.seconds) as usize);
            if index < MOST_BINS {
                break index;
            }
            self.halve();
        };
        if index >= self.bins.len() {
            self.bins.resize_with(index + 1, Bin::default);
        }
        let Some(bin) = self.bins.get_mut(index) else { return };
        bin.frames += 1;
        for emotion in frame.faces.iter().filter_map(|face| face.emotion.as_ref()) {
            bin.faces += 1;
            for (sum, label) in bin.scores.iter_mut().zip(EXPRESSIONS) {
                *sum += f64::from(emotion.score(label).unwrap_or(0.0));
            }
        }
    }

    /// Each pair of bins becomes one.
    fn halve(&mut self) {
        self.seconds *= 2.0;
        self.bins = self
            .bins
            .chunks(2)
            .map(|pair| {
                let mut joined = Bin::default();
                pair.iter().for_each(|bin| joined.join(bin));
                joined
            })
            .collect();
    }

    /// All of it in one.
    pub fn total(&self) -> Bin {
        let mut total = Bin::default();
        self.bins.iter().for_each(|bin| total.join(bin));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_video_fits_into_as_many_bins_as_a_minute() {
        let mut timeline = Timeline::default();
        let mut frame =
            FrameFaces { source: "x".into(), frame: 0, pts: Some(0), width: 1, height: 1, faces: Vec::new() };
        for second in 0..7 * 24 * 3600 {
            frame.pts = Some(second * 1_000_000_000);
            timeline.add(&frame);
        }
        assert!(timeline.bins.len() <= MOST_BINS);
        assert_eq!(timeline.total().frames, 7 * 24 * 3600);
    }

    #[test]
    fn a_nonsense_time_ends_in_some_bin() {
        let mut timeline = Timeline::default();
        let frame = FrameFaces {
            source: "x".into(),
            frame: 0,
            pts: Some(u64::MAX),
            width: 1,
            height: 1,
            faces: vec![],
        };
        timeline.add(&frame);
        assert_eq!(timeline.total().frames, 1);
    }
}
