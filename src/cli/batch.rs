//! `ferroflow batch DIR --out DIR`

use std::path::PathBuf;

use super::{Outcome, run};
use crate::{
    graph::load,
    stream::{self, directory, interrupt},
};

/// The pipeline file that this command runs, with its settings in place of the file's.
const DIRECTORY: &str = include_str!("../../pipelines/directory.toml");

/// Read the expressions in every video of a directory.
///
/// For each video, the output directory gets a folder with faces.jsonl, faces.csv and faces.parquet, and in the end an
/// index.html. Videos that are done already, by content and settings, are skipped; after Ctrl-C, the same command goes on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directories, searched with all below them, or single videos.
    #[arg(required = true)]
    pub dir: Vec<PathBuf>,
    /// Where results go.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Videos at once.
    #[arg(long, default_value_t = 1)]
    pub jobs: usize,
    /// Also write each video with its faces drawn in.
    #[arg(long)]
    pub annotate: bool,
    /// Do again what is done.
    #[arg(long)]
    pub force: bool,
    /// The elements between decoder and results, in gst-launch's syntax.
    #[arg(long, value_name = "CHAIN")]
    pub launch: Option<String>,
    /// Set a parameter or a key of pipelines/directory.toml, for example --set detector=ssd.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let path = std::path::Path::new("pipelines/directory.toml");
    let file = load::parse(path, DIRECTORY, std::env::vars(), &args.sets).map_err(anyhow::Error::from)?;
    let no_assets = |name: &str| Err(format!("`{name}` cannot be used here"));
    // The command line has the paths; the file's are never looked at.
    let mut file = file;
    if let Some(table) = &mut file.directory {
        (table.input, table.output) = (args.dir.clone(), args.out.clone());
        table.jobs = args.jobs.max(1);
        table.annotate = args.annotate;
        if let Some(launch) = &args.launch {
            table.launch.clone_from(launch);
        }
    }
    let file = crate::graph::substitute::substitute(path, file, &no_assets).map_err(anyhow::Error::from)?;
    stream::init()?;
    let interrupted = interrupt::watch()?;
    match &file.directory {
        Some(table) => {
            let settings = directory::Settings { force: args.force, ..table.into() };
            run::directory_job(&settings, &interrupted)
        }
        None => Ok(()),
    }
}
