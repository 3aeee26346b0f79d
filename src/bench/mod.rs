//! Measurements that users can repeat: how good and how fast detectors are on their pictures and machine.

pub mod annotated;
pub mod average_precision;
pub mod detectors;
pub mod frames;
pub mod picture;
