//! Models: what they need to be used ([`card`]), where they come from ([`manifest`], [`shipped`]) and where
//! they lie ([`store`]).

pub mod card;
pub mod manifest;
pub mod shipped;
pub mod store;

use std::path::PathBuf;

use thiserror::Error;

pub use card::Card;
pub use manifest::Manifest;
pub use store::{ModelFile, asset_path, onnxruntime_library, resolve_model};

/// Stands for the manifest's default expression model wherever a model is named.
pub const DEFAULT_EXPRESSION: &str = "default";

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// In the manifest but not in the cache.
    #[error("`{name}` is not here ({}): run `ferroflow models fetch {name}`", path.display())]
    NotFetched {
        /// The manifest's name.
        name: String,
        /// Where it would lie.
        path: PathBuf,
    },
    /// It comes with the program, and cannot be put where models lie.
    #[error("`{name}` cannot be put at {}: {reason}; FERROFLOW_HOME names another folder for models", path.display())]
    NotPlaced {
        /// The manifest's name.
        name: String,
        /// Where it would lie.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Neither a name in the manifest nor a file.
    #[error("`{name}` is neither a model of the manifest nor a file; the manifest has: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The manifest's names.
        known: String,
    },
    /// A file without a card.
    #[error("{} has no card: describe it in {}, for example:\n{}", path.display(), card.display(), card::EXAMPLE)]
    NoCard {
        /// The model's file.
        path: PathBuf,
        /// Where its card belongs.
        card: PathBuf,
    },
    /// A card that says too little or something impossible.
    #[error("the card {}: {reason}", path.display())]
    BadCard {
        /// The card's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A manifest that cannot be read.
    #[error("the model manifest {path}: {reason}")]
    BadManifest {
        /// Its file, or `(built in)`.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// No place for the cache.
    #[error("no folder for models: set FERROFLOW_HOME, XDG_CACHE_HOME or HOME")]
    NoHome,
}
