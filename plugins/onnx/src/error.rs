//! What is wrong with a file.

/// Why a network cannot be read or changed as asked, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OnnxError(pub(crate) String);
