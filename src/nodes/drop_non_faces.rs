//! stub
/// The column.
pub const VERDICT: &str = "face_verdict";
