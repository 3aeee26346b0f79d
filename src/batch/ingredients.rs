//! What a result is made of. Its hash is the result's key; two sets of ingredients tell why a stage must run again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::fingerprints::Fingerprints;

/// Everything that a result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ingredients {
    /// The kind of node.
    pub kind: String,
    /// The kind's version.
    pub kind_version: u32,
    /// This program's version.
    pub program: String,
    /// The parameters, defaults included, without paths.
    pub parameters: serde_json::Value,
    /// Digests of the results that come in, by port.
    pub inputs: BTreeMap<String, Vec<String>>,
    /// BLAKE3 of each file from outside, by its path.
    pub files: BTreeMap<PathBuf, String>,
    /// The names of files, in the order of their paths, where names decide too: from a folder on, so that
    /// what moves as a whole stays the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Ingredients {
    /// Reads what is outside; `inputs` are port and digest of what comes in. Files' names count where they lie in
    /// `names_below`.
    pub fn gather(
        kind: (&str, u32),
        parameters: serde_json::Value,
        inputs: impl Iterator<Item = (&'static str, String)>,
        files: Vec<PathBuf>,
        names_below: Option<&Path>,
        fingerprints: &Fingerprints,
    ) -> anyhow::Result<Self> {
        let mut by_port = BTreeMap::<String, Vec<String>>::new();
        for (port, digest) in inputs {
            by_port.entry(port.to_owned()).or_default().push(digest);
        }
        let hash = |path: PathBuf| -> anyhow::Result<(PathBuf, String)> {
            // Records are text.
            if path.to_str().is_none() {
                bail!("{} has a name that is no text (UTF-8): rename it", path.display());
            }
            let hash =
                fingerprints.of(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Ok((path, hash))
        };
        let files: BTreeMap<_, _> = files.into_iter().map(hash).collect::<anyhow::Result<_>>()?;
        let name =
            |path: &PathBuf| path.strip_prefix(names_below?).ok().map(|name| name.display().to_string());
        Ok(Self {
            names: files.keys().filter_map(name).collect(),
            kind: kind.0.to_owned(),
            kind_version: kind.1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            parameters,
            inputs: by_port,
            files,
        })
    }

    /// The key of the result: a hash of all of this, but of files only the content, in the order of their
    /// paths, and the names that count.
    pub fn key(&self) -> String {
        let contents: Vec<_> = self.files.values().chain(&self.names).collect();
        let all = (
            &self.kind,
            self.kind_version,
            &self.program,
            self.parameters.to_string(),
            &self.inputs,
            contents,
        );
        // Text, numbers and lists only: this cannot fail.
        let text = serde_json::to_string(&all).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// What has changed since `old`, in words.
    pub fn changes_since(&self, old: &Self) -> String {
        let mut changes = Vec::new();
        if self.kind != old.kind {
            changes.push(format!("it was a `{}`", old.kind));
        }
        if self.kind_version != old.kind_version {
            let (before, now) = (old.kind_version, self.kind_version);
            changes.push(format!("the code of `{}` has changed (version {before} -> {now})", self.kind));
        }
        if self.program != old.program {
            changes.push(format!("this program has changed ({} -> {})", old.program, self.program));
        }
        let empty = serde_json::Map::new();
        let of = |value: &serde_json::Value| value.as_object().unwrap_or(&empty).clone();
        let (before, now) = (of(&old.parameters), of(&self.parameters));
        for (name, value) in &now {
            match before.get(name) {
                Some(then) if then == value => {}
                Some(then) => changes.push(format!("`{name}` has changed ({then} -> {value})")),
                None => changes.push(format!("`{name}` is new ({value})")),
            }
        }
        changes.extend(
            before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("`{name}` is gone")),
        );
        let ports = self.inputs.keys().chain(old.inputs.keys()).collect::<std::collections::BTreeSet<_>>();
        for port in ports {
            if self.inputs.get(port) != old.inputs.get(port) {
                changes.push(format!("its input `{port}` has changed"));
            }
        }
        for (path, hash) in &self.files {
            match old.files.get(path) {
                Some(then) if then == hash => {}
                Some(_) => changes.push(format!("{} has changed", path.display())),
                None => changes.push(format!("{} is new", path.display())),
            }
        }
        let gone = old.files.keys().filter(|path| !self.files.contains_key(*path));
        changes.extend(gone.map(|path| format!("{} is gone", path.display())));
        // A directory of thousands of pictures may have changed altogether.
        let more = changes.len().saturating_sub(4);
        changes.truncate(4);
        if more > 0 {
            changes.push(format!("and {more} more"));
        }
        changes.join("; ")
    }
}
