//! The network that features come from, and how a column says which it was.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use arrow_schema::Field;
use ferroflow_vision::model::{Card, ModelFile, resolve_model};

use crate::{atomic, batch::Facts};

/// Keys of a column's metadata: the backbone's name, the hash of its file and card, and the value inside it.
const NAME: &str = "backbone";
const HASH: &str = "backbone_blake3";
const LAYER: &str = "layer";

/// A network without a head.
pub struct Backbone {
    file: ModelFile,
    /// How it is fed.
    pub card: Card,
    /// The whole file.
    pub bytes: Vec<u8>,
    hash: String,
    /// The value inside it that features are, or its only output.
    pub layer: Option<String>,
}

/// The files of a backbone: what a result depends on besides its inputs.
pub fn files(name: &str) -> anyhow::Result<Vec<PathBuf>> {
    Ok(resolve_model(name).context("`backbone`")?.files().collect())
}

impl Backbone {
    /// Reads a backbone by its name or file.
    pub fn of(name: &str, layer: Option<&str>) -> anyhow::Result<Self> {
        let file = resolve_model(name).context("`backbone`")?;
        let card = file.card().context("`backbone`")?.clone();
        let bytes = fs::read(&file.path).with_context(|| file.path.display().to_string())?;
        let mut hash = blake3::Hasher::new();
        hash.update(&bytes).update(toml::to_string(&card)?.as_bytes());
        let hash = hash.finalize().to_hex().to_string();
        Ok(Self { file, card, bytes, hash, layer: layer.map(str::to_owned) })
    }

    /// What features are asked of: the file, or where a value inside it is meant, a copy in `folder` that
    /// answers with this value.
    pub fn model(&self, folder: &Path) -> anyhow::Result<ModelFile> {
        let Some(layer) = &self.layer else { return Ok(self.file.clone()) };
        let cut = ferroflow_onnx::with_output(&self.bytes, layer)
            .with_context(|| format!("`layer` of {}", self.file.path.display()))?;
        let path = folder.join("backbone.onnx");
        fs::create_dir_all(folder)?;
        atomic::write(&path, &cut)?;
        Ok(ModelFile { path, ..self.file.clone() })
    }

    /// What a column of its features is marked with.
    pub fn marks(&self) -> HashMap<String, String> {
        let mut marks =
            HashMap::from([(NAME.to_owned(), self.file.name.clone()), (HASH.to_owned(), self.hash.clone())]);
        marks.extend(self.layer.clone().map(|layer| (LAYER.to_owned(), layer)));
        marks
    }

    /// Whether a column holds its features.
    pub fn has_made(&self, column: &Field) -> bool {
        let mark = |key: &str| column.metadata().get(key);
        mark(HASH) == Some(&self.hash) && mark(LAYER) == self.layer.as_ref()
    }

    /// Facts, with what it is.
    pub fn facts(&self, facts: Facts) -> Facts {
        let facts = facts.with(NAME, self.file.name.clone()).with(HASH, self.hash.clone());
        match &self.layer {
            Some(layer) => facts.with(LAYER, layer.clone()),
            None => facts,
        }
    }

    /// The backbone of this name or file, if it is the one whose features are in the column.
    pub fn behind(column: &Field, name: &str) -> anyhow::Result<Self> {
        let mark = |key: &str| column.metadata().get(key);
        let (Some(made_by), Some(hash)) = (mark(NAME), mark(HASH)) else {
            bail!(
                "the column `{}` does not say which backbone its features are of: make it with `features`",
                column.name()
            );
        };
        let backbone = Self::of(name, mark(LAYER).map(String::as_str))?;
        if *hash != backbone.hash {
            let path = backbone.file.path.display();
            bail!(
                "the column `{}` holds features of `{made_by}` (blake3 {}), and `backbone` is {path} (blake3 {}), which is another or has another card: give both nodes the same",
                column.name(),
                short(hash),
                short(&backbone.hash)
            );
        }
        Ok(backbone)
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The first digits of a hash.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
