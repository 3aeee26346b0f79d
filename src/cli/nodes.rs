//! `ferroflow nodes`

use super::{Exit, Outcome};
use crate::{
    exit,
    graph::keys::nearest,
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
        print!("{}", reference::page(KINDS));
        return Ok(());
    }
    let Some(name) = &args.kind else {
        print!("{}", reference::list(KINDS));
        return Ok(());
    };
    match KINDS.iter().find(|kind| kind.shape.name == name) {
        Some(kind) => {
            print!("{}", reference::describe(kind));
            Ok(())
        }
        None => {
            let hint = nearest(name, KINDS.iter().map(|kind| kind.shape.name));
            let hint = hint.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"));
            let error = anyhow::anyhow!("there is no kind `{name}`{hint} `ferroflow nodes` lists them");
            Err(Exit::with(exit::USAGE, error))
        }
    }
}
