//! What a stage is: a documented set of parameters that can run. Each lives in a file of its own in `src/nodes`.

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema};
use serde::{Serialize, de::DeserializeOwned};

use super::{Context, Facts, Needs};
use crate::graph::{
    dag::{Port, PortType, Shape},
    keys::did_you_mean,
    value,
};

/// A stage. The type is its parameters: with `deny_unknown_fields`, defaults, and a comment on each field, from which
/// `ferroflow nodes` and the reference are made.
pub trait Stage: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The name that `use` takes.
    const NAME: &'static str;
    /// Goes up whenever the same inputs and parameters give another result.
    const VERSION: u32;
    /// Input ports.
    const INPUTS: &'static [Port];
    /// What it gives.
    const OUTPUT: PortType;
    /// Parameters whose name does not change the result: paths whose content counts, and destinations.
    const PATHS: &'static [&'static str] = &[];

    /// Refuses values that cannot be; the message names the parameter.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Files from outside the graph that the result depends on: data and models.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// The folder below which the names of those files decide as well as their content, such as folders that
    /// are classes.
    fn names_below(&self) -> Option<&Path> {
        None
    }

    /// A folder outside the store that gets a copy of the result.
    fn destination(&self) -> Option<&Path> {
        None
    }

    /// What it takes to run.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Runs: reads the inputs, writes files into [`Context::out`], and returns facts worth telling.
    fn run(&self, context: &Context) -> anyhow::Result<Facts>;
}

/// A [`Stage`] with its parameters, of whatever type.
pub trait AnyStage: Send + Sync {
    /// The parameters that make the result what it is, defaults included.
    fn parameters(&self) -> anyhow::Result<serde_json::Value>;
    /// As [`Stage::files`].
    fn files(&self) -> anyhow::Result<Vec<PathBuf>>;
    /// As [`Stage::names_below`].
    fn names_below(&self) -> Option<&Path>;
    /// As [`Stage::destination`].
    fn destination(&self) -> Option<&Path>;
    /// As [`Stage::needs`].
    fn needs(&self) -> Needs;
    /// As [`Stage::run`].
    fn run(&self, context: &Context) -> anyhow::Result<Facts>;
}

impl<T: Stage> AnyStage for T {
    fn parameters(&self) -> anyhow::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            T::PATHS.iter().for_each(|path| {
                object.remove(*path);
            });
        }
        Ok(value)
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        Stage::files(self)
    }

    fn names_below(&self) -> Option<&Path> {
        Stage::names_below(self)
    }

    fn destination(&self) -> Option<&Path> {
        Stage::destination(self)
    }

    fn needs(&self) -> Needs {
        Stage::needs(self)
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        Stage::run(self, context)
    }
}

/// A kind of node.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name and ports.
    pub shape: Shape,
    /// See [`Stage::VERSION`].
    pub version: u32,
    /// See [`Stage::PATHS`].
    pub paths: &'static [&'static str],
    /// The parameters, with their documentation.
    pub schema: fn() -> Schema,
    /// Makes a stage of parameters, or says what is wrong with them.
    pub make: fn(toml::Table) -> Result<Box<dyn AnyStage>, String>,
}

impl Kind {
    /// The kind of a stage.
    pub const fn of<T: Stage>() -> Self {
        Self {
            shape: Shape { name: T::NAME, inputs: T::INPUTS, output: T::OUTPUT },
            version: T::VERSION,
            paths: T::PATHS,
            schema: || schemars::schema_for!(T),
            make: make::<T>,
        }
    }

    /// The documented parameters: name, type, default, description.
    pub fn parameters(&self) -> Vec<Parameter> {
        let schema = (self.schema)();
        let root = schema.as_value();
        let properties = root.get("properties").and_then(serde_json::Value::as_object);
        let required: Vec<&str> = root
            .get("required")
            .and_then(serde_json::Value::as_array)
            .map_or_else(Vec::new, |names| names.iter().filter_map(serde_json::Value::as_str).collect());
        let one = |(name, property): (&String, &serde_json::Value)| Parameter {
            name: name.clone(),
            kind: type_name(property, root),
            default: match required.contains(&name.as_str()) {
                true => None,
                false => Some(property.get("default").map_or(serde_json::Value::Null, shortest)),
            },
            description: text(property, "description"),
            values: values(property, root),
        };
        properties.map_or_else(Vec::new, |properties| properties.iter().map(one).collect())
    }

    /// What the kind does, as its documentation says.
    pub fn description(&self) -> String {
        text((self.schema)().as_value(), "description")
    }
}

/// One parameter of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its key.
    pub name: String,
    /// What it may be.
    pub kind: String,
    /// What it is unless given; nothing where it must be given.
    pub default: Option<serde_json::Value>,
    /// What it does.
    pub description: String,
    /// Where it is one of a few words, each with what it does.
    pub values: Vec<(String, String)>,
}

fn text(schema: &serde_json::Value, key: &str) -> String {
    schema.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

/// The shortest number that is the same single: 0.35, not 0.3499999940395355.
fn shortest(value: &serde_json::Value) -> serde_json::Value {
    let number = value.as_f64().filter(|_| value.is_f64());
    let short = number.filter(|number| f64::from(*number as f32) == *number);
    let short = short.and_then(|number| (number as f32).to_string().parse::<f64>().ok());
    short.map_or_else(|| value.clone(), serde_json::Value::from)
}

/// The words that a property may be, each with its description.
fn values(property: &serde_json::Value, root: &serde_json::Value) -> Vec<(String, String)> {
    if let Some(reference) = property.get("$ref").and_then(serde_json::Value::as_str) {
        let found = root.pointer(reference.trim_start_matches('#'));
        return found.map_or_else(Vec::new, |found| values(found, root));
    }
    let one = |variant: &serde_json::Value| {
        let word = variant.get("const").and_then(serde_json::Value::as_str)?;
        Some((word.to_owned(), text(variant, "description")))
    };
    let variants = property.get("oneOf").and_then(serde_json::Value::as_array);
    variants.map_or_else(Vec::new, |variants| variants.iter().filter_map(one).collect())
}

/// The type of a property, as a user would write it.
fn type_name(property: &serde_json::Value, root: &serde_json::Value) -> String {
    if let Some(reference) = property.get("$ref").and_then(serde_json::Value::as_str) {
        let pointer = reference.trim_start_matches('#');
        return root.pointer(pointer).map_or_else(String::new, |found| type_name(found, root));
    }
    let variants = |list: &[serde_json::Value]| {
        let names: Vec<_> =
            list.iter().map(|one| type_name(one, root)).filter(|name| name != "null").collect();
        names.join(" or ")
    };
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(list) = property.get(key).and_then(serde_json::Value::as_array) {
            return variants(list);
        }
    }
    if let Some(list) = property.get("enum").and_then(serde_json::Value::as_array) {
        let names: Vec<_> = list.iter().map(ToString::to_string).collect();
        return names.join(" or ");
    }
    if let Some(only) = property.get("const") {
        return only.to_string();
    }
    let of = |name: &str| match name {
        "array" => {
            let items = property.get("items").map(|items| type_name(items, root)).unwrap_or_default();
            format!("list of {items}")
        }
        "object" => "table".to_owned(),
        other => other.to_owned(),
    };
    match property.get("type") {
        Some(serde_json::Value::String(name)) => of(name),
        Some(serde_json::Value::Array(names)) => {
            let names = names.iter().filter_map(serde_json::Value::as_str).filter(|name| *name != "null");
            names.map(of).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

fn make<T: Stage>(parameters: toml::Table) -> Result<Box<dyn AnyStage>, String> {
    let known = Kind::of::<T>().parameters();
    let names = || known.iter().map(|parameter| parameter.name.as_str());
    if let Some(unknown) = parameters.keys().find(|key| !names().any(|name| name == *key)) {
        let hint = did_you_mean(unknown, names().chain(T::INPUTS.iter().map(|port| port.name)));
        let names = names().collect::<Vec<_>>().join(", ");
        return Err(format!("`{}` has no parameter `{unknown}`{hint} (it has: {names})", T::NAME));
    }
    let stage: T = toml::Value::Table(parameters).try_into().map_err(|error| {
        let reason = error.to_string();
        format!("`{}`: {}", T::NAME, value::in_words(reason.trim_end()).replace('\n', " "))
    })?;
    stage.check()?;
    Ok(Box::new(stage))
}
