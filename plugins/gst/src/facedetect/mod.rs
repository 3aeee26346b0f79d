//! `ferfacedetect`: finds the faces of raw video and adds them to each frame as regions of interest.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect detector=yunet ! fermeta ! fakesink
//! ```

use gst::{glib, prelude::*};

mod imp;

pub use imp::{Detector, DetectorBackend};

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct FaceDetect(ObjectSubclass<imp::FaceDetect>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    DetectorBackend::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    Detector::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "ferfacedetect", gst::Rank::NONE, FaceDetect::static_type())
}
