//! Messages of the bus in words.

use gst::prelude::*;

use crate::address::without_credentials;

/// An error from the bus in words: which element, what, and GStreamer's details, without passwords.
pub fn describe(error: &gst::message::Error) -> String {
    let element = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    let details = error.debug().map(|debug| debug.to_string()).unwrap_or_default();
    // The first line of the details is the place in the plug-in's source; ours say all in the error itself.
    let detail = details.lines().nth(1).map(str::trim).filter(|line| !line.is_empty());
    let told = match detail {
        Some(detail) => format!("{element}: {} ({detail})", error.error()),
        None => format!("{element}: {}", error.error()),
    };
    without_credentials(&told).into_owned()
}
