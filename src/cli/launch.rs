//! `ferroflow launch 'gst string'`

use std::collections::BTreeMap;

use super::{Outcome, run};
use crate::{
    graph::StreamTable,
    stream::{self, interrupt},
};

/// Run a gst-launch string, with our elements and metrics.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline in gst-launch's syntax, as one argument or as several.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub pipeline: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    stream::init()?;
    let interrupted = interrupt::watch()?;
    let table = StreamTable { launch: args.pipeline.join(" "), restarts: 0 };
    run::streams(&BTreeMap::from([("main".to_owned(), table)]), &interrupted)
}
