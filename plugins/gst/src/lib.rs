//! GStreamer elements of Ferroflow.
