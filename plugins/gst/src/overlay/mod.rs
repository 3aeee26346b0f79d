//! `feroverlay`: draws each face's box, identity, label and seven scores as bars, and the frames a second.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect ! fertrack ! ferexpression ! fersmooth ! feroverlay ! videoconvert ! autovideosink
//! ```

use gst::{glib, prelude::*};

mod canvas;
mod imp;
mod panel;
mod text;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Overlay(ObjectSubclass<imp::Overlay>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "feroverlay", gst::Rank::NONE, Overlay::static_type())
}
