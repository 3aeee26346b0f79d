//! Whether a file is what it was.

use std::{
    fs::{self, File},
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

/// A file's content, and how to see without reading it that it is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// BLAKE3 of all bytes.
    pub blake3: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Last change, in nanoseconds since 1970.
    pub modified: u128,
}

/// The content of a file. `known`, from an earlier run, spares reading it when length and time of change are
/// the same.
pub fn content(path: &Path, known: Option<&Content>) -> anyhow::Result<Content> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    if let Some(known) = known.filter(|known| known.bytes == metadata.len() && known.modified == modified) {
        return Ok(known.clone());
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(Content { blake3: hasher.finalize().to_hex().to_string(), bytes: metadata.len(), modified })
}
