//! Turns other frameworks' files into ONNX: Caffe's SSD ([`caffe`]), Keras' classifiers ([`keras`]), VGG16 as
//! Keras and PyTorch keep it ([`vgg16`]), and ONNX files whose input size was frozen when they were exported
//! ([`free_size`]).

pub mod caffe;
mod caffe_settings;
pub mod free_size;
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "import")]
mod h5;
#[cfg(feature = "import")]
pub mod keras;
mod prototxt;
#[cfg(feature = "import")]
pub mod vgg16;
#[cfg(feature = "import")]
mod weights;

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

/// Moves the axes of a tensor: axis `i` of the answer is axis `order[i]` of `values`.
#[cfg(feature = "import")]
fn reorder(values: &[f32], dims: [usize; 4], order: [usize; 4]) -> Vec<f32> {
    let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [a, b, c, d] = order.map(|axis| dims[axis]);
    let [sa, sb, sc, sd] = order.map(|axis| strides[axis]);
    let mut moved = Vec::with_capacity(values.len());
    for i in 0..a {
        for j in 0..b {
            for k in 0..c {
                moved.extend((0..d).filter_map(|l| values.get(i * sa + j * sb + k * sc + l * sd)));
            }
        }
    }
    moved
}
