//! `ferroflow nodes`

use super::{Exit, Outcome};
use crate::{
    exit,
    graph::keys::did_you_mean,
    nodes::{KINDS, reference},
};

/// List the nodes of batch graphs, or describe one with its inputs and parameters.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kind of node.
    kind: Option<String>,
    /// Print the page of all kinds, docs/nodes.md.
    #[arg(long, conflicts_with = "kind")]
    markdown: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    if args.markdown {
        out!("{}", reference::page(KINDS));
        return Ok(());
    }
    let Some(name) = &args.kind else {
        out!("{}", reference::list(KINDS));
        return Ok(());
    };
    match KINDS.iter().find(|kind| kind.shape.name == name) {
        Some(kind) => {
            out!("{}", reference::describe(kind));
            Ok(())
        }
        None => {
            let hint = did_you_mean(name, KINDS.iter().map(|kind| kind.shape.name));
            let error = anyhow::anyhow!("there is no kind `{name}`{hint} (`ferroflow nodes` lists them)");
            Err(Exit::with(exit::USAGE, error))
        }
    }
}
