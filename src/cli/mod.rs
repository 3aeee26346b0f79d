//! The command line, one file a command.

pub mod batch;
pub mod bench;
pub mod completions;
pub mod doctor;
pub mod launch;
pub mod models;
pub mod nodes;
pub mod pipelines;
pub mod plan;
pub mod run;
pub mod store;

use std::{
    io::IsTerminal,
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{Parser, Subcommand, ValueEnum};
use ferroflow_vision::model::ModelError;
use tracing_subscriber::EnvFilter;

use crate::{exit, graph::GraphError, stream::launch::LaunchError};

/// Watches faces in video and reads their expression.
#[derive(Debug, Parser)]
#[command(name = "ferroflow", version, about, after_help = exit::HELP, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look. RUST_LOG sets which are shown.
    #[arg(long, global = true, value_enum, default_value = "pretty")]
    log: LogFormat,
    /// Serve Prometheus metrics on this address, for example 127.0.0.1:9090.
    #[arg(long, global = true, value_name = "ADDR", value_parser = address)]
    metrics_listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline: live streams, a directory of videos, a batch graph.
    Run(run::Args),
    /// Run a gst-launch string, with our elements and metrics.
    Launch(launch::Args),
    /// Read the expressions in every video of a directory.
    Batch(batch::Args),
    /// Show what a pipeline would run, and why.
    Plan(plan::Args),
    /// List the pipelines that are part of the program, or print one.
    Pipelines(pipelines::Args),
    /// List the nodes of batch graphs, or describe one.
    Nodes(nodes::Args),
    /// Look into the store of batch results, and clear it up.
    Store(store::Args),
    /// List, fetch, check and import models.
    Models(models::Args),
    /// Say what is installed, what is missing, and what to do about it.
    Doctor,
    /// Measure how good and how fast detectors are.
    Bench(bench::Args),
    /// Write a completion script for a shell.
    Completions(completions::Args),
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines: one JSON object a line, on standard error.
    Json,
}

/// Counts of what there must be one of at least.
fn one_or_more() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..)
}

/// An address with a port; the port alone is one of this machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    if let Ok(port) = local {
        return Ok(([127, 0, 0, 1], port).into());
    }
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| "write an address and a port, for example 127.0.0.1:9090".to_owned())
}

/// An error with the exit code it stands for.
#[derive(Debug)]
pub struct Exit {
    /// See [`exit`].
    pub code: u8,
    /// What to print, if anything.
    pub error: Option<anyhow::Error>,
}

impl Exit {
    /// With a code of its own.
    pub fn with(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: Some(error.into()) }
    }

    /// Without words: what was wrong has been said.
    pub fn quiet(code: u8) -> Self {
        Self { code, error: None }
    }
}

impl From<GraphError> for Exit {
    fn from(error: GraphError) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        let code = match error.downcast_ref::<GraphError>() {
            Some(GraphError::Asset { reason, .. }) => match reason.downcast_ref::<ModelError>() {
                Some(ModelError::NotFetched { .. }) => exit::MISSING,
                _ => exit::USAGE,
            },
            Some(_) => exit::USAGE,
            None if error.is::<LaunchError>() => exit::USAGE,
            None if error.is::<ModelError>() => exit::MISSING,
            None => exit::FAILURE,
        };
        Self { code, error: Some(error) }
    }
}

/// What a command answers.
pub type Outcome = Result<(), Exit>;

/// Reads the command line and runs it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log);
    let outcome = match cli.metrics_listen.map(crate::metrics::listen) {
        Some(Err(error)) => Err(Exit::with(exit::FAILURE, error)),
        _ => match cli.command {
            Command::Run(args) => run::run(&args, cli.log),
            Command::Launch(args) => launch::run(&args),
            Command::Batch(args) => batch::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Pipelines(args) => pipelines::run(&args),
            Command::Nodes(args) => nodes::run(&args),
            Command::Store(args) => store::run(&args),
            Command::Models(args) => models::run(&args),
            Command::Doctor => doctor::run(),
            Command::Bench(args) => bench::run(&args),
            Command::Completions(args) => completions::run(&args),
        },
    };
    let outcome = outcome.and_then(|()| match crate::out::failure() {
        Some(error) => Err(Exit::with(exit::FAILURE, anyhow!("standard output cannot be written: {error}"))),
        None => Ok(()),
    });
    match outcome {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(Exit { code, error }) => {
            if let Some(error) = error {
                match cli.log {
                    LogFormat::Pretty => eprintln!("error: {error:#}"),
                    LogFormat::Json => tracing::error!("{error:#}"),
                }
            }
            ExitCode::from(code)
        }
    }
}

fn start_log(format: LogFormat) {
    // ONNX Runtime's own log repeats what our errors say.
    let told = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|told| !told.is_empty());
    // Whatever else is asked for, why something failed is told.
    let filter = told.and_then(|told| EnvFilter::try_new(format!("error,{told}")).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info,ort=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => builder
            .with_target(false)
            .without_time()
            .with_ansi(std::io::stderr().is_terminal())
            .compact()
            .init(),
        LogFormat::Json => builder.json().init(),
    }
}
