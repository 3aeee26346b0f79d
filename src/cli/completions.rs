//! `ferroflow completions SHELL`

use clap::CommandFactory;

use super::{Cli, Outcome};

/// Write a completion script for a shell, for example `ferroflow completions bash >
/// /etc/bash_completion.d/ferroflow`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell.
    pub shell: clap_complete::Shell,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    // Into memory first: it panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ferroflow", &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
