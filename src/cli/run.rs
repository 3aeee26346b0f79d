//! `ferroflow run FILE`

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::anyhow;

use super::{Exit, Outcome};
use crate::{
    exit,
    graph::{self, PipelineFile, StreamTable, substitute::substitute},
    stream::{self, directory, interrupt, live},
};

/// Run a pipeline file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline file.
    pub file: PathBuf,
    /// Set a parameter or a key, for example --set input=clip.mp4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Loads a pipeline file with all its placeholders filled in.
pub fn load(args: &Args) -> anyhow::Result<PipelineFile> {
    let asset = |name: &str| {
        let path = ferroflow_vision::model::asset_path(name).map_err(|error| error.to_string())?;
        Ok(path.to_string_lossy().into_owned())
    };
    Ok(substitute(&args.file, graph::load(&args.file, &args.sets)?, &asset)?)
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let file = load(args)?;
    stream::init()?;
    let interrupted = interrupt::watch()?;
    if let Some(table) = &file.directory {
        directory_job(&directory::Settings::from(table), &interrupted)?;
    }
    streams(&file.stream, &interrupted)
}

/// Runs a directory and says how it went.
pub fn directory_job(settings: &directory::Settings, interrupted: &std::sync::atomic::AtomicBool) -> Outcome {
    let summary = directory::job::run(settings, interrupted)?;
    let (done, skipped, failed) = summary.counts();
    let page = summary.output.join("index.html");
    println!(
        "{done} done, {skipped} unchanged, {failed} failed in {:.1} s; see {}",
        summary.elapsed.as_secs_f64(),
        page.display()
    );
    match (summary.interrupted, failed) {
        (true, _) => Err(Exit::quiet(exit::INTERRUPTED)),
        (false, 0) => Ok(()),
        (false, _) if done + skipped == 0 => Err(Exit::quiet(exit::FAILURE)),
        (false, _) => Err(Exit::quiet(exit::PARTIAL)),
    }
}

/// Runs live streams and says how each went.
pub fn streams(
    streams: &BTreeMap<String, StreamTable>,
    interrupted: &std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> Outcome {
    if streams.is_empty() {
        return Ok(());
    }
    let outcomes = live::run(streams, interrupted);
    let mut failures = Vec::new();
    for (_, outcome) in outcomes {
        // Standard output is for what pipelines write, such as fermeta's lines.
        match &outcome.result {
            Ok(()) => {}
            Err(error) => failures.push(anyhow!("{error:#}")),
        }
        if let Some(summary) = outcome.summary.filter(|summary| summary.frames > 0) {
            tracing::info!("{summary}");
        }
    }
    let all_failed = failures.len() == streams.len();
    match failures.pop() {
        None if interrupted.load(std::sync::atomic::Ordering::SeqCst) => Err(Exit::quiet(exit::INTERRUPTED)),
        None => Ok(()),
        Some(last) => {
            failures.iter().for_each(|failure| tracing::error!("{failure:#}"));
            Err(Exit::with(if all_failed { exit::FAILURE } else { exit::PARTIAL }, last))
        }
    }
}
