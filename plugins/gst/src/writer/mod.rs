//! `fermeta`: writes the faces of every frame as JSON lines, CSV or messages on the bus, and passes the frames on.
//!
//! Lines go to `location` (a file, which appears when it is complete: written beside as `.part` and renamed at the end
//! of the stream, which `gst-launch-1.0 -e` sends on Ctrl-C; devices and pipes are written directly), to the file
//! descriptor `fd`, or else to standard output. The part of a stream that did not end stays where it is. An address as
//! `source` is written without user and password.
//!
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! ferfacedetect ! fermeta location=faces.jsonl ! fakesink
//! ```

use gst::{glib, prelude::*, subclass::prelude::*};

mod imp;
mod outlet;

pub use imp::Format;

glib::wrapper! {
    /// The element. See the module's documentation.
    pub struct Meta(ObjectSubclass<imp::Meta>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

impl Meta {
    /// Says that the stream has failed: whatever end of it comes yet is none, and what has been written stays
    /// a part. Sources send an end behind their error.
    pub fn abandon(&self) {
        self.imp().abandon();
    }
}

/// Makes the element known to GStreamer.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Format::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "fermeta", gst::Rank::NONE, Meta::static_type())
}
