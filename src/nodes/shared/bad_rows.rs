//! Rows of a source that cannot be used: told with number and reason, and too many of them are an error.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::batch::Facts;

/// How many are told one by one.
const TOLD: usize = 20;

/// The bad rows of a source so far.
pub struct BadRows {
    path: PathBuf,
    limit: usize,
    count: usize,
    told: Vec<String>,
}

impl BadRows {
    /// For a source, with the most that may be bad.
    pub fn new(path: &Path, limit: usize) -> Self {
        Self { path: path.to_owned(), limit, count: 0, told: Vec::new() }
    }

    /// One more; an error when it is one too many.
    pub fn add(&mut self, place: &str, reason: String) -> anyhow::Result<()> {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{place}: {reason}"));
        }
        if self.count > self.limit {
            let path = self.path.display();
            let first: Vec<_> = self.told.iter().take(5).map(String::as_str).collect();
            let first = first.join("; ");
            match self.limit {
                0 => bail!("{path}: {first} (set `bad-rows` to leave out that many such rows)"),
                limit => bail!("{path}: more than {limit} rows are bad (`bad-rows`): {first}"),
            }
        }
        tracing::warn!("{}: {place} is left out: {reason}", self.path.display());
        Ok(())
    }

    /// Adds them to the facts.
    pub fn tell(self, facts: Facts) -> Facts {
        if self.count == 0 {
            facts
        } else {
            facts.with("bad_rows", self.count).with("bad_row_reasons", self.told)
        }
    }
}
