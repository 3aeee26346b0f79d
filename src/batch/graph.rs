//! A batch graph with its stages made.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::stage::{AnyStage, Kind};
use crate::atomic;
use crate::graph::{
    GraphError, PipelineFile,
    dag::{Arity, Dag, Link, Node, Raw},
    line,
};

/// Nodes in the order in which they can run, and the stage of each.
pub struct Graph {
    /// Its name.
    pub name: String,
    /// The file or text it came from: what its memory goes by.
    pub origin: String,
    /// The nodes.
    pub dag: Dag,
    /// Nodes that are in the file and not in the graph: their own `when` left them out, or that of one they need.
    pub left_out: BTreeSet<String>,
    stages: Vec<(Kind, Box<dyn AnyStage>)>,
}

impl Graph {
    /// Checks nodes, links and parameters.
    pub fn build(
        path: &Path,
        name: &str,
        origin: String,
        raw: Vec<Raw>,
        kinds: &[Kind],
    ) -> Result<Self, GraphError> {
        let shapes: Vec<_> = kinds.iter().map(|kind| kind.shape).collect();
        let dag = Dag::build(raw, &shapes)
            .map_err(|reason| GraphError::Dag { path: path.to_owned(), reason: Box::new(reason) })?;
        let make =
            |node: &Node| {
                let kind = kinds[node.kind];
                let stage = (kind.make)(node.parameters.clone()).map_err(|reason| {
                    GraphError::Parameters { path: path.to_owned(), node: node.name.clone(), reason }
                })?;
                Ok((kind, stage))
            };
        let stages = dag.nodes.iter().map(make).collect::<Result<Vec<_>, GraphError>>()?;
        separate(path, &dag, &stages)?;
        Ok(Self { name: name.to_owned(), origin, dag, left_out: BTreeSet::new(), stages })
    }

    /// The graph of a pipeline file.
    pub fn of_file(path: &Path, file: &PipelineFile, kinds: &[Kind]) -> Result<Self, GraphError> {
        let raw = file.node.iter().map(|(name, table)| raw(path, name, table, kinds));
        let (raw, left_out) =
            leave_out(raw.collect::<Result<_, GraphError>>()?, file.left_out.clone(), kinds);
        let origin = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let origin = origin.to_string_lossy().into_owned();
        Ok(Self { left_out, ..Self::build(path, &file.name, origin, raw, kinds)? })
    }

    /// The graph of a string in gst-launch's syntax.
    pub fn of_line(text: &str, kinds: &[Kind]) -> Result<Self, GraphError> {
        let mut raw = line::parse(text).map_err(GraphError::Line)?;
        for node in &mut raw {
            let kind = kinds.iter().find(|kind| kind.shape.name == node.kind);
            // What `train` makes is called as its node is; most kinds have nothing to call.
            if !kind.is_some_and(|kind| kind.parameters().iter().any(|known| known.name == line::NAME)) {
                node.parameters.remove(line::NAME);
            }
        }
        Self::build(Path::new("graph"), "graph", text.to_owned(), raw, kinds)
    }

    /// The kind of a node.
    pub fn kind(&self, node: usize) -> &Kind {
        &self.stages[node].0
    }

    /// The stage of a node.
    pub fn stage(&self, node: usize) -> &dyn AnyStage {
        self.stages[node].1.as_ref()
    }

    /// The name of a node.
    pub fn node_name(&self, node: usize) -> &str {
        &self.dag.nodes[node].name
    }
}

/// Refuses two results that are copied to one folder, or one into the other: each copy replaces what was
/// there. And those that are copied into what the graph reads, or around it: the next run would read them, or
/// find what it reads replaced.
fn separate(path: &Path, dag: &Dag, stages: &[(Kind, Box<dyn AnyStage>)]) -> Result<(), GraphError> {
    let mut taken: Vec<(PathBuf, String)> = Vec::new();
    for (node, (kind, stage)) in dag.nodes.iter().zip(stages) {
        for (key, value) in &node.parameters {
            let one = std::slice::from_ref(value);
            let named = value
                .as_array()
                .map_or(one, Vec::as_slice)
                .iter()
                .filter_map(toml::Value::as_str)
                .map(Path::new);
            // Classifiers and backbones go by files, too; folders are read where a parameter is for them.
            let is_read =
                |path: &&Path| path.is_file() || kind.paths.contains(&key.as_str()) && path.exists();
            let sources = named.filter(is_read).filter(|path| Some(*path) != stage.destination());
            taken.extend(sources.map(|source| (resolved(source), format!("`{}` reads", node.name))));
        }
    }
    for (node, (_, stage)) in dag.nodes.iter().zip(stages) {
        let Some(destination) = stage.destination() else { continue };
        let refused =
            |reason| GraphError::Parameters { path: path.to_owned(), node: node.name.clone(), reason };
        // In time: its result may take hours.
        atomic::followed(destination).map_err(|error| {
            refused(format!("its result would go to {}: {error:#}", destination.display()))
        })?;
        let folder = resolved(destination);
        let meets = |(other, _): &&(PathBuf, String)| folder.starts_with(other) || other.starts_with(&folder);
        if let Some((other, what)) = taken.iter().find(meets) {
            let reason = format!(
                "its result would go to {}, and {what} {}: neither may lie in the other, so name another folder",
                folder.display(),
                other.display()
            );
            return Err(refused(reason));
        }
        taken.push((folder, format!("that of `{}` goes to", node.name)));
    }
    Ok(())
}

/// Where a path leads, with as much of it as there is followed through links.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match found.and_then(|(above, real)| Some(real.join(path.strip_prefix(above).ok()?))) {
        // Joined with nothing, a path would end in a separator.
        Some(real) => real.components().collect(),
        None => path,
    }
}

/// Takes out the nodes that need one that is left out, and the links from such to those that can do without.
fn leave_out(
    mut raw: Vec<Raw>,
    mut left_out: BTreeSet<String>,
    kinds: &[Kind],
) -> (Vec<Raw>, BTreeSet<String>) {
    let must_have = |node: &Raw, link: &Link| {
        let kind = kinds.iter().find(|kind| kind.shape.name == node.kind);
        let mut ports = kind.map_or(&[][..], |kind| kind.shape.inputs).iter();
        ports.any(|port| Some(port.name) == link.port.as_deref() && port.arity == Arity::One)
    };
    while let Some(at) = raw
        .iter()
        .position(|node| node.links.iter().any(|link| left_out.contains(&link.from) && must_have(node, link)))
    {
        left_out.insert(raw.remove(at).name);
    }
    raw.iter_mut().for_each(|node| node.links.retain(|link| !left_out.contains(&link.from)));
    (raw, left_out)
}

/// A node's table: `use`, the inputs of its kind, and parameters.
fn raw(path: &Path, name: &str, table: &toml::Table, kinds: &[Kind]) -> Result<Raw, GraphError> {
    let wrong = |reason: String| GraphError::Parameters { path: path.to_owned(), node: name.into(), reason };
    let mut node = Raw { name: name.to_owned(), parameters: table.clone(), ..Raw::default() };
    node.kind = match node.parameters.remove("use") {
        Some(toml::Value::String(kind)) => kind,
        Some(other) => return Err(wrong(format!("`use` must be the name of a kind, not {other}"))),
        None => String::new(),
    };
    let Some(kind) = kinds.iter().find(|kind| kind.shape.name == node.kind) else { return Ok(node) };
    for port in kind.shape.inputs {
        let mut link = |value: &toml::Value| match value.as_str() {
            Some(from) => {
                node.links.push(Link { from: from.to_owned(), port: Some(port.name.to_owned()) });
                Ok(())
            }
            None => Err(wrong(format!("the input `{}` must be the name of a node, not {value}", port.name))),
        };
        match node.parameters.remove(port.name) {
            None => {}
            Some(toml::Value::Array(values)) => values.iter().try_for_each(&mut link)?,
            Some(value) => link(&value)?,
        }
    }
    Ok(node)
}
