//! stub
/// Its name.
pub const NAME: &str = "relabel";
