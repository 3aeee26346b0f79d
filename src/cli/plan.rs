//! `ferroflow plan FILE`

use gstferroflow::address::without_credentials;

use super::{
    Outcome,
    run::{self, Loaded, Source},
};
use crate::{batch::draw::Form, graph::PipelineFile, stream};

/// Show what a pipeline file would run: its streams, their elements and links, checked; of a batch graph, for
/// each stage whether it is done, stale because of what, or to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// How a batch graph is drawn: text, dot for Graphviz, or mermaid.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let loaded = run::load(&args.source)?;
    run::check(&loaded, &args.source)?;
    let Loaded { file, graph } = loaded;
    let is_text = args.format == Form::Text;
    if is_text && !file.name.is_empty() {
        outln!("{}{}{}", file.name, if file.description.is_empty() { "" } else { ": " }, file.description);
        for (name, value) in &file.parameters {
            outln!("  {name} = {}", without_credentials(&value.to_string()));
        }
    }
    if let Some(graph) = &graph {
        if is_text {
            outln!("graph {}, {} stages", graph.name, graph.dag.nodes.len());
        }
        run::show(graph, &args.source, args.format)?;
    }
    if is_text { live(&file, &args.source) } else { Ok(()) }
}

/// Shows streams and directories.
fn live(file: &PipelineFile, source: &Source) -> Outcome {
    if file.stream.is_empty() && file.directory.is_none() {
        return Ok(());
    }
    stream::init()?;
    for (name, table) in &file.stream {
        let pipeline = stream::launch::parse(name, &table.launch).map_err(anyhow::Error::from)?;
        outln!("stream {name}, to run");
        out!("{}", stream::plan::describe(&pipeline));
    }
    if let Some(table) = &file.directory {
        let models = stream::directory::chain::models(&table.launch)?;
        outln!(
            "directory {} -> {}, {} at once",
            stream::directory::job::names(&table.input),
            table.output.display(),
            table.jobs
        );
        outln!("  {}", table.launch.split_whitespace().collect::<Vec<_>>().join(" "));
        models.iter().for_each(|model| outln!("  model {}", model.display()));
        let settings = run::directory_settings(table, source);
        for (path, state) in stream::directory::job::plan(&settings)? {
            outln!("  {}: {state}", path.display());
        }
    }
    Ok(())
}
