//! The reference of nodes: `ferroflow nodes`, and `docs/nodes.md`.

use std::fmt::Write;

use crate::{
    batch::{Kind, stage::Parameter},
    graph::dag::{Arity, Port},
};

/// One line of a kind's description: its first sentence.
pub fn summary(kind: &Kind) -> String {
    let description = kind.description();
    let paragraph = description.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    paragraph.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// All kinds, a line each.
pub fn list(kinds: &[Kind]) -> String {
    let width = kinds.iter().map(|kind| kind.shape.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for kind in kinds {
        let _ = writeln!(text, "{:width$}  {}", kind.shape.name, summary(kind));
    }
    text
}

/// A kind with its ports and parameters, for a terminal.
pub fn describe(kind: &Kind) -> String {
    let shape = kind.shape;
    let mut text = format!("{}\n\n{}\n\n", shape.name, kind.description());
    for Port { name, accepts, arity, doc } in shape.inputs {
        let _ = writeln!(text, "  input  {name}: {accepts}{}. {doc}", how_many(*arity));
    }
    let _ = writeln!(text, "  output {}\n", shape.output);
    for parameter in kind.parameters() {
        let _ = writeln!(text, "  {} ({}{})", parameter.name, parameter.kind, default(&parameter));
        parameter.description.lines().for_each(|line| {
            let _ = writeln!(text, "      {line}");
        });
        parameter.values.iter().for_each(|(word, meaning)| {
            let _ = writeln!(text, "      - {word}: {}", meaning.replace('\n', " "));
        });
    }
    text
}

/// The page of all kinds, as Markdown.
pub fn page(kinds: &[Kind]) -> String {
    let mut text = "# Nodes of batch graphs\n\nMade from the source by `ferroflow nodes --markdown`; a test fails when it is stale. A node is a table in a pipeline \
        file: `use`, its inputs by name, its parameters.\n\n"
        .to_owned();
    for kind in kinds {
        let name = kind.shape.name;
        let _ = writeln!(text, "- [`{name}`](#{name}): {}", summary(kind));
    }
    for kind in kinds {
        let shape = kind.shape;
        let _ = writeln!(text, "\n## `{}`\n\n{}\n", shape.name, kind.description());
        for Port { name, accepts, arity, doc } in shape.inputs {
            let _ = writeln!(text, "- input `{name}`: {accepts}{}. {doc}", how_many(*arity));
        }
        let _ = writeln!(text, "- output: {}", shape.output);
        let parameters = kind.parameters();
        if parameters.is_empty() {
            continue;
        }
        text.push_str("\n| parameter | type | default | what it does |\n|---|---|---|---|\n");
        for Parameter { name, kind, default, description, values } in parameters {
            let default = match default {
                None => "must be given".to_owned(),
                Some(serde_json::Value::Null) => "none".to_owned(),
                Some(value) => format!("`{value}`"),
            };
            let values = values.iter().map(|(word, meaning)| format!("<br>`{word}`: {meaning}"));
            let description = std::iter::once(description).chain(values).collect::<String>();
            let description = description.replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(text, "| `{name}` | {kind} | {default} | {description} |");
        }
    }
    text
}

fn how_many(arity: Arity) -> &'static str {
    match arity {
        Arity::One => "",
        Arity::Optional => ", may be left out",
        Arity::Many => ", one or more",
        Arity::Any => ", none, one or more",
    }
}

fn default(parameter: &Parameter) -> String {
    match &parameter.default {
        None => ", must be given".to_owned(),
        Some(serde_json::Value::Null) => String::new(),
        Some(value) => format!(", default {value}"),
    }
}
