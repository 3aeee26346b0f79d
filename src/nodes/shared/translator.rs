//! What `cyclegan` leaves behind and other nodes use: a network for each direction, found by the names of its
//! classes.

use std::{fs, path::Path};

use anyhow::bail;
use ferroflow_vision::{inference::SessionOptions, translation::FaceTranslator};

use crate::batch::Input;

/// Faces in one run of the network.
pub const BATCH: usize = 32;

/// Refuses one class where two are needed.
pub fn two_classes(from: &str, to: &str) -> Result<(), String> {
    if from == to {
        return Err(format!("`from` and `to` are both `{from}`: name two classes"));
    }
    if plain(from) == plain(to) {
        return Err(format!(
            "`{from}` and `{to}` differ in signs only, and their networks would have one file: give a class another name"
        ));
    }
    Ok(())
}

/// A class in the name of a file.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

/// The file of the network that translates between two classes.
pub fn file_name(from: &str, to: &str) -> String {
    format!("{}-to-{}.onnx", plain(from), plain(to))
}

/// Opens the network between two classes out of a result of `cyclegan`, which must be there.
pub fn open(model: &Input, from: &str, to: &str, options: &SessionOptions) -> anyhow::Result<FaceTranslator> {
    let path = model.folder.join(file_name(from, to));
    if !path.is_file() {
        let trained = fs::read_dir(&model.folder)?.filter_map(Result::ok);
        let mut trained: Vec<String> = trained
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "onnx"))
            .collect();
        trained.sort_unstable();
        bail!("`model` does not translate `{from}` to `{to}` (it has: {})", trained.join(", "));
    }
    Ok(FaceTranslator::open(&path, options, BATCH)?)
}

/// Refuses faces of another size than the network's.
pub fn check_size(translator: &FaceTranslator, (width, height): (usize, usize)) -> anyhow::Result<()> {
    let (wide, high) = translator.size();
    if (width, height) != (wide, high) {
        bail!("the faces have {width}x{height} pixels, and the network translates faces of {wide}x{high}");
    }
    Ok(())
}
