//! Faces in frames: detection, expression, tracking and smoothing.
//!
//! Nothing here knows GStreamer; OpenCV is an optional second back-end (feature `opencv`). A frame flows one way:
//! [`frame::Frame`] → [`detect`] → [`track`] → [`expression`] → [`smooth`] → [`record`].
//! [`translation`] gives faces in a frame another expression, [`embedding`] features by which
//! faces are compared, [`activations`] shows what goes on inside a network. Pictures of data sets are looked
//! at by [`faceness`].

pub mod activations;
pub mod align;
pub mod correlation;
pub mod detect;
pub mod embedding;
pub mod expression;
pub mod face;
pub mod faceness;
pub mod frame;
pub mod geometry;
pub mod import;
pub mod inference;
pub mod model;
pub mod perceptual_hash;
pub mod record;
pub mod sample;
pub mod smooth;
pub mod track;
pub mod translation;
