//! What is written of frames and their faces: JSON lines and CSV.

pub mod csv;
pub mod json;
