//! Compares files with what the manifest says of them.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use ferroflow_vision::model::manifest::Member;
use sha2::{Digest, Sha256};

/// SHA-256 of what a reader gives, as hexadecimal digits, and its length.
pub fn sha256(mut from: impl Read) -> io::Result<(String, u64)> {
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = match from.read(&mut chunk)? {
            0 => return Ok((hex(&hasher.finalize()), length)),
            read => read,
        };
        hasher.update(chunk.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a file against its pin.
pub fn check(path: &Path, pin: &Member) -> anyhow::Result<()> {
    let (found, length) = sha256(File::open(path)?)?;
    if length != pin.bytes {
        anyhow::bail!("{}: {length} bytes, the manifest says {}", path.display(), pin.bytes);
    }
    if found != pin.sha256 {
        anyhow::bail!("{}: sha256 {found}, the manifest says {}", path.display(), pin.sha256);
    }
    Ok(())
}
