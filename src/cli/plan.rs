//! `ferroflow plan FILE`

use super::{Outcome, run};
use crate::stream;

/// Show what a pipeline file would run: its streams, their elements and links, checked.
pub type Args = run::Args;

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let file = run::load(args)?;
    stream::init()?;
    println!("{}{}{}", file.name, if file.description.is_empty() { "" } else { ": " }, file.description);
    for (name, value) in &file.parameters {
        println!("  {name} = {value}");
    }
    for (name, table) in &file.stream {
        let pipeline = stream::launch::parse(name, &table.launch)?;
        println!("stream {name}, to run");
        print!("{}", stream::plan::describe(&pipeline));
    }
    if let Some(table) = &file.directory {
        let models = stream::directory::process::models(&table.launch)?;
        println!(
            "directory {} -> {}, {} at once",
            stream::directory::job::names(&table.input),
            table.output.display(),
            table.jobs
        );
        println!("  {}", table.launch.split_whitespace().collect::<Vec<_>>().join(" "));
        models.iter().for_each(|model| println!("  model {}", model.display()));
        let settings = stream::directory::Settings::from(table);
        for (path, state) in stream::directory::job::plan(&settings)? {
            println!("  {}: {state}", path.display());
        }
    }
    Ok(())
}
