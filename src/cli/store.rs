//! `ferroflow store`

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Subcommand, builder::TypedValueParser as _};

use super::Outcome;
use crate::batch::{
    limits::in_words,
    schedule,
    store::{self, Age, Store, Which},
};

/// Where results are.
#[derive(Debug, clap::Args)]
pub struct Root {
    /// The result store; below the user's cache unless given.
    #[arg(long = "store", global = true, value_name = "DIR", env = "FERROFLOW_STORE", value_parser = clap::builder::OsStringValueParser::new().map(PathBuf::from))]
    store: Option<PathBuf>,
}

impl Root {
    /// Its folder.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        self.store.clone().filter(|root| !root.as_os_str().is_empty()).map_or_else(store::default_root, Ok)
    }
}

/// Look into the store of batch results, and clear it up.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    root: Root,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all results, the newest first.
    List,
    /// Show how a result was made: inputs, parameters, versions, seeds, time, machine.
    Show {
        /// The beginning of its key.
        key: String,
    },
    /// Remove results that no graph used in its last run, and what is left of attempts that cannot go on.
    Prune {
        /// Also results that graphs used, and unfinished attempts.
        #[arg(long)]
        all: bool,
        /// Also unfinished attempts that could go on from their checkpoints.
        #[arg(long)]
        attempts: bool,
        /// Only such as are older, for example 30d or 12h.
        #[arg(long, value_name = "AGE")]
        older_than: Option<Age>,
        /// Only say what would be removed.
        #[arg(long)]
        dry: bool,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let root = args.root.path()?;
    match &args.command {
        Command::List => list(&open(&root)?),
        Command::Show { key } => show(&open(&root)?, key),
        Command::Prune { all, attempts, older_than, dry } => {
            let which = Which { all: *all, attempts: *attempts, older_than: *older_than };
            let pruned = store::prune(&root, which, *dry)?;
            let bytes = pruned.results.iter().map(|(_, bytes)| bytes).sum();
            let go_on = match pruned.kept_attempts {
                0 => String::new(),
                count => {
                    format!(", and {count} unfinished attempts that can go on (--attempts removes them)")
                }
            };
            outln!(
                "{} {} results ({}) and {} unfinished attempts; {} results stay{go_on}",
                if *dry { "would remove" } else { "removed" },
                pruned.results.len(),
                in_words(bytes),
                pruned.attempts,
                pruned.kept
            );
            Ok(())
        }
    }
}

/// The store in this folder, which is not made: there would be nothing in it.
fn open(root: &Path) -> anyhow::Result<Store> {
    if !store::is_store(root) {
        bail!("there is no result store in {}", root.display());
    }
    Store::open(root)
}

fn list(store: &Store) -> Outcome {
    let results = store.results();
    outln!("{:12}  {:20}  {:16}  {:>10}  {:>9}  made", "key", "node", "kind", "size", "seconds");
    for result in &results {
        let record = &result.record;
        outln!(
            "{:12}  {:20}  {:16}  {:>10}  {:>9.1}  {}",
            record.key.get(..12).unwrap_or(&record.key),
            record.node,
            record.ingredients.kind,
            in_words(record.bytes),
            record.seconds,
            record.started.get(..19).unwrap_or(&record.started).replace('T', " "),
        );
    }
    let bytes = results.iter().map(|result| result.record.bytes).sum();
    outln!("{} results, {}, in {}", results.len(), in_words(bytes), store.root().display());
    Ok(())
}

fn show(store: &Store, key: &str) -> Outcome {
    let stored = store.find(key)?;
    let text = serde_json::to_string_pretty(&stored.record).map_err(anyhow::Error::from)?;
    outln!("{}\n{text}", stored.folder.display());
    let facts = schedule::read_facts(&stored);
    if !facts.0.is_empty() {
        outln!("{}", serde_json::to_string_pretty(&facts).map_err(anyhow::Error::from)?);
    }
    Ok(())
}
