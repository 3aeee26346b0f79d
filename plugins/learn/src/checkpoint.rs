//! Files that a killed run goes on from.
//!
//! A file is a line of JSON (whose it is, and how long each part is), then the parts. It is written beside
//! its place, brought to the disk, and renamed, so that it is always whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::record::{BinBytesRecorder, FullPrecisionSettings, Record, Recorder};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::error::LearnError;

/// What stands in a file before its parts.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Hash of settings and data.
    fingerprint: String,
    /// Epochs that are done.
    epochs: usize,
    /// Lengths of the parts in bytes.
    parts: Vec<usize>,
    /// Hash of the parts.
    hash: String,
}

/// A file's contents.
#[derive(Debug)]
pub struct Checkpoint {
    /// Epochs that are done.
    pub epochs: usize,
    /// What was written.
    pub parts: Vec<Vec<u8>>,
}

/// Writes a file so that it is there whole or not at all.
pub fn write(path: &Path, fingerprint: &str, epochs: usize, parts: &[&[u8]]) -> Result<(), LearnError> {
    let failed = |source: io::Error| LearnError::File { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    let header = Header {
        fingerprint: fingerprint.to_owned(),
        epochs,
        parts: parts.iter().map(|part| part.len()).collect(),
        hash: hash.finalize().to_hex().to_string(),
    };
    let mut header = serde_json::to_vec(&header).map_err(|error| LearnError::Record(error.to_string()))?;
    header.push(b'\n');
    fs::create_dir_all(folder).map_err(failed)?;
    // Always the same name: what a kill leaves behind is written over, not piled up.
    let mut name = std::ffi::OsString::from(".partial-");
    name.push(path.file_name().unwrap_or_default());
    let partial = folder.join(name);
    let mut file = fs::File::create(&partial).map_err(failed)?;
    file.write_all(&header).map_err(failed)?;
    for part in parts {
        file.write_all(part).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    drop(file);
    fs::rename(&partial, path).map_err(failed)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Reads a file; `None` if there is none.
pub fn read(path: &Path, fingerprint: &str) -> Result<Option<Checkpoint>, LearnError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LearnError::File { path: path.to_owned(), source }),
    };
    let end =
        bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged(path, "it has no header"))?;
    let (header, mut body) = bytes.split_at(end + 1);
    let header: Header = serde_json::from_slice(header).map_err(|error| damaged(path, &error.to_string()))?;
    if header.fingerprint != fingerprint {
        return Err(LearnError::OtherConfiguration { path: path.to_owned() });
    }
    if blake3::hash(body).to_hex().as_str() != header.hash {
        return Err(damaged(path, "its hash is another"));
    }
    let mut parts = Vec::with_capacity(header.parts.len());
    for length in header.parts {
        let (part, rest) = body.split_at_checked(length).ok_or_else(|| damaged(path, "it is cut off"))?;
        parts.push(part.to_vec());
        body = rest;
    }
    Ok(Some(Checkpoint { epochs: header.epochs, parts }))
}

/// Deletes a file that is not needed any more.
pub fn remove(path: &Path) -> Result<(), LearnError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LearnError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The error for a file that does not hold what it should.
pub fn damaged(path: &Path, reason: &str) -> LearnError {
    LearnError::Damaged { path: PathBuf::from(path), reason: reason.to_owned() }
}

/// The bytes of a network's or an optimiser's record.
pub fn to_bytes<B: Backend, R: Record<B>>(record: R) -> Result<Vec<u8>, LearnError> {
    let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
    recorder.record(record, ()).map_err(|error| LearnError::Record(error.to_string()))
}

/// The record that was written as `bytes` into the file at `path`.
pub fn from_bytes<B: Backend, R: Record<B>>(
    bytes: &[u8],
    device: &B::Device,
    path: &Path,
) -> Result<R, LearnError> {
    let recorder = BinBytesRecorder::<FullPrecisionSettings>::default();
    recorder.load(bytes.to_vec(), device).map_err(|error| damaged(path, &error.to_string()))
}
