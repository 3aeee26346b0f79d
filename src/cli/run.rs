//! `ferroflow run FILE`

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::anyhow;

use super::{Exit, LogFormat, Outcome, store};
use crate::{
    batch::{
        self, Limits,
        draw::{self, Form},
        fingerprints::Fingerprints,
        graph::Graph,
        limits::Bytes,
        plan::Again,
        progress::Progress,
        schedule,
        store::Store,
    },
    exit,
    graph::{self, DirectoryTable, PipelineFile, StreamTable, substitute::substitute},
    nodes, pipelines, report,
    stream::{self, directory, interrupt, live},
};

/// Run a pipeline: live streams, a directory of videos, a batch graph.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) source: Source,
    #[command(flatten)]
    pub(super) batch: BatchArgs,
}

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// A pipeline file; the name of one that `ferroflow pipelines` lists; or a batch graph in one string: 'fer2013
    /// path=fer2013.csv ! deduplicate ! export path=out'.
    #[arg(value_name = "PIPELINE")]
    pub file: PathBuf,
    /// Set a parameter or a key, for example --set input=clip.mp4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub(super) store: store::Root,
    /// Make the results of a batch graph or a directory again, or only that of one stage of a graph.
    #[arg(long, value_name = "STAGE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub force: Vec<String>,
    /// Make the results of this stage of a batch graph and of all that come after it again.
    #[arg(long, value_name = "STAGE")]
    pub from: Vec<String>,
}

/// How to run a batch graph.
#[derive(Debug, clap::Args)]
pub struct BatchArgs {
    /// Only show what a batch graph would run, and why.
    #[arg(long)]
    pub dry: bool,
    /// Threads that all stages of a batch graph together may use; all cores unless given.
    #[arg(long, value_name = "N", value_parser = super::one_or_more())]
    pub cores: Option<usize>,
    /// Memory that all stages of a batch graph together may plan with, for example 3GB; four fifths of what
    /// is free unless given.
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
}

/// What a source holds.
pub struct Loaded {
    /// The file; empty for a graph in a string.
    pub file: PipelineFile,
    /// The batch graph, if it has one.
    pub graph: Option<Graph>,
}

/// Loads a pipeline with all its placeholders filled in, or a graph string. A file goes before a pipeline of
/// the program that is called like it; a folder does not, since such a pipeline leaves one.
pub fn load(source: &Source) -> Result<Loaded, Exit> {
    let text = source.file.to_string_lossy();
    if !source.file.exists() && (text.contains('!') || text.contains('=')) {
        let graph = Graph::of_line(&text, nodes::KINDS)?;
        return Ok(Loaded { file: PipelineFile::default(), graph: Some(graph) });
    }
    let asset = |name: &str| {
        let path = ferroflow_vision::model::asset_path(name)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let file = match pipelines::find(&source.file).filter(|_| !source.file.is_file()) {
        Some(shipped) => shipped.load(&source.sets)?,
        None if !source.file.exists() => return Err(super::pipelines::unknown(&source.file)),
        None => graph::load(&source.file, &source.sets)?,
    };
    let file = substitute(&source.file, file, &asset)?;
    let graph = match file.node.is_empty() {
        true => None,
        false => Some(Graph::of_file(&source.file, &file, nodes::KINDS)?),
    };
    Ok(Loaded { file, graph })
}

/// Refuses options that would mean nothing for what was loaded: whoever gave them counts on them.
pub fn check(Loaded { file, graph }: &Loaded, source: &Source) -> Outcome {
    let usage = |reason: &'static str| Err(Exit::with(exit::USAGE, anyhow!(reason)));
    let stages = source.force.iter().chain(&source.from).any(|stage| !stage.is_empty());
    match graph {
        Some(_) if file.node.is_empty() && !source.sets.is_empty() => {
            usage("--set is for pipeline files: in a graph string, write the parameter behind its stage")
        }
        None if stages => usage("--from STAGE and --force=STAGE are for batch graphs"),
        None if again(source).all && file.directory.is_none() => {
            usage("--force is for batch graphs and directories: streams keep no results")
        }
        _ => Ok(()),
    }
}

/// A directory's settings, as file and command line have them.
pub fn directory_settings(table: &DirectoryTable, source: &Source) -> directory::Settings {
    directory::Settings { force: again(source).all, ..table.into() }
}

/// Runs the command.
pub fn run(args: &Args, log: LogFormat) -> Outcome {
    let loaded = load(&args.source)?;
    check(&loaded, &args.source)?;
    let Loaded { file, graph } = loaded;
    let usage = |reason: &'static str| Err(Exit::with(exit::USAGE, anyhow!(reason)));
    if args.batch.dry {
        return match &graph {
            Some(graph) => show(graph, &args.source, Form::Text),
            None => usage("--dry is for batch graphs; see `ferroflow plan`"),
        };
    }
    if graph.is_none() && (args.batch.cores.is_some() || args.batch.memory.is_some()) {
        return usage("--cores and --memory are for batch graphs; `jobs` says how many videos run at once");
    }
    let interrupted = interrupt::watch()?;
    if let Some(graph) = &graph {
        batch_graph(graph, args, log, &interrupted)?;
    }
    if file.directory.is_none() && file.stream.is_empty() {
        return Ok(());
    }
    stream::init()?;
    if let Some(table) = &file.directory {
        directory_job(&directory_settings(table, &args.source), &interrupted)?;
    }
    streams(&file.stream, &interrupted)
}

fn again(source: &Source) -> Again {
    let (all, stages): (Vec<_>, Vec<_>) = source.force.iter().cloned().partition(String::is_empty);
    Again { all: !all.is_empty(), stages, from: source.from.clone() }
}

/// Prints what a run would do with each node.
pub fn show(graph: &Graph, source: &Source, form: Form) -> Outcome {
    let store = Store::open(&source.store.path()?)?;
    let again = again(source).nodes(graph).map_err(|error| Exit::with(exit::USAGE, error))?;
    let (history, fingerprints) =
        (store.history(&graph.name, &graph.origin), Fingerprints::open(store.root()));
    let states = batch::plan::plan(graph, &store, &history, &fingerprints, &again)?;
    fingerprints.save()?;
    out!("{}", draw::draw(graph, &states, form));
    Ok(())
}

/// Runs a batch graph and says how it went.
fn batch_graph(graph: &Graph, args: &Args, log: LogFormat, interrupted: &AtomicBool) -> Outcome {
    let store = Store::open(&args.source.store.path()?)?;
    let again = again(&args.source).nodes(graph).map_err(|error| Exit::with(exit::USAGE, error))?;
    let free = Limits::default();
    let limits = Limits {
        cores: args.batch.cores.unwrap_or(free.cores).max(1),
        memory: args.batch.memory.map_or(free.memory, |Bytes(bytes)| bytes),
    };
    let options = schedule::Options { limits, again, progress: Progress::new(log == LogFormat::Json) };
    let began = std::time::Instant::now();
    let outcomes = schedule::run(graph, &store, &options, interrupted);
    let count = |is: fn(&schedule::Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let made = count(|outcome| matches!(outcome, schedule::Outcome::Made(_)));
    let unchanged = count(|outcome| matches!(outcome, schedule::Outcome::Unchanged(_)));
    let failed = count(|outcome| matches!(outcome, schedule::Outcome::Failed(_)));
    let not_run = outcomes.len() - made - unchanged - failed;
    outln!(
        "{}: {made} made, {unchanged} unchanged, {failed} failed, {not_run} not run in {:.1} s",
        graph.name,
        began.elapsed().as_secs_f64()
    );
    for (node, outcome) in outcomes.iter().enumerate() {
        let Some(stored) = outcome.stored() else { continue };
        let is_end =
            || !graph.dag.nodes.iter().any(|later| later.inputs.iter().any(|edge| edge.from == node));
        match graph.stage(node).destination() {
            Some(destination) => {
                outln!("  {}: {}", graph.node_name(node), what_to_open(destination).display())
            }
            None if is_end() => {
                outln!("  {}: no `path`, kept in {}", graph.node_name(node), stored.folder.display())
            }
            None => {}
        }
    }
    match (interrupted.load(Ordering::SeqCst) && not_run > 0, failed) {
        (true, _) => Err(Exit::quiet(exit::INTERRUPTED)),
        (false, 0) => Ok(()),
        (false, _) if made + unchanged == 0 => Err(Exit::quiet(exit::FAILURE)),
        (false, _) => Err(Exit::quiet(exit::PARTIAL)),
    }
}

/// A page where there is one, else the folder.
fn what_to_open(destination: &Path) -> PathBuf {
    let page = destination.join("index.html");
    if page.is_file() { page } else { destination.to_owned() }
}

/// Runs a directory and says how it went.
pub fn directory_job(settings: &directory::Settings, interrupted: &AtomicBool) -> Outcome {
    if let Some(missing) = settings.input.iter().find(|input| !input.exists()) {
        return Err(Exit::with(exit::USAGE, anyhow!("{} does not exist", missing.display())));
    }
    let summary = directory::job::run(settings, interrupted, &report::directory::write)?;
    let (done, skipped, failed) = summary.counts();
    let page = summary.output.join("index.html");
    if summary.others > 0 {
        outln!("{} other files are no videos by their names, and were left out", summary.others);
    }
    outln!(
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
pub fn streams(streams: &BTreeMap<String, StreamTable>, interrupted: &Arc<AtomicBool>) -> Outcome {
    if streams.is_empty() {
        return Ok(());
    }
    let ready = live::build(streams).map_err(anyhow::Error::from)?;
    let mut failures = Vec::new();
    // Standard output is for what pipelines write, such as fermeta's lines.
    for live::Outcome { summary, result } in live::run(ready, interrupted) {
        failures.extend(result.err());
        if let Some(summary) = summary.filter(|summary| summary.frames > 0) {
            tracing::info!("{summary}");
        }
    }
    match failures.pop() {
        None if interrupted.load(Ordering::SeqCst) => Err(Exit::quiet(exit::INTERRUPTED)),
        None => Ok(()),
        Some(error) if streams.len() == 1 => Err(Exit::with(exit::FAILURE, error)),
        // Each was told when it happened.
        Some(_) if failures.len() + 1 == streams.len() => Err(Exit::quiet(exit::FAILURE)),
        Some(_) if interrupted.load(Ordering::SeqCst) => Err(Exit::quiet(exit::INTERRUPTED)),
        Some(_) => Err(Exit::quiet(exit::PARTIAL)),
    }
}
