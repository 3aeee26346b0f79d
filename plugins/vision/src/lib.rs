//! Faces in frames: detection, expression, tracking and smoothing.
//!
//! Nothing here knows GStreamer; OpenCV is an optional second back-end (feature `opencv`).

pub mod face;
pub mod geometry;
