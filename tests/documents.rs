//! The documents know all that there is: a name that is added to the code and not to them fails here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path};

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

/// All keys of a JSON object, and of those in it; what is below `scores` is called by the classes.
fn fields(value: &serde_json::Value, all: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => object.iter().for_each(|(key, value)| {
            all.insert(key.clone());
            if key != "scores" {
                fields(value, all);
            }
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| fields(value, all)),
        _ => {}
    }
}

/// The source of all nodes and of what they share.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, all),
            false => all.push_str(&fs::read_to_string(path).unwrap()),
        }
    }
}

#[test]
fn formats_are_documented_to_the_last_name() {
    let page = read("docs/formats.md");
    let mut names = BTreeSet::new();
    let columns = csv::HEADER.trim().split(',');
    names.extend(columns.chain(EXPRESSIONS).map(|name| format!("`{name}`")));
    let metrics = read("src/metrics.rs");
    names.extend(quoted(&metrics, "ferroflow_").map(|name| format!("`{name}`")));
    // What is written of a frame: a snapshot of another test.
    let snapshots = "plugins/vision/src/record/snapshots/ferroflow_vision__record__json__tests__";
    let line = read(&format!("{snapshots}a_frame_is_one_line_in_dl_streamers_layout.snap"));
    let mut in_lines = BTreeSet::new();
    fields(&serde_json::from_str(line.lines().last().unwrap()).unwrap(), &mut in_lines);
    assert!(in_lines.contains("bounding_box") && in_lines.contains("smoothed"), "{in_lines:?}");
    names.extend(in_lines.into_iter().map(|field| format!("\"{field}\"")));
    // Columns of tables: those whose names stand in the source.
    let mut source = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src/nodes", "src/batch/data"].iter().for_each(|folder| sources(&root.join(folder), &mut source));
    let columns = source.split("Field::new(\"").skip(1).filter_map(|rest| rest.split('"').next());
    // Of lists, of pictures, and of tables that are results for themselves.
    let others = ["item", "faces", "model"];
    let named = read("src/batch/data/columns.rs");
    let columns = columns.chain(named.split("&str = \"").skip(1).filter_map(|rest| rest.split('"').next()));
    let columns: BTreeSet<&str> = columns.filter(|name| !others.contains(name)).collect();
    assert!(columns.contains("duplicate_of") && columns.contains("fold"), "{columns:?}");
    names.extend(columns.into_iter().map(|column| format!("`{column}`")));
    let card: toml::Table = toml::from_str(card::EXAMPLE).unwrap();
    let input = card["input"].as_table().unwrap();
    let of_card = card.keys().chain(input.keys()).filter(|key| *key != "input");
    names.extend(of_card.map(|key| format!("\n    {key} = ")));
    let mut known = vec!["use", "when"];
    keys(&PIPELINE_FILE, &mut known);
    for key in known {
        let [value, table, map] =
            [format!("\n    {key} = "), format!("\n    [{key}]"), format!("\n    [{key}.")];
        let is_there = [value, table, map].iter().any(|form| page.contains(form));
        assert!(is_there, "docs/formats.md shows no pipeline file with {key}");
    }
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
