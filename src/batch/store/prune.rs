//! Removes what nobody needs any more.

use std::{
    fs::{self, TryLockError},
    path::Path,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, bail};

use super::{history, lock_file, results};
use crate::atomic;

/// What pruning removed, or would.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// Keys and bytes of results.
    pub results: Vec<(String, u64)>,
    /// Unfinished attempts with their checkpoints.
    pub attempts: usize,
    /// Results that stay.
    pub kept: usize,
}

/// A length of time as people write it: 30d, 12h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time: write for example 30d, 12h or 90m");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let seconds: u64 = match unit {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        Ok(Self(Duration::from_secs(number.saturating_mul(seconds))))
    }
}

/// Removes results that no graph used in its last run, or, with `all`, every one; of these only such as are older than `age`.
/// Unfinished attempts go with them. With `dry`, only says what it would remove.
pub fn prune(root: &Path, all: bool, age: Option<Age>, dry: bool) -> anyhow::Result<Pruned> {
    if !root.is_dir() {
        return Ok(Pruned::default());
    }
    let cannot = || format!("the result store {} cannot be written", root.display());
    let lock = lock_file(&root.join("in-use")).with_context(cannot)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("a graph is running on the result store {}: wait for it", root.display())
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
    }
    let in_use = history::keys_in_use(root);
    let is_old = |path: &Path| match age {
        None => true,
        Some(Age(age)) => {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed >= age))
        }
    };
    let mut pruned = Pruned::default();
    for stored in results(root) {
        let goes = (all || !in_use.contains(&stored.record.key)) && is_old(&stored.folder);
        if !goes {
            pruned.kept += 1;
            continue;
        }
        if !dry {
            remove(root, &stored.folder).with_context(cannot)?;
        }
        pruned.results.push((stored.record.key, stored.record.bytes));
    }
    for entry in fs::read_dir(root.join("work")).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if !is_old(&path) {
            continue;
        }
        let is_folder = path.is_dir();
        pruned.attempts += usize::from(is_folder);
        if !dry {
            let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(cannot)?;
        }
    }
    Ok(pruned)
}

/// Removes a result, out of sight first: a kill must not leave a part of it that counts as whole.
fn remove(root: &Path, result: &Path) -> anyhow::Result<()> {
    let work = root.join("work");
    fs::create_dir_all(&work)?;
    let away = work.join(result.file_name().unwrap_or_default()).with_extension("pruned");
    if away.exists() {
        fs::remove_dir_all(&away)?;
    }
    atomic::rename(result, &away)?;
    Ok(fs::remove_dir_all(&away)?)
}
