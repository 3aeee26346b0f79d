//! Networks that come inside the program: those that Ferroflow itself has trained.

use std::{fs, io::Write, path::Path};

use super::{ModelError, manifest::Asset};

/// Their files in `models/`.
const FILES: [(&str, &[u8]); 2] = [
    ("models/ferroflow-expression.onnx", include_bytes!("../../../../models/ferroflow-expression.onnx")),
    (
        "models/ferroflow-expression-int8.onnx",
        include_bytes!("../../../../models/ferroflow-expression-int8.onnx"),
    ),
];

/// Puts a network at its place in the cache, where that has not the same bytes already. Answers whether it had to.
///
/// # Errors
/// If the file cannot be written, or the manifest names one that this program has not got.
pub fn place(asset: &Asset, path: &Path) -> Result<bool, ModelError> {
    let failed =
        |reason: String| ModelError::NotPlaced { name: asset.name.clone(), path: path.to_owned(), reason };
    let member = asset.members.first().map(|member| member.path.as_str());
    let (_, bytes) = FILES
        .iter()
        .find(|(file, _)| Some(*file) == member)
        .ok_or_else(|| failed(format!("this program has no {}", member.unwrap_or("such file"))))?;
    if fs::read(path).is_ok_and(|found| found == *bytes) {
        return Ok(false);
    }
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // Beside its place and then renamed, so that no other process ever reads half of it.
        // For all to read, as what is fetched is: a cache may be shared.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(true)
    };
    write().map_err(|error: std::io::Error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::{Manifest, manifest::Registry};

    #[test]
    fn the_manifest_and_the_program_have_the_same_networks() {
        let manifest = Manifest::load().unwrap();
        let shipped = manifest.assets.iter().filter(|asset| asset.registry == Registry::Shipped);
        let found: Vec<_> = shipped
            .map(|asset| {
                let member = &asset.members[0];
                let (_, bytes) = FILES.iter().find(|(file, _)| *file == member.path).unwrap();
                assert_eq!(bytes.len() as u64, member.bytes, "{}", member.path);
                member.path.as_str()
            })
            .collect();
        assert_eq!(found, FILES.map(|(file, _)| file));
    }

    #[test]
    fn a_network_is_placed_once_and_mended_where_it_was_damaged() {
        let manifest = Manifest::load().unwrap();
        let asset = manifest.asset("ferroflow-expression").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache").join(&asset.file);
        assert!(place(asset, &path).unwrap());
        assert!(!place(asset, &path).unwrap());
        let readers = |path: &Path| {
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o444
        };
        fs::write(folder.path().join("any"), "").unwrap();
        assert_eq!(readers(&path), readers(&folder.path().join("any")), "read by whom the user's umask lets");
        fs::write(&path, "damaged").unwrap();
        assert!(place(asset, &path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), asset.members[0].bytes);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let manifest = Manifest::load().unwrap();
        let asset = manifest.asset("ferroflow-expression").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let words = place(asset, &file.join("x.onnx")).unwrap_err().to_string();
        assert!(words.contains("`ferroflow-expression`") && words.contains("FERROFLOW_HOME"), "{words}");
    }
}
