//! Refuses keys that nobody reads, with the nearest that somebody does.

use std::path::Path;

use super::GraphError;

/// What may stand under a key.
pub enum Schema {
    /// A value, of whatever type.
    Value,
    /// A table with these keys.
    Table(&'static [(&'static str, Schema)]),
    /// A table whose keys the user chooses.
    Map(&'static Schema),
}

impl Schema {
    /// The keys that may stand here, where they are not the user's to choose.
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Table(keys) => keys.iter().map(|(name, _)| *name).collect(),
            Self::Value | Self::Map(_) => Vec::new(),
        }
    }
}

const STREAM: Schema = Schema::Table(&[("launch", Schema::Value), ("restarts", Schema::Value)]);

/// The keys of a pipeline file.
pub const PIPELINE_FILE: Schema = Schema::Table(&[
    ("name", Schema::Value),
    ("description", Schema::Value),
    ("parameters", Schema::Map(&Schema::Value)),
    ("stream", Schema::Map(&STREAM)),
    // What a node's table may hold is its kind's to say.
    ("node", Schema::Map(&Schema::Value)),
    (
        "directory",
        Schema::Table(&[
            ("input", Schema::Value),
            ("output", Schema::Value),
            ("jobs", Schema::Value),
            ("annotate", Schema::Value),
            ("launch", Schema::Value),
        ]),
    ),
]);

/// Compares every key of `value` with the schema.
pub fn check(path: &Path, value: &toml::Value, schema: &Schema, prefix: &str) -> Result<(), GraphError> {
    let Some(table) = value.as_table() else { return Ok(()) };
    for (key, inner) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match schema {
            Schema::Value => {}
            Schema::Map(each) => check(path, inner, each, &full)?,
            Schema::Table(known) => match known.iter().find(|(name, _)| name == key) {
                Some((_, deeper)) => check(path, inner, deeper, &full)?,
                None => {
                    let names = || known.iter().map(|(name, _)| *name);
                    return Err(GraphError::UnknownKey {
                        path: path.to_owned(),
                        key: full,
                        nearest: nearest(key, names()),
                        known: names().collect::<Vec<_>>().join(", "),
                    });
                }
            },
        }
    }
    Ok(())
}

/// For the end of a message: ", did you mean `x`?", or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    suggestion(&nearest(name, known))
}

/// The same of what was found to be nearest.
pub fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"))
}

/// The most similar of `known`, when it is similar enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
