//! What each node of a graph was made of when it ran last, so that the reason to run again can be told.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Store;
use crate::{atomic, batch::ingredients::Ingredients};

/// The memory of one graph.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    key: String,
    ingredients: Ingredients,
}

impl Store {
    /// The memory of the graph of this name, from this file or text.
    pub fn history(&self, name: &str, origin: &str) -> History {
        let hash = blake3::hash(origin.as_bytes()).to_hex();
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        History { folder: self.root.join("graphs").join(format!("{plain}-{}", &hash.as_str()[..8])) }
    }
}

impl History {
    /// What this node was made of.
    pub fn of(&self, node: &str) -> Option<Ingredients> {
        Some(read(&self.folder.join(file_name(node)))?.ingredients)
    }

    /// Remembers it.
    pub fn remember(&self, node: &str, ingredients: &Ingredients) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let entry = Entry { key: ingredients.key(), ingredients: ingredients.clone() };
        atomic::write(&self.folder.join(file_name(node)), &serde_json::to_vec_pretty(&entry)?)
    }
}

fn file_name(node: &str) -> String {
    let plain: String = node.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{plain}-{}.json", &blake3::hash(node.as_bytes()).to_hex().as_str()[..6])
}

fn read(path: &Path) -> Option<Entry> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Keys of the results that any graph used last.
pub fn keys_in_use(root: &Path) -> std::collections::BTreeSet<String> {
    let files = walkdir::WalkDir::new(root.join("graphs")).into_iter().filter_map(Result::ok);
    files
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(read(entry.path())?.key))
        .collect()
}
