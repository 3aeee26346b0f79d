//! How long a video is: what its container promises, what is in it, and what was decoded of that.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::bail;
use gst::prelude::*;

/// From the first to the last presentation time that was seen, in nanoseconds. Times need not begin at zero.
#[derive(Debug)]
pub struct Span {
    first: AtomicU64,
    last: AtomicU64,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: AtomicU64::new(u64::MAX), last: AtomicU64::new(0) }
    }
}

impl Span {
    /// Takes in a buffer of this pad. One without a time follows the one before.
    pub fn add(&self, buffer: &gst::BufferRef, pad: &gst::Pad) {
        let length = || buffer.duration().or_else(|| frame_length(pad)).unwrap_or_default().nseconds();
        let first = match buffer.pts() {
            Some(pts) => pts.nseconds(),
            None => self.last.load(Ordering::SeqCst),
        };
        self.first.fetch_min(first, Ordering::SeqCst);
        self.last.fetch_max(first.saturating_add(length()), Ordering::SeqCst);
    }

    fn is_empty(&self) -> bool {
        self.first.load(Ordering::SeqCst) == u64::MAX
    }

    /// How long it is.
    pub fn seconds(&self) -> f64 {
        let (first, last) = (self.first.load(Ordering::SeqCst), self.last.load(Ordering::SeqCst));
        last.saturating_sub(first) as f64 / 1e9
    }
}

/// How long a frame is shown by the rate of its stream.
fn frame_length(pad: &gst::Pad) -> Option<gst::ClockTime> {
    let rate = pad.current_caps()?.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    // Of single pictures the rate is 0.
    let nanoseconds = gst::ClockTime::SECOND.nseconds() * u64::try_from(rate.denom()).ok()?;
    nanoseconds.checked_div(u64::try_from(rate.numer()).ok()?).map(gst::ClockTime::from_nseconds)
}

/// Whether the element takes containers apart.
pub fn is_demuxer(element: &gst::Element) -> bool {
    element.factory().is_some_and(|factory| factory.has_type(gst::ElementFactoryType::DEMUXER))
}

/// What was seen of a video on its way.
#[derive(Debug, Default)]
pub struct Length {
    /// Of the frames that were decoded.
    pub decoded: Span,
    /// Of all streams in the file: sound may be longer than the picture.
    contained: Span,
    /// Of each stream of pictures in the file.
    pictures: Mutex<Vec<Arc<Span>>>,
}

impl Length {
    /// Watches what demuxers find in the file.
    pub fn watch(self: &Arc<Self>, decoder: &gst::Bin) {
        let length = Arc::downgrade(self);
        decoder.connect_deep_element_added(move |_, _, element| {
            if !is_demuxer(element) {
                return;
            }
            let length = length.clone();
            element.connect_pad_added(move |_, pad| {
                if let Some(length) = length.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) {
                    length.watch_stream(pad);
                }
            });
        });
    }

    fn watch_stream(self: Arc<Self>, pad: &gst::Pad) {
        let picture = OnceLock::new();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |pad, info| {
            let picture = picture.get_or_init(|| self.stream_of_pictures(pad));
            let add = |buffer: &gst::BufferRef| {
                self.contained.add(buffer, pad);
                if let Some(picture) = picture {
                    picture.add(buffer, pad);
                }
            };
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => add(buffer),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(add),
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// What a stream of pictures is measured with; not those of covers, which are one picture.
    fn stream_of_pictures(&self, pad: &gst::Pad) -> Option<Arc<Span>> {
        let caps = pad.current_caps()?;
        caps.structure(0)?.name().starts_with("video/").then(|| {
            let span = Arc::<Span>::default();
            self.pictures.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&span));
            span
        })
    }

    /// Refuses a video of which much is missing: more than a second or a twentieth, since containers round.
    pub fn check(&self, promised: Option<gst::ClockTime>, frames: u64) -> anyhow::Result<()> {
        let is_much = |whole: f64, part: f64| whole - part > (whole * 0.05).max(1.0);
        let decoded = self.decoded.seconds();
        let contained = if self.contained.is_empty() { &self.decoded } else { &self.contained };
        // Some promise a length, others a last time.
        let first = contained.first.load(Ordering::SeqCst);
        let promised = promised.map_or(0, gst::ClockTime::nseconds);
        let promised = promised.checked_sub(first).unwrap_or(promised) as f64 / 1e9;
        let found = contained.seconds();
        if is_much(promised, found) {
            bail!(
                "cut short or damaged: it promises {promised:.1} s, and {found:.1} s ({frames} frames) could be read"
            );
        }
        let pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        let least = pictures.iter().map(|picture| picture.seconds()).reduce(f64::min).unwrap_or(0.0);
        if is_much(least, decoded) {
            bail!(
                "damaged: it holds {least:.1} s of pictures, and {decoded:.1} s ({frames} frames) could be decoded"
            );
        }
        Ok(())
    }
}
