//! Turns other frameworks' files into ONNX: Caffe's SSD ([`caffe`]), Keras' classifiers ([`keras`]), and ONNX files whose
//! input size was frozen when they were exported ([`free_size`]).

pub mod caffe;
pub mod free_size;
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "import")]
pub mod keras;
mod prototxt;

use std::path::PathBuf;

use thiserror::Error;

/// Why a file could not be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not what it should be: of another format, truncated, or of a network we do not know.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
}

/// Reads a whole file.
fn read(path: &std::path::Path) -> Result<Vec<u8>, ImportError> {
    std::fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })
}

/// A closure that wraps reasons with the file they are about.
fn about(path: &std::path::Path) -> impl Fn(String) -> ImportError + '_ {
    |reason| ImportError::Content { path: path.to_owned(), reason }
}
