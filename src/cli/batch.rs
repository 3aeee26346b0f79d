//! `ferroflow batch DIR --out DIR`

use std::path::PathBuf;

use anyhow::anyhow;

use super::{Exit, Outcome, run};
use crate::{
    exit,
    graph::substitute::substitute,
    pipelines::DIRECTORY,
    stream::{self, directory, interrupt},
};

/// Keys of `pipelines/directory.toml`, which this command runs, that have places of their own on the command line.
const PATHS: [&str; 4] = ["input", "output", "directory.input", "directory.output"];

/// Read the expressions in every video of a directory.
///
/// For each video, the output directory gets a folder with faces.jsonl, faces.csv and faces.parquet, and in
/// the end an index.html. Videos that are done already, by content and settings, are skipped; after Ctrl-C,
/// the same command goes on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directories, searched with all below them, or single videos.
    #[arg(required = true)]
    pub dir: Vec<PathBuf>,
    /// Where results go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Videos at once; one unless given.
    #[arg(long, value_name = "N", value_parser = super::one_or_more())]
    pub jobs: Option<usize>,
    /// Also write each video with its faces drawn in.
    #[arg(long)]
    pub annotate: bool,
    /// Do again what is done.
    #[arg(long)]
    pub force: bool,
    /// The elements between decoder and results, in gst-launch's syntax.
    #[arg(long, value_name = "CHAIN")]
    pub launch: Option<String>,
    /// Set a parameter or a key of the pipeline `directory`, for example --set detector=ssd.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    check(&args.sets)?;
    let mut file = DIRECTORY.load(&args.sets)?;
    let no_assets = |name: &str| Err(format!("`{name}` cannot be used here").into());
    if let Some(table) = &mut file.directory {
        // The command line has the paths, as they are; the file's are never looked at.
        (table.input, table.output) = (Vec::new(), PathBuf::new());
        table.jobs = args.jobs.unwrap_or(table.jobs).max(1);
        table.annotate |= args.annotate;
        if let Some(launch) = &args.launch {
            table.launch.clone_from(launch);
        }
    }
    let file = substitute(DIRECTORY.name.as_ref(), file, &no_assets)?;
    stream::init()?;
    let interrupted = interrupt::watch()?;
    match &file.directory {
        Some(table) => {
            let (input, output) = (args.dir.clone(), args.out.clone());
            let settings = directory::Settings { input, output, force: args.force, ..table.into() };
            run::directory_job(&settings, &interrupted)
        }
        None => Ok(()),
    }
}

/// Refuses to set what the command line has places of its own for.
fn check(sets: &[String]) -> Outcome {
    let key = |set: &str| set.split_once('=').map_or("", |(key, _)| key.trim()).to_owned();
    match sets.iter().map(|set| key(set)).find(|key| PATHS.contains(&key.as_str())) {
        Some(key) => {
            let error =
                anyhow!("--set {key}: name the videos behind `batch`, and the folder for results with --out");
            Err(Exit::with(exit::USAGE, error))
        }
        None => Ok(()),
    }
}
