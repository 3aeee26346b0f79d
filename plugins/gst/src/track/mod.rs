//! `fertrack`: gives every face an identity that lasts across frames, short occlusions and weak detections.
//!
//! Faces that stay weak and unmatched are taken off the frame (`keep-untracked=true` leaves them). On frames that the
//! detector skipped (`inference-interval`) the tracks' predicted boxes are put in. With each scene of an edited film, found by a
//! picture that does not correlate with the one before, identities begin anew (`cuts=false` passes them on).
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect threshold=0.3 ! fertrack ! fermeta ! fakesink
//! ```

use gst::{glib, prelude::*};

mod imp;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Track(ObjectSubclass<imp::Track>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "fertrack", gst::Rank::NONE, Track::static_type())
}
