//! Times of a source's frames on the outer clock.

use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Stamps the frames of one life of a source. The first frame, or the first after a pause, has the time at which it arrives, and the others
/// lie behind it as they do in the source. What comes faster than it plays runs ahead of the clock: then the first
/// frame of the next life comes where the last one ended.
#[derive(Debug)]
pub struct Restamper {
    /// The time of the first frame in the source, and on the outer clock.
    offset: Option<(gst::ClockTime, gst::ClockTime)>,
    /// Where the last frame of all lives ends.
    end: Arc<Mutex<gst::ClockTime>>,
}

impl Restamper {
    /// For one life; all of a source share `end`.
    pub const fn new(end: Arc<Mutex<gst::ClockTime>>) -> Self {
        Self { offset: None, end }
    }

    /// Nobody takes frames: the next that somebody takes is a first one.
    pub fn pause(&mut self) {
        self.offset = None;
    }

    /// The running time of a frame with this time in the source, which arrives `now`.
    pub fn stamp(
        &mut self,
        time: Option<gst::ClockTime>,
        now: gst::ClockTime,
        duration: Option<gst::ClockTime>,
    ) -> gst::ClockTime {
        let mut end = lock(&self.end);
        let now = now.max(*end);
        // A frame without a time begins nothing that others could lie behind.
        let stamp = time.map_or(now, |time| {
            let (first, base) = *self.offset.get_or_insert((time, now));
            base.saturating_add(time.saturating_sub(first))
        });
        *end = (*end).max(stamp.saturating_add(duration.unwrap_or_default()));
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(number: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(number)
    }

    #[test]
    fn frames_lie_behind_the_first_as_they_do_in_the_source() {
        let mut stamps = Restamper::new(Arc::default());
        let mut stamp = |time, now| stamps.stamp(Some(ms(time)), ms(now), Some(ms(40)));
        assert_eq!([stamp(9000, 100), stamp(9040, 300), stamp(9080, 310)], [ms(100), ms(140), ms(180)]);
    }

    #[test]
    fn after_a_pause_frames_come_when_they_arrive() {
        let mut stamps = Restamper::new(Arc::default());
        assert_eq!(stamps.stamp(Some(ms(0)), ms(10), None), ms(10));
        stamps.pause();
        assert_eq!(stamps.stamp(Some(ms(3000)), ms(50), None), ms(50));
    }

    #[test]
    fn the_next_life_begins_where_the_last_one_ended_though_that_ran_ahead() {
        let end = Arc::default();
        let mut first = Restamper::new(Arc::clone(&end));
        assert_eq!(first.stamp(Some(ms(0)), ms(0), Some(ms(40))), ms(0));
        assert_eq!(first.stamp(Some(ms(4000)), ms(1), Some(ms(40))), ms(4000));
        let mut second = Restamper::new(end);
        assert_eq!(second.stamp(Some(ms(0)), ms(2), Some(ms(40))), ms(4040));
    }

    #[test]
    fn a_first_frame_without_a_time_puts_no_other_ahead() {
        let mut stamps = Restamper::new(Arc::default());
        assert_eq!(stamps.stamp(None, ms(10), None), ms(10));
        assert_eq!(stamps.stamp(Some(ms(3_600_000)), ms(20), None), ms(20));
        assert_eq!(stamps.stamp(None, ms(30), None), ms(30));
    }
}
