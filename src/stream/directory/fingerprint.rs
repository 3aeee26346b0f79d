//! Whether a result is of this content and these settings.

use std::{
    fs::{self, File},
    path::Path,
    time::UNIX_EPOCH,
};

use anyhow::Context;
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

/// The content of a file. `known`, from an earlier run, spares reading it when length and time of change are the same.
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

/// The key of everything but the content: elements, models, and the version of this program.
pub fn settings(launch: &str, annotate: bool, models: &[std::path::PathBuf]) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(concat!("ferroflow ", env!("CARGO_PKG_VERSION")).as_bytes());
    // White space between elements means nothing.
    for word in launch.split_whitespace() {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
    hasher.update(&[u8::from(annotate)]);
    for model in models {
        let file = File::open(model).with_context(|| format!("the model {}", model.display()))?;
        hasher.update(content_hash(file)?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn content_hash(file: File) -> anyhow::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}
