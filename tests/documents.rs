//! The documents know all that there is: a name that is added to the code and not to them fails here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use ferroflow::graph::keys::{PIPELINE_FILE, Schema};
use ferroflow_vision::{face::EXPRESSIONS, model::card, record::csv};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names between quotes that begin so.
fn quoted<'a>(source: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    source.split('"').filter(move |word| word.starts_with(prefix) && !word.contains(' '))
}

fn keys(schema: &Schema, all: &mut Vec<&'static str>) {
    match schema {
        Schema::Value => {}
        Schema::Map(each) => keys(each, all),
        Schema::Table(known) => known.iter().for_each(|(name, deeper)| {
            all.push(name);
            keys(deeper, all);
        }),
    }
}

#[test]
fn formats_are_documented_to_the_last_name() {
    let page = read("docs/formats.md");
    let metrics = read("src/metrics.rs");
    let columns: Vec<&str> = csv::HEADER.trim().split(',').collect();
    let card: toml::Table = toml::from_str(card::EXAMPLE).unwrap();
    let input = card["input"].as_table().unwrap();
    let mut names: Vec<String> =
        [columns, EXPRESSIONS.to_vec()].concat().iter().map(|name| format!("`{name}`")).collect();
    names.extend(quoted(&metrics, "ferroflow_").map(|name| format!("`{name}`")));
    names.extend(
        card.keys()
            .chain(input.keys())
            .map(|key| format!("    {key} = "))
            .filter(|key| !key.contains("input")),
    );
    let mut known = Vec::new();
    keys(&PIPELINE_FILE, &mut known);
    names.extend(known.into_iter().map(str::to_owned));
    for name in names {
        assert!(page.contains(&name), "docs/formats.md says nothing of {name}");
    }
}

#[test]
fn what_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in
        ["README.md", "ARCHITECTURE.md", "docs/formats.md", "models/cards/ferroflow-expression.md"]
    {
        let text = read(document);
        let words = text.split(|c: char| c.is_whitespace() || "`()[]'\",;".contains(c));
        let paths = words.filter(|word| {
            let begins = ["pipelines/", "benches/", "plugins/", "docs/", "models/", "tests/", "src/"];
            begins.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '{', '<', '|'])
        });
        for path in paths.map(|path| path.trim_end_matches(['.', ':'])) {
            assert!(root.join(path).exists(), "{document} names {path}, which is not there");
        }
    }
}
