//! A tracker of ByteTrack's kind (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
//! Detection Box", 2022): a Kalman filter predicts each track's box; strong detections are matched to tracks
//! by overlap first, then the weak ones to the tracks that are left, so that a face keeps its identity while
//! it is hard to see.

mod assign;
mod cut;
mod kalman;

pub use cut::SceneCutDetector;

use thiserror::Error;

use self::{assign::Assigner, kalman::Kalman};
use crate::geometry::Rect;

/// How to track. Confidences and overlaps are from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackerConfig {
    /// Detections at least this confident are strong: they are matched first and may begin a track.
    pub track_threshold: f32,
    /// Detections below this are ignored.
    pub low_threshold: f32,
    /// Least overlap of a strong detection with a track's predicted box.
    pub match_iou: f32,
    /// Least overlap of a weak detection with a track's predicted box.
    pub low_match_iou: f32,
    /// Frames for which a track out of sight is remembered.
    pub max_lost: u32,
    /// Detections, in frames that follow each other, that a new track needs before it gets an identity.
    pub min_hits: u32,
}

impl Default for TrackerConfig {
    /// ByteTrack's thresholds, with two exceptions. Strong begins at 0.5, the confidence that the paper takes
    /// a face at. And a face needs but one detection to count: a detector for faces errs less often than one
    /// for pedestrians, and the first frame of a file matters as much as the others.
    fn default() -> Self {
        Self {
            track_threshold: 0.5,
            low_threshold: 0.1,
            match_iou: 0.2,
            low_match_iou: 0.5,
            max_lost: 30,
            min_hits: 1,
        }
    }
}

/// A configuration that cannot be meant.
#[derive(Debug, Error, PartialEq)]
pub enum TrackerError {
    /// Not from 0 to 1.
    #[error("{name} is {value}, it must be from 0 to 1")]
    OutOfRange {
        /// Which setting.
        name: &'static str,
        /// What it is.
        value: f32,
    },
}

#[derive(Clone, Debug)]
struct Track {
    /// Given once the track has proved itself.
    id: Option<u64>,
    kalman: Kalman,
    /// The predicted box of this frame.
    predicted: Rect,
    hits: u32,
    /// Frames since the last detection; 0 when this frame has one.
    lost: u32,
}

/// Follows the faces of one source.
#[derive(Clone, Debug)]
pub struct Tracker {
    config: TrackerConfig,
    tracks: Vec<Track>,
    next_id: u64,
    ids: Vec<Option<u64>>,
    predictions: Vec<(u64, Rect)>,
    assigner: Assigner,
    /// Scratch: strong and weak detections without a track, and tracks without a detection.
    strong: Vec<usize>,
    weak: Vec<usize>,
    open: Vec<usize>,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new(config: TrackerConfig) -> Result<Self, TrackerError> {
        let shares = [
            ("track-threshold", config.track_threshold),
            ("low-threshold", config.low_threshold),
            ("iou-threshold", config.match_iou),
            ("low-iou-threshold", config.low_match_iou),
        ];
        if let Some((name, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(TrackerError::OutOfRange { name, value });
        }
        let (tracks, ids, predictions, assigner, strong, weak, open) = Default::default();
        Ok(Self { config, tracks, next_id: 1, ids, predictions, assigner, strong, weak, open })
    }

    /// Takes in the detections of the next frame, each a box and its confidence, and answers the identity of each:
    /// `None` for those that are weak and unmatched, not finite, or of a track that has yet to prove itself.
    pub fn update(&mut self, detections: &[(Rect, f32)]) -> &[Option<u64>] {
        self.predict();
        self.ids.clear();
        self.ids.resize(detections.len(), None);
        let usable =
            |(face, confidence): &(Rect, f32)| face.is_valid() && *confidence >= self.config.low_threshold;
        let is_strong = |index: &usize| detections[*index].1 >= self.config.track_threshold;
        let indices = || (0..detections.len()).filter(|&index| usable(&detections[index]));
        self.strong.clear();
        self.strong.extend(indices().filter(is_strong));
        self.weak.clear();
        self.weak.extend(indices().filter(|index| !is_strong(index)));
        self.open.clear();
        self.open.extend(0..self.tracks.len());

        let TrackerConfig { match_iou, low_match_iou, min_hits, max_lost, .. } = self.config;
        let (tracks, open, ids) = (&mut self.tracks, &mut self.open, &mut self.ids);
        let mut round = Round { tracks, open, ids, assigner: &mut self.assigner, next_id: &mut self.next_id };
        round.associate(&mut self.strong, detections, match_iou, min_hits);
        // A track that was already out of sight is not brought back by a weak detection: it may be anything.
        round.open.retain(|&index| round.tracks[index].lost <= 1);
        round.associate(&mut self.weak, detections, low_match_iou, min_hits);

        // A track without an identity must be seen in every frame, one with an identity may be out of sight
        // for a while.
        self.tracks.retain(|track| track.lost == 0 || (track.id.is_some() && track.lost <= max_lost));
        self.begin(detections);
        &self.ids
    }

    /// Forgets all tracks: what comes next is another picture. Identities are never given twice.
    pub fn reset(&mut self) {
        self.tracks.clear();
    }

    /// Moves on by a frame that was not searched, and answers the predicted boxes of the tracks in sight.
    pub fn skip(&mut self) -> &[(u64, Rect)] {
        self.predictions.clear();
        for track in &mut self.tracks {
            // What was out of sight when it was looked for last still is.
            track.lost = track.lost.saturating_add(u32::from(track.lost > 0));
            track.kalman.predict();
            track.predicted = track.kalman.face();
            if let Some(id) = track.id.filter(|_| track.lost == 0) {
                self.predictions.push((id, track.predicted));
            }
        }
        &self.predictions
    }

    /// Moves every track on by a frame, as if it were not found in it.
    fn predict(&mut self) {
        for track in &mut self.tracks {
            if track.lost > 0 {
                track.kalman.hold_size();
            }
            track.kalman.predict();
            track.predicted = track.kalman.face();
            track.lost = track.lost.saturating_add(1);
        }
    }

    /// Begins a track with each strong detection that is left.
    fn begin(&mut self, detections: &[(Rect, f32)]) {
        for &index in &self.strong {
            let (face, _) = detections[index];
            let mut track = Track { id: None, kalman: Kalman::new(&face), predicted: face, hits: 1, lost: 0 };
            if self.config.min_hits <= 1 {
                track.id = Some(self.next_id);
                self.next_id += 1;
            }
            self.ids[index] = track.id;
            self.tracks.push(track);
        }
    }
}

/// One frame's matching, in which tracks and detections find each other.
struct Round<'a> {
    tracks: &'a mut [Track],
    /// Tracks without a detection yet.
    open: &'a mut Vec<usize>,
    ids: &'a mut [Option<u64>],
    assigner: &'a mut Assigner,
    next_id: &'a mut u64,
}

impl Round<'_> {
    /// Pairs open tracks with waiting detections by overlap; what finds a partner leaves its list.
    fn associate(
        &mut self,
        waiting: &mut Vec<usize>,
        detections: &[(Rect, f32)],
        least_iou: f32,
        min_hits: u32,
    ) {
        let (tracks, open) = (&mut *self.tracks, &mut *self.open);
        let cost =
            |row: usize, column: usize| 1.0 - tracks[open[row]].predicted.iou(&detections[waiting[column]].0);
        // Without any overlap there is no match, whatever the configuration says.
        let limit = 1.0 - least_iou.max(1e-3);
        for &(row, column) in self.assigner.assign(open.len(), waiting.len(), limit, cost) {
            let (track, detection) = (&mut tracks[open[row]], waiting[column]);
            track.kalman.update(&detections[detection].0);
            track.hits = track.hits.saturating_add(1);
            track.lost = 0;
            if track.id.is_none() && track.hits >= min_hits {
                track.id = Some(*self.next_id);
                *self.next_id += 1;
            }
            self.ids[detection] = track.id;
            open[row] = usize::MAX;
            waiting[column] = usize::MAX;
        }
        open.retain(|&index| index != usize::MAX);
        waiting.retain(|&index| index != usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tracker() -> Tracker {
        Tracker::new(TrackerConfig::default()).unwrap()
    }

    fn remembers(tracker: &Tracker, id: u64) -> bool {
        tracker.tracks.iter().any(|track| track.id == Some(id))
    }

    fn at(x: f32, y: f32) -> Rect {
        Rect::new(x, y, 40.0, 50.0)
    }

    #[test]
    fn an_identity_survives_an_occlusion_and_not_a_long_absence() {
        let mut tracker = tracker();
        for frame in 0..10 {
            assert_eq!(tracker.update(&[(at(3.0 * frame as f32, 0.0), 0.9)]), [Some(1)]);
        }
        for _ in 0..10 {
            assert!(tracker.update(&[]).is_empty());
        }
        assert_eq!(tracker.update(&[(at(60.0, 0.0), 0.9)]), [Some(1)]);
        for _ in 0..40 {
            tracker.update(&[]);
        }
        assert!(!remembers(&tracker, 1));
        assert_eq!(tracker.update(&[(at(60.0, 0.0), 0.9)]), [Some(2)]);
    }

    #[test]
    fn a_weak_detection_keeps_a_track_alive_and_never_begins_one() {
        let mut tracker = tracker();
        assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.3)]), [None]);
        assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.9)]), [Some(1)]);
        for _ in 0..100 {
            assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.3), (at(300.0, 0.0), 0.3)]), [Some(1), None]);
        }
    }

    #[test]
    fn two_faces_that_pass_each_other_keep_their_identities() {
        let mut tracker = tracker();
        for frame in 0..60 {
            let (left, right) = (at(5.0 * frame as f32, 0.0), at(300.0 - 5.0 * frame as f32, 20.0));
            assert_eq!(tracker.update(&[(left, 0.9), (right, 0.8)]), [Some(1), Some(2)], "frame {frame}");
        }
    }

    #[test]
    fn a_shaking_camera_does_not_change_identities() {
        let mut tracker = tracker();
        for frame in 0..100 {
            let shake = if frame % 2 == 0 { 8.0 } else { -8.0 };
            let ids = tracker
                .update(&[(at(100.0 + shake, 100.0 - shake), 0.9), (at(200.0 + shake, 100.0 - shake), 0.9)]);
            assert_eq!(ids, [Some(1), Some(2)]);
        }
    }

    #[test]
    fn skipped_frames_are_filled_with_predictions_along_the_motion() {
        let mut tracker = tracker();
        for frame in 0..20 {
            tracker.update(&[(at(4.0 * frame as f32, 0.0), 0.9)]);
        }
        let (id, predicted) = tracker.skip()[0];
        assert_eq!(id, 1);
        assert!((predicted.x - 80.0).abs() < 2.0, "{predicted:?}");
    }

    #[test]
    fn a_track_out_of_sight_is_forgotten_after_as_many_frames_whether_searched_or_not() {
        let mut tracker = Tracker::new(TrackerConfig { max_lost: 10, ..TrackerConfig::default() }).unwrap();
        tracker.update(&[(at(0.0, 0.0), 0.9)]);
        let mut frames = 0;
        while remembers(&tracker, 1) {
            for _ in 0..4 {
                tracker.skip();
            }
            tracker.update(&[]);
            frames += 5;
        }
        // The first search finds it gone, the third is the eleventh frame after that.
        assert_eq!(frames, 15);
    }

    #[test]
    fn who_stays_keeps_an_identity_where_a_neighbour_leaves_and_another_comes() {
        let mut tracker = tracker();
        for _ in 0..5 {
            assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.9), (at(25.0, 0.0), 0.9)]), [Some(1), Some(2)]);
        }
        // The second has gone. Two pairs could be made of four that overlap, all wrong.
        assert_eq!(tracker.update(&[(at(-25.0, 0.0), 0.9), (at(0.0, 0.0), 0.9)]), [Some(3), Some(1)]);
    }

    #[test]
    fn what_begins_anew_has_other_identities() {
        let mut tracker = tracker();
        assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.9)]), [Some(1)]);
        tracker.reset();
        assert_eq!(tracker.update(&[(at(0.0, 0.0), 0.9)]), [Some(2)]);
    }

    #[test]
    fn a_new_track_must_prove_itself_when_asked_to() {
        let mut tracker = Tracker::new(TrackerConfig { min_hits: 3, ..TrackerConfig::default() }).unwrap();
        let face = [(at(0.0, 0.0), 0.9)];
        assert_eq!(tracker.update(&face), [None]);
        assert_eq!(tracker.update(&face), [None]);
        assert_eq!(tracker.update(&face), [Some(1)]);
    }

    proptest! {
        #[test]
        fn ids_are_unique_within_a_frame_and_as_many_in_any_order(
            frames in prop::collection::vec(
                prop::collection::vec((0f32..500.0, 0f32..500.0, 5f32..80.0, 0f32..1.0), 0..8), 1..12),
        ) {
            let (mut straight, mut reversed) = (tracker(), tracker());
            for frame in frames {
                let faces: Vec<_> = frame.iter().map(|&(x, y, side, c)| (Rect::new(x, y, side, side), c)).collect();
                let mut ids: Vec<_> = straight.update(&faces).iter().flatten().copied().collect();
                let backwards: Vec<_> = faces.iter().rev().copied().collect();
                prop_assert_eq!(reversed.update(&backwards).iter().flatten().count(), ids.len());
                let count = ids.len();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(ids.len(), count);
            }
        }

        #[test]
        fn nonsense_is_ignored(values in prop::collection::vec(prop::num::f32::ANY, 10)) {
            let mut tracker = tracker();
            for _ in 0..3 {
                let faces: Vec<_> = values.chunks_exact(5).map(|v| (Rect::new(v[0], v[1], v[2], v[3]), v[4])).collect();
                prop_assert_eq!(tracker.update(&faces).len(), faces.len());
            }
        }
    }
}
