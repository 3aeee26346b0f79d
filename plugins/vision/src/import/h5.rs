//! What Keras' files in HDF5 have in common.

use std::{fs, path::Path};

use hdf5::{
    Dataset, File, Group,
    types::{FixedAscii, VarLenAscii, VarLenUnicode},
};

use super::{ImportError, about};

/// The attribute of a whole model's file that describes its layers.
pub(super) const CONFIG: &str = "model_config";
/// The group of a whole model's file that holds their weights; a file of weights alone has them at its top.
pub(super) const WEIGHTS: &str = "model_weights";

/// Groups within groups that are looked into, and groups in all: more than any model has, so that links in a
/// circle end.
const MAX_DEPTH: usize = 8;
const MAX_GROUPS: usize = 1 << 14;

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<File, ImportError> {
    // HDF5 prints its own stack of errors for every file it cannot open; ours say the same in one line.
    hdf5::silence_errors(true);
    fs::File::open(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    File::open(path).map_err(|error| about(path)(format!("not an HDF5 file, or cut short ({error})")))
}

/// A text attribute in any of the ways that Keras' versions wrote it.
pub(super) fn attribute(group: &Group, name: &str) -> Option<String> {
    let attribute = group.attr(name).ok()?;
    if let Ok(text) = attribute.read_scalar::<VarLenUnicode>() {
        return Some(text.to_string());
    }
    if let Ok(text) = attribute.read_scalar::<VarLenAscii>() {
        return Some(text.to_string());
    }
    let bytes = attribute.as_reader().read_raw::<FixedAscii<{ 1 << 16 }>>().ok()?;
    bytes.first().map(ToString::to_string)
}

/// The numbers of a dataset, all finite.
pub(super) fn floats(dataset: &Dataset) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = dataset.read_raw().map_err(|error| format!("cannot be read: {error}"))?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err("has values that are not finite".into()),
    }
}

/// All datasets with the layers' weights, those of the optimiser left out, by their names with `/` between groups.
pub(super) fn weights(file: &File) -> Result<Vec<(String, Dataset)>, String> {
    let mut found = Vec::new();
    let mut rest = match file.group(WEIGHTS) {
        Ok(weights) => vec![(String::new(), weights, 0)],
        Err(_) => vec![(String::new(), file.group("/").map_err(|error| error.to_string())?, 0)],
    };
    let mut groups = 0;
    while let Some((path, group, depth)) = rest.pop() {
        groups += 1;
        if groups > MAX_GROUPS || depth > MAX_DEPTH {
            return Err(format!(
                "groups lie in each other more than {MAX_DEPTH} deep, or there are more than {MAX_GROUPS}"
            ));
        }
        for name in group.member_names().map_err(|error| format!("the group `{path}`: {error}"))? {
            let at = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if let Ok(dataset) = group.dataset(&name) {
                found.push((at, dataset));
            } else if let Ok(inner) = group.group(&name)
                && !(depth == 0 && name.starts_with("optimizer"))
            {
                rest.push((at, inner, depth + 1));
            }
        }
    }
    found.sort_by(|(first, _), (second, _)| first.cmp(second));
    Ok(found)
}
