//! Removes what nobody needs any more.

use std::{
    fs::{self, TryLockError},
    path::Path,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, bail};

use super::{IN_USE, has_checkpoints, history, is_store, lock_file, results};
use crate::atomic;

/// Hexadecimal digits of a key: a BLAKE3 hash.
const KEY_DIGITS: usize = 2 * blake3::OUT_LEN;

/// What pruning removed, or would.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// Keys and bytes of results.
    pub results: Vec<(String, u64)>,
    /// Unfinished attempts.
    pub attempts: usize,
    /// Results that stay.
    pub kept: usize,
    /// Unfinished attempts that stay: they have checkpoints to go on from.
    pub kept_attempts: usize,
}

/// What pruning removes besides results that no graph used in its last run and attempts that have no checkpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    /// Results that graphs used, and all attempts.
    pub all: bool,
    /// Attempts with checkpoints.
    pub attempts: bool,
    /// Only what is older than this.
    pub older_than: Option<Age>,
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

/// Removes what nobody needs. With `dry`, only says what it would remove.
pub fn prune(root: &Path, which: Which, dry: bool) -> anyhow::Result<Pruned> {
    if !root.is_dir() {
        return Ok(Pruned::default());
    }
    if !is_store(root) {
        bail!("{} is no result store: it has no file `{IN_USE}`. Nothing was removed", root.display());
    }
    let cannot = || format!("the result store {} cannot be written", root.display());
    let lock = lock_file(&root.join(IN_USE)).with_context(cannot)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("a graph is running on the result store {}: wait for it", root.display())
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
    }
    let in_use = history::keys_in_use(root);
    let is_old = |path: &Path| match which.older_than {
        None => true,
        Some(Age(age)) => {
            let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed >= age))
        }
    };
    let mut pruned = Pruned::default();
    for stored in results(root) {
        let goes = (which.all || !in_use.contains(&stored.record.key)) && is_old(&stored.folder);
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
        if !is_ours(&path) || !is_old(&path) {
            continue;
        }
        let is_folder = path.is_dir();
        let goes_on = has_checkpoints(&path) || has_checkpoints(&path.with_extension(""));
        if goes_on && !which.all && !which.attempts {
            pruned.kept_attempts += usize::from(is_folder);
            continue;
        }
        pruned.attempts += usize::from(is_folder);
        if !dry {
            let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(cannot)?;
        }
    }
    Ok(pruned)
}

/// Whether a store gave it its name: KEY, KEY.lock or KEY.pruned. Whatever else lies there is somebody's.
fn is_ours(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.len() == KEY_DIGITS && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
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
