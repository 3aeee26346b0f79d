//! How long a video is: what its container promises, what is in it, and what was decoded of that.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::bail;
use gst::prelude::*;

/// From the first to the last time that was seen, in nanoseconds from the beginning of the file. Times need
/// not begin at zero.
#[derive(Debug)]
pub struct Span {
    first: AtomicU64,
    last: AtomicU64,
    /// Buffers that are shown.
    buffers: AtomicU64,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: AtomicU64::new(u64::MAX), last: AtomicU64::new(0), buffers: AtomicU64::new(0) }
    }
}

impl Span {
    /// Takes in a buffer of this pad, as far as it is shown: a file that is trimmed by its container holds
    /// more. One without a time follows the one before.
    pub fn add(&self, buffer: &gst::BufferRef, pad: &gst::Pad) {
        let length = buffer.duration().or_else(|| frame_length(pad)).unwrap_or_default();
        let (first, last) = match buffer.pts() {
            Some(pts) => match shown(pad, pts, pts.saturating_add(length)) {
                Some((first, last)) => (first.nseconds(), last.nseconds()),
                None => return,
            },
            None => {
                let before = self.last.load(Ordering::SeqCst);
                (before, before.saturating_add(length.nseconds()))
            }
        };
        self.buffers.fetch_add(1, Ordering::SeqCst);
        self.first.fetch_min(first, Ordering::SeqCst);
        self.last.fetch_max(last, Ordering::SeqCst);
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

/// What of this time is shown by the segment that the pad is in, in times from the beginning of the file.
fn shown(
    pad: &gst::Pad,
    first: gst::ClockTime,
    last: gst::ClockTime,
) -> Option<(gst::ClockTime, gst::ClockTime)> {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.as_ref().map(|event| event.segment());
    let Some(segment) = segment.and_then(|segment| segment.downcast_ref::<gst::ClockTime>()) else {
        return Some((first, last));
    };
    let (first, last) = segment.clip(first, last)?;
    Some((segment.to_stream_time(first)?, segment.to_stream_time(last)?))
}

/// How long a frame is shown by the rate of its stream.
fn frame_length(pad: &gst::Pad) -> Option<gst::ClockTime> {
    let rate = pad.current_caps()?.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    // Of single pictures the rate is 0.
    let nanoseconds = gst::ClockTime::SECOND.nseconds() * u64::try_from(rate.denom()).ok()?;
    nanoseconds.checked_div(u64::try_from(rate.numer()).ok()?).map(gst::ClockTime::from_nseconds)
}

/// Whether much is missing: more than a second or a twentieth, since containers round.
fn is_much(whole: f64, part: f64) -> bool {
    whole - part > (whole * 0.05).max(1.0)
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
    /// Watches what demuxers that come into this bin find in the file.
    pub fn watch(self: &Arc<Self>, bin: &gst::Bin) {
        let length = Arc::downgrade(self);
        bin.connect_deep_element_added(move |_, _, element| {
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

    /// What is wrong with a file of which much less can be read than its container promises.
    pub fn cut_short(&self, promised: Option<gst::ClockTime>) -> Option<String> {
        let contained = [&self.contained, &self.decoded].into_iter().find(|span| !span.is_empty())?;
        // Some promise a length, others a last time.
        let first = contained.first.load(Ordering::SeqCst);
        let promised = promised.map_or(0, gst::ClockTime::nseconds);
        let promised = promised.checked_sub(first).unwrap_or(promised) as f64 / 1e9;
        let found = contained.seconds();
        is_much(promised, found).then(|| {
            format!("cut short or damaged: it promises {promised:.1} s, and {found:.1} s could be read")
        })
    }

    /// What is to be said of a video some of whose pictures could not be decoded; a few at its beginning may lack what
    /// they are made of.
    pub fn undecoded(&self, frames: u64) -> Option<String> {
        let pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        let held = pictures.iter().map(|picture| picture.buffers.load(Ordering::SeqCst)).min()?;
        let missing = held.saturating_sub(frames);
        (missing > (held / 100).max(2))
            .then(|| format!("damaged: {missing} of the {held} pictures in it could not be decoded"))
    }

    /// Refuses a video of which much is missing.
    pub fn check(&self, promised: Option<gst::ClockTime>, frames: u64) -> anyhow::Result<()> {
        if let Some(reason) = self.cut_short(promised) {
            bail!("{reason} ({frames} frames)");
        }
        let decoded = self.decoded.seconds();
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
