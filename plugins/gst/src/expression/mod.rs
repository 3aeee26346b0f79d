//! `ferexpression`: reads the expression of every face on a frame with an ONNX classifier, all faces in one batch.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect ! fertrack ! ferexpression reclassify-interval=3 ! fermeta ! fakesink
//! ```

use gst::{glib, prelude::*};

mod imp;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Expression(ObjectSubclass<imp::Expression>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "ferexpression", gst::Rank::NONE, Expression::static_type())
}
