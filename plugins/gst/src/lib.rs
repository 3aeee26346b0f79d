//! GStreamer elements that detect faces, read and change their expression, track, smooth, draw and write them.
//!
//! | element | what it does |
//! |---|---|
//! | [`ferfacedetect`](facedetect) | finds faces: YuNet, SCRFD, MTCNN, SSD, Haar |
//! | [`fertrack`](track) | gives faces an identity across frames |
//! | [`ferexpression`](expression) | reads expressions with an ONNX classifier |
//! | [`fersmooth`](smooth) | steadies the scores and the label of a track |
//! | [`fertranslate`](translate) | shows faces with another expression, by a CycleGAN's generator |
//! | [`feroverlay`](overlay) | draws what is known of each face |
//! | [`fermeta`](writer) | writes what is known as JSON lines, CSV or bus messages |
//! | [`fersource`](source) | a camera that comes back: RTSP or any address, restarted when it fails or freezes |
//!
//! All take the raw formats of [`frame::FORMATS`] as they are and pass faces on as [`meta`].

#![allow(
    missing_docs,
    reason = "the blurb documents a property; the macro that makes methods of properties knows no other"
)]

pub mod address;
pub mod expression;
pub mod facedetect;
pub mod frame;
mod lock;
pub mod message;
pub mod meta;
pub mod models;
pub mod overlay;
mod session;
pub mod smooth;
pub mod source;
pub mod track;
pub mod translate;
pub mod writer;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    meta::register();
    facedetect::register(plugin)?;
    track::register(plugin)?;
    expression::register(plugin)?;
    smooth::register(plugin)?;
    translate::register(plugin)?;
    overlay::register(plugin)?;
    writer::register(plugin)?;
    source::register(plugin)
}

gst::plugin_define!(
    ferroflow,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Ferroflow",
    env!("BUILD_REL_DATE")
);
