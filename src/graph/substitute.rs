//! Fills in `${parameter}` and `${asset:name}`.

use std::{collections::BTreeMap, path::Path};

use super::{BoxedError, GraphError, PipelineFile, keys};

/// Finds the file of an asset of the manifest, or says why there is none.
pub type AssetPath<'a> = &'a dyn Fn(&str) -> Result<String, BoxedError>;

/// Replaces every placeholder in the file's launch strings and paths.
pub fn substitute(
    path: &Path,
    mut file: PipelineFile,
    asset: AssetPath<'_>,
) -> Result<PipelineFile, GraphError> {
    let parameters = std::mem::take(&mut file.parameters);
    let mut values = Vec::with_capacity(parameters.len());
    for (name, value) in &parameters {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        values.push((name.as_str(), text));
    }
    let filler = Filler { path, values: &values, asset };
    for (name, stream) in &mut file.stream {
        stream.launch = filler.fill(&format!("stream.{name}.launch"), &stream.launch)?;
    }
    if let Some(directory) = &mut file.directory {
        directory.launch = filler.fill("directory.launch", &directory.launch)?;
        for input in &mut directory.input {
            *input = filler.fill("directory.input", &input.to_string_lossy())?.into();
        }
        directory.output = filler.fill("directory.output", &directory.output.to_string_lossy())?.into();
    }
    for (name, node) in &mut file.node {
        if let Some(when) = node.remove("when")
            && !holds(&filler, &parameters, &format!("node.{name}.when"), when)?
        {
            file.left_out.insert(name.clone());
            continue;
        }
        for (key, value) in node.iter_mut() {
            fill_value(&filler, &parameters, &format!("node.{name}.{key}"), value)?;
        }
    }
    file.node.retain(|name, _| !file.left_out.contains(name));
    file.parameters = parameters;
    Ok(file)
}

/// Whether a node's `when` keeps it in: anything but nothing and false.
fn holds(
    filler: &Filler<'_>,
    parameters: &BTreeMap<String, toml::Value>,
    key: &str,
    mut when: toml::Value,
) -> Result<bool, GraphError> {
    match fill_value(filler, parameters, key, &mut when) {
        Err(GraphError::MissingValue { .. }) => Ok(false),
        Err(error) => Err(error),
        Ok(()) => Ok(!matches!(&when, toml::Value::Boolean(false)) && when.as_str() != Some("")),
    }
}

/// Fills in all text of a value. One that is a placeholder and nothing else takes the parameter's value with
/// its type.
fn fill_value(
    filler: &Filler<'_>,
    parameters: &BTreeMap<String, toml::Value>,
    key: &str,
    value: &mut toml::Value,
) -> Result<(), GraphError> {
    match value {
        toml::Value::String(text) => {
            let whole = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            let typed = whole.and_then(|name| parameters.get(name)).filter(|value| !value.is_str());
            *value = match typed {
                Some(typed) => typed.clone(),
                None => toml::Value::String(filler.fill(key, text)?),
            };
        }
        toml::Value::Array(values) => {
            for value in values {
                fill_value(filler, parameters, key, value)?;
            }
        }
        toml::Value::Table(table) => {
            for (_, value) in table.iter_mut() {
                fill_value(filler, parameters, key, value)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// So that it can stand between double quotes in a gst-launch string.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

struct Filler<'a> {
    path: &'a Path,
    values: &'a [(&'a str, String)],
    asset: AssetPath<'a>,
}

impl Filler<'_> {
    fn fill(&self, key: &str, text: &str) -> Result<String, GraphError> {
        let mut filled = String::with_capacity(text.len());
        let (mut rest, mut between_quotes) = (text, false);
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            // Only the text's own: those of values that were filled in are escaped, or come in pairs.
            between_quotes ^= before.matches('"').count() % 2 == 1;
            let Some((name, behind)) = after.split_once('}') else {
                filled.push_str("${");
                rest = after;
                continue;
            };
            // A parameter's value may name an asset in turn.
            let value = self.value(key, name)?;
            let value = match value.strip_prefix("asset:") {
                Some(name) => self.asset_path(name)?,
                None => value,
            };
            // Only a value between double quotes must not end them.
            filled.push_str(&if between_quotes { quoted(&value) } else { value });
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, key: &str, name: &str) -> Result<String, GraphError> {
        if let Some(asset) = name.strip_prefix("asset:") {
            return self.asset_path(asset);
        }
        let names = || self.values.iter().map(|(name, _)| *name);
        match self.values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) if value.is_empty() => {
                Err(GraphError::MissingValue { path: self.path.to_owned(), name: name.to_owned() })
            }
            Some((_, value)) => Ok(value.clone()),
            None => Err(GraphError::UnknownParameter {
                path: self.path.to_owned(),
                key: key.to_owned(),
                name: name.to_owned(),
                nearest: keys::nearest(name, names()),
                known: names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn asset_path(&self, name: &str) -> Result<String, GraphError> {
        (self.asset)(name).map_err(|reason| GraphError::Asset {
            path: self.path.to_owned(),
            name: name.to_owned(),
            reason,
        })
    }
}
