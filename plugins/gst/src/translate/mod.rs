//! `fertranslate`: shows faces with another expression, repainted in the frame by a generator of a CycleGAN.
//!
//! The generator is an ONNX file that takes gray faces, (N, 1, H, W) in -1..1 (`pixel / 127.5 - 1`), and answers faces of
//! the same shape and range. Elements behind this one see the new faces; those before it, the old.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect ! fertrack ! fertranslate model=neutral-to-happy.onnx ! ferexpression ! feroverlay ! videoconvert ! autovideosink
//! ```

use gst::{glib, prelude::*};

mod imp;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Translate(ObjectSubclass<imp::Translate>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "fertranslate", gst::Rank::NONE, Translate::static_type())
}
