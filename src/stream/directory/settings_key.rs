//! The key of everything that a result depends on but the video.

use std::fs::File;

use anyhow::Context;

/// Raised when the same video and settings give another result.
const VERSION: u32 = 3;

/// The key of everything but the content: elements, models, and the version of this program.
pub fn settings_key(launch: &str, models: &[std::path::PathBuf]) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(concat!("ferroflow ", env!("CARGO_PKG_VERSION")).as_bytes());
    hasher.update(&VERSION.to_le_bytes());
    // White space between elements means nothing.
    for word in launch.split_whitespace() {
        hasher.update(word.as_bytes());
        hasher.update(b" ");
    }
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
