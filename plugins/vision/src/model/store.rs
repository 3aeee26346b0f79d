//! Where assets lie: `FERROFLOW_HOME`, else `$XDG_CACHE_HOME/ferroflow`, else `~/.cache/ferroflow`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{
    Card, DEFAULT_EXPRESSION, Manifest, ModelError, card,
    manifest::{Asset, Kind, Registry},
    shipped,
};

/// A model that can be opened.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Its name in the manifest, or its file's name without extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// How it is fed. A cascade, which needs none, has an empty one.
    pub card: Option<Card>,
}

impl ModelFile {
    /// The file, its card beside it where there is one, and files with weights that it names: what its answers depend on.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let card = Some(self.path.with_extension("toml")).filter(|card| card.is_file());
        let folder = self.path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        // A file that cannot be read is told of when it is opened.
        let weights = ferroflow_onnx::external_files(&fs::read(&self.path).unwrap_or_default());
        let weights = weights.into_iter().map(move |name| folder.join(name));
        std::iter::once(self.path.clone()).chain(card).chain(weights)
    }

    /// The card, or an error that shows what one looks like.
    pub fn card(&self) -> Result<&Card, ModelError> {
        self.card.as_ref().ok_or_else(|| ModelError::NoCard {
            path: self.path.clone(),
            card: self.path.with_extension("toml"),
        })
    }
}

/// The folder of all fetched assets.
pub fn home() -> Result<PathBuf, ModelError> {
    let from = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("FERROFLOW_HOME")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("ferroflow")))
        .or_else(|| Some(from("HOME")?.join(".cache/ferroflow")))
        .ok_or(ModelError::NoHome)
}

/// Where an asset lies once it is fetched.
pub fn location(asset: &Asset) -> Result<PathBuf, ModelError> {
    match (asset.registry, asset.members.first()) {
        (Registry::Debian, Some(member)) => Ok(PathBuf::from(&member.path)),
        _ => Ok(home()?.join(&asset.file)),
    }
}

/// The file of an asset, if it is there.
pub fn asset_path(name: &str) -> Result<PathBuf, ModelError> {
    let manifest = Manifest::load()?;
    let asset = manifest
        .asset(name)
        .ok_or_else(|| ModelError::Unknown { name: name.to_owned(), known: manifest.names(None) })?;
    here(asset)
}

/// The file of an asset; one that comes with the program is put there first.
///
/// # Errors
///
/// [`ModelError::NotFetched`] where it is not there.
pub fn here(asset: &Asset) -> Result<PathBuf, ModelError> {
    let path = location(asset)?;
    if asset.registry == Registry::Shipped {
        shipped::place(asset, &path)?;
    }
    if path.is_file() { Ok(path) } else { Err(ModelError::NotFetched { name: asset.name.clone(), path }) }
}

/// The file that is meant where a folder is named, as a training leaves it.
const OF_FOLDER: &str = "classifier.onnx";

/// Finds a model by its name in the manifest (`default` for the default classifier), by its file, or by the
/// folder that a training left.
pub fn resolve_model(name_or_path: &str) -> Result<ModelFile, ModelError> {
    let manifest = Manifest::load()?;
    let name = match name_or_path {
        "" | DEFAULT_EXPRESSION => manifest.defaults.expression.as_str(),
        other => other,
    };
    if let Some(asset) =
        manifest.asset(name).filter(|asset| matches!(asset.kind, Kind::Model | Kind::Cascade))
    {
        return Ok(ModelFile { name: name.to_owned(), path: here(asset)?, card: asset.card.clone() });
    }
    let given = PathBuf::from(name);
    let path = if given.is_dir() { given.join(OF_FOLDER) } else { given.clone() };
    if !path.is_file() {
        let known = manifest.names(Some(Kind::Model));
        return Err(ModelError::Unknown { name: name.to_owned(), known });
    }
    let stem = given.file_stem().map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let card = match card_beside(&path)? {
        Some(card) => Some(card),
        None => card_inside(&path)?,
    };
    Ok(ModelFile { name: stem, card, path })
}

/// The card in the file's own metadata, if there is one.
fn card_inside(path: &Path) -> Result<Option<Card>, ModelError> {
    // A file that cannot be read is told when it is opened as a network.
    let file = fs::read(path).unwrap_or_default();
    let Some(text) = ferroflow_onnx::metadata(&file, card::METADATA) else { return Ok(None) };
    let bad = |reason| ModelError::BadCard { path: path.to_owned(), reason };
    Card::parse(&text).map(Some).map_err(bad)
}

/// The card `model.toml` of `model.onnx`, if there is one; a pipeline file may be called so, too.
fn card_beside(path: &Path) -> Result<Option<Card>, ModelError> {
    let card_path = path.with_extension("toml");
    match fs::read_to_string(&card_path) {
        Err(_) => Ok(None),
        Ok(text) if !Card::is_meant(&text) => Ok(None),
        Ok(text) => {
            let card =
                Card::parse(&text).map_err(|reason| ModelError::BadCard { path: card_path, reason })?;
            Ok(Some(card))
        }
    }
}

/// ONNX Runtime's library: `ORT_DYLIB_PATH` where it is set, else the fetched one.
pub fn onnxruntime_library() -> Result<PathBuf, ModelError> {
    match env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) {
        Some(path) => Ok(path.into()),
        None => asset_path("onnxruntime"),
    }
}
