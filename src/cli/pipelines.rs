//! `ferroflow pipelines`

use std::path::Path;

use anyhow::anyhow;

use super::{Exit, Outcome};
use crate::{
    exit,
    graph::keys::did_you_mean,
    pipelines::{SHIPPED, find},
};

/// List the pipelines that are part of the program, or print the file of one, with its parameters, to make
/// another of it: `ferroflow pipelines clip > mine.toml`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A pipeline.
    name: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    match &args.name {
        None => list(),
        Some(name) => match find(name.as_ref()) {
            Some(shipped) => {
                out!("{}", shipped.text);
                Ok(())
            }
            None => Err(unknown(name.as_ref())),
        },
    }
}

/// A line for each, with the parameters that must be given.
fn list() -> Outcome {
    for shipped in SHIPPED {
        outln!("{:<18}{}", shipped.name, shipped.load(&[])?.description);
    }
    Ok(())
}

/// What is neither a file nor a pipeline of the program.
pub fn unknown(path: &Path) -> Exit {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let hint = did_you_mean(&name, SHIPPED.iter().map(|shipped| shipped.name));
    let error = anyhow!(
        "there is no file {}, nor a pipeline of that name in the program{hint} (`ferroflow pipelines` lists them)",
        path.display()
    );
    Exit::with(exit::USAGE, error)
}
