//! Weights of a network by their names, out of a Keras file in HDF5 or out of a `.safetensors` file.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{ImportError, about, h5, read};

/// How the files are called that are not HDF5.
const SAFETENSORS: &str = "safetensors";

/// The name and the sides of a tensor in a file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name, with `/` (HDF5) or `.` (safetensors) between parts.
    pub name: String,
    /// Its sides, outermost first.
    pub dims: Vec<usize>,
}

impl Entry {
    /// Whether one part of its name, or several in a row with dots between, are `part`.
    pub fn is_of(&self, part: &str) -> bool {
        format!(".{}.", self.name.replace('/', ".")).contains(&format!(".{part}."))
    }
}

/// The tensors of a file, by name, and what reads the numbers of the one at an index of them.
pub(super) struct Weights<'a> {
    pub entries: Vec<Entry>,
    pub read: &'a dyn Fn(usize) -> Result<Vec<f32>, String>,
}

/// Opens a file, `.safetensors` or HDF5, and answers what `ask` makes of its weights.
pub(super) fn open<T>(
    path: &Path,
    ask: impl FnOnce(&Weights<'_>) -> Result<T, String>,
) -> Result<T, ImportError> {
    let fail = about(path);
    if path.extension().is_some_and(|extension| extension == SAFETENSORS) {
        let bytes = read(path)?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| fail(format!("not a safetensors file, or cut short ({error})")))?;
        let mut tensors = file.tensors();
        tensors.sort_by(|(first, _), (second, _)| first.cmp(second));
        let entry = |(name, tensor): &(String, TensorView<'_>)| Entry {
            name: name.clone(),
            dims: tensor.shape().to_vec(),
        };
        let entries = tensors.iter().map(entry).collect();
        let read = |index: usize| match tensors.get(index) {
            Some((_, tensor)) => floats(tensor),
            None => Err("is not there".to_owned()),
        };
        return ask(&Weights { entries, read: &read }).map_err(fail);
    }
    let file = h5::open(path)?;
    let datasets = h5::weights(&file).map_err(&fail)?;
    let entries =
        datasets.iter().map(|(name, dataset)| Entry { name: name.clone(), dims: dataset.shape() }).collect();
    let read = |index: usize| match datasets.get(index) {
        Some((_, dataset)) => h5::floats(dataset),
        None => Err("is not there".to_owned()),
    };
    ask(&Weights { entries, read: &read }).map_err(fail)
}

/// The numbers of a tensor in singles, halves or bfloats, all finite.
fn floats(tensor: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => {
            data.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
        }
        Dtype::BF16 => {
            data.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
        }
        other => return Err(format!("holds {other:?}, where F32, F16 or BF16 is needed")),
    };
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("has values that are not finite".into()),
    }
}
