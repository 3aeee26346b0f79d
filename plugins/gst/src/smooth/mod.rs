//! `fersmooth`: steadies the scores of each track over time and holds on to its label until another leads clearly.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect ! fertrack ! ferexpression ! fersmooth ! fermeta ! fakesink
//! ```

use gst::{glib, prelude::*};

mod imp;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Smooth(ObjectSubclass<imp::Smooth>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "fersmooth", gst::Rank::NONE, Smooth::static_type())
}
