//! `fersource`: a camera that comes back. It decodes an address (`rtsp://`, `http://`, `file://`, `v4l2://` ...) in a
//! pipeline of its own and hands the frames on; when that pipeline fails, ends or freezes, it is taken down and built
//! again with back-off, while everything downstream goes on waiting. The first frame after each start is stamped with the
//! running time at which it arrives, those after it lie as far behind it as in the source, and time never goes back across
//! restarts. A file, or what comes by `http://`, is played at the pace of the clock, as a camera would film it. A change of
//! resolution reaches downstream as new caps.
//!
//! When downstream cannot follow, the oldest waiting frame is dropped and counted.
//!
//! ```text
//! gst-launch-1.0 fersource uri=rtsp://camera/stream ! ferfacedetect ! feroverlay ! videoconvert ! autovideosink sync=false
//! ```

use gst::{glib, prelude::*};

mod backoff;
mod event;
mod imp;
mod restamp;
mod supervisor;

pub use event::Event;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Source(ObjectSubclass<imp::Source>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "fersource", gst::Rank::NONE, Source::static_type())
}
