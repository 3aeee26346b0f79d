//! Batch graphs: nodes with typed ports, joined by edges, checked and in an order in which they can run.
//!
//! What kinds of nodes there are is told by the caller; nothing here knows what they do.

use std::{collections::BTreeMap, fmt};

use thiserror::Error;

use super::keys::{nearest, suggestion};

/// What flows over an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortType {
    /// A table with pictures of faces, their labels, and what was decided about them.
    Faces,
    /// Any table. A table of faces is one too.
    Table,
    /// A trained network, with what belongs to it.
    Model,
    /// Files for people and other programs; the end of a graph.
    Files,
}

impl PortType {
    /// Whether a port of this type takes what a node with that output gives.
    fn accepts(self, output: Self) -> bool {
        self == output || (self, output) == (Self::Table, Self::Faces)
    }
}

impl fmt::Display for PortType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faces => "faces",
            Self::Table => "table",
            Self::Model => "model",
            Self::Files => "files",
        })
    }
}

/// How many edges an input port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// None or one.
    Optional,
    /// One or more.
    Many,
    /// None, one or more.
    Any,
}

/// An input port.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Its key in a pipeline file.
    pub name: &'static str,
    /// What it takes.
    pub accepts: PortType,
    /// How often.
    pub arity: Arity,
    /// One line for the reference.
    pub doc: &'static str,
}

impl Port {
    /// A port that takes exactly one edge.
    pub const fn one(name: &'static str, accepts: PortType, doc: &'static str) -> Self {
        Self { name, accepts, arity: Arity::One, doc }
    }

    /// The only port of most stages: `input`, for faces.
    pub const fn faces(doc: &'static str) -> Self {
        Self::one("input", PortType::Faces, doc)
    }
}

/// How a kind of node looks from outside.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The name that `use` takes.
    pub name: &'static str,
    /// Input ports; `!` in a graph string fills them in this order.
    pub inputs: &'static [Port],
    /// What it gives.
    pub output: PortType,
}

/// A node as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raw {
    /// Its name, unique in the graph.
    pub name: String,
    /// The name of its kind.
    pub kind: String,
    /// Edges that end here.
    pub links: Vec<Link>,
    /// Everything else.
    pub parameters: toml::Table,
}

/// An edge as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The node that it comes from.
    pub from: String,
    /// The port that it goes to; the first free one where none is named.
    pub port: Option<String>,
}

/// An edge that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node that it comes from, lower than that of the node it goes to.
    pub from: usize,
    /// The port that it goes to.
    pub port: &'static str,
}

/// A node that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: String,
    /// Index of its kind among the shapes that the graph was built with.
    pub kind: usize,
    /// Edges that end here, in the order of the ports.
    pub inputs: Vec<Edge>,
    /// Parameters as written.
    pub parameters: toml::Table,
}

/// A graph whose nodes stand in an order in which they can run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dag {
    /// Each after all that it needs.
    pub nodes: Vec<Node>,
}

/// What is wrong with a graph. Each says what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DagError {
    #[error("two nodes are called `{0}`: give one of them another name")]
    SameName(String),
    #[error("node `{node}`: no kind `{kind}`{}; `ferroflow nodes` lists them", suggestion(nearest))]
    UnknownKind { node: String, kind: String, nearest: Option<String> },
    #[error("node `{node}`: `use` is missing: write use = \"KIND\"; `ferroflow nodes` lists them")]
    NoKind { node: String },
    #[error("node `{node}`: no node `{from}`{}", suggestion(nearest))]
    UnknownNode { node: String, from: String, nearest: Option<String> },
    #[error("node `{node}`: no input `{port}`{}; it has: {known}", suggestion(nearest))]
    UnknownPort { node: String, port: String, nearest: Option<String>, known: String },
    #[error("node `{node}`: its input `{port}` is missing: write {port} = \"NODE\"")]
    MissingInput { node: String, port: String },
    #[error("node `{node}`: its input `{port}` takes one node, and {count} were given")]
    TooMany { node: String, port: String, count: usize },
    #[error("node `{node}`: `{kind}` takes no more inputs, `{from}` cannot be linked to it")]
    NoFreePort { node: String, kind: String, from: String },
    #[error("node `{node}`: its input `{port}` takes {accepts}, `{from}` gives {gives}")]
    WrongType { node: String, port: String, accepts: PortType, from: String, gives: PortType },
    #[error("the nodes {0} form a circle: each waits for the one before; take one of the links away")]
    Cycle(String),
}

impl Dag {
    /// Checks names, kinds, ports and types, and finds the order.
    pub fn build(raw: Vec<Raw>, shapes: &[Shape]) -> Result<Self, DagError> {
        let mut index = BTreeMap::new();
        for (position, node) in raw.iter().enumerate() {
            if index.insert(node.name.as_str(), position).is_some() {
                return Err(DagError::SameName(node.name.clone()));
            }
        }
        let mut kinds = Vec::with_capacity(raw.len());
        for node in &raw {
            kinds.push(kind_of(node, shapes)?);
        }
        let mut inputs = Vec::with_capacity(raw.len());
        for (node, &(_, shape)) in raw.iter().zip(&kinds) {
            inputs.push(edges(node, shape, &index, &kinds)?);
        }
        let order = order(&inputs).map_err(|circle| {
            let names: Vec<_> =
                circle.iter().filter_map(|&at| raw.get(at)).map(|node| format!("`{}`", node.name)).collect();
            DagError::Cycle(names.join(" -> "))
        })?;
        let mut position = vec![0; raw.len()];
        for (new, &old) in order.iter().enumerate() {
            position[old] = new;
        }
        let mut taken: Vec<_> = raw.into_iter().zip(inputs).map(Some).collect();
        let nodes = order.iter().filter_map(|&old| {
            let (node, mut inputs) = taken[old].take()?;
            inputs.iter_mut().for_each(|edge| edge.from = position[edge.from]);
            Some(Node { name: node.name, kind: kinds[old].0, inputs, parameters: node.parameters })
        });
        Ok(Self { nodes: nodes.collect() })
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// This node and all that come after it, directly or through others.
    pub fn downstream(&self, start: usize) -> Vec<usize> {
        let mut reached = vec![false; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            let fed = node.inputs.iter().any(|edge| reached[edge.from]);
            reached[at] = at == start || fed;
        }
        (0..reached.len()).filter(|&at| reached[at]).collect()
    }
}

fn kind_of<'a>(node: &Raw, shapes: &'a [Shape]) -> Result<(usize, &'a Shape), DagError> {
    if node.kind.is_empty() {
        return Err(DagError::NoKind { node: node.name.clone() });
    }
    let found = shapes.iter().enumerate().find(|(_, shape)| shape.name == node.kind);
    found.ok_or_else(|| DagError::UnknownKind {
        node: node.name.clone(),
        kind: node.kind.clone(),
        nearest: nearest(&node.kind, shapes.iter().map(|shape| shape.name)),
    })
}

/// The edges that end at a node, in the order of its ports.
fn edges(
    node: &Raw,
    shape: &Shape,
    index: &BTreeMap<&str, usize>,
    kinds: &[(usize, &Shape)],
) -> Result<Vec<Edge>, DagError> {
    let name = || node.name.clone();
    let mut edges: Vec<Edge> = Vec::with_capacity(node.links.len());
    for Link { from, port } in &node.links {
        let &source = index.get(from.as_str()).ok_or_else(|| DagError::UnknownNode {
            node: name(),
            from: from.clone(),
            nearest: nearest(from, index.keys().copied()),
        })?;
        let is_free = |port: &Port| {
            matches!(port.arity, Arity::Many | Arity::Any) || !edges.iter().any(|edge| edge.port == port.name)
        };
        let port =
            match port {
                Some(wanted) => shape.inputs.iter().find(|port| port.name == wanted).ok_or_else(|| {
                    let known = || shape.inputs.iter().map(|port| port.name);
                    DagError::UnknownPort {
                        node: name(),
                        port: wanted.clone(),
                        nearest: nearest(wanted, known()),
                        known: known().collect::<Vec<_>>().join(", "),
                    }
                })?,
                None => shape.inputs.iter().find(|port| is_free(port)).ok_or_else(|| {
                    DagError::NoFreePort { node: name(), kind: node.kind.clone(), from: from.clone() }
                })?,
            };
        let gives = kinds[source].1.output;
        if !port.accepts.accepts(gives) {
            let (port, accepts) = (port.name.to_owned(), port.accepts);
            return Err(DagError::WrongType { node: name(), port, accepts, from: from.clone(), gives });
        }
        edges.push(Edge { from: source, port: port.name });
    }
    for port in shape.inputs {
        let count = edges.iter().filter(|edge| edge.port == port.name).count();
        match (port.arity, count) {
            (Arity::One | Arity::Many, 0) => {
                return Err(DagError::MissingInput { node: name(), port: port.name.into() });
            }
            (Arity::One | Arity::Optional, 2..) => {
                return Err(DagError::TooMany { node: name(), port: port.name.into(), count });
            }
            _ => {}
        }
    }
    let place = |edge: &Edge| shape.inputs.iter().position(|port| port.name == edge.port);
    edges.sort_by_key(place);
    Ok(edges)
}

/// Every node after its inputs, else in the order of the file (Kahn 1962); or the nodes of a circle.
fn order(inputs: &[Vec<Edge>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut placed = vec![false; inputs.len()];
    let mut order = Vec::with_capacity(inputs.len());
    while order.len() < inputs.len() {
        let is_ready = |at: &usize| !placed[*at] && inputs[*at].iter().all(|edge| placed[edge.from]);
        match (0..inputs.len()).find(is_ready) {
            Some(next) => {
                placed[next] = true;
                order.push(next);
            }
            None => return Err(circle(inputs, &placed)),
        }
    }
    Ok(order)
}

/// Follows inputs that are not placed until a node comes up again.
fn circle(inputs: &[Vec<Edge>], placed: &[bool]) -> Vec<usize> {
    let waiting = |edges: &[Edge]| edges.iter().map(|edge| edge.from).find(|&from| !placed[from]);
    let mut path = Vec::new();
    let mut next = (0..inputs.len()).find(|&at| !placed[at]);
    while let Some(at) = next {
        if let Some(begin) = path.iter().position(|&seen| seen == at) {
            path.drain(..begin);
            // Against the arrows so far; now along them, back to where it began.
            path.reverse();
            path.extend(path.first().copied());
            break;
        }
        path.push(at);
        next = waiting(&inputs[at]);
    }
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    const ANY: &[Port] = &[Port { name: "input", accepts: PortType::Table, arity: Arity::Many, doc: "" }];
    const SHAPES: &[Shape] = &[
        Shape { name: "source", inputs: &[], output: PortType::Table },
        Shape { name: "stage", inputs: ANY, output: PortType::Faces },
    ];

    /// A stage at the end of some links, or a source where there are none.
    fn node(at: usize, from: &[usize]) -> Raw {
        let link = |from: &usize| Link { from: from.to_string(), port: None };
        let kind = if from.is_empty() { "source" } else { "stage" };
        Raw {
            name: at.to_string(),
            kind: kind.into(),
            links: from.iter().map(link).collect(),
            ..Raw::default()
        }
    }

    #[test]
    fn what_comes_after_a_node_is_found_through_others() {
        let raw = vec![node(0, &[]), node(1, &[0]), node(2, &[0]), node(3, &[1]), node(4, &[3, 2])];
        let dag = Dag::build(raw, SHAPES).unwrap();
        let names =
            |nodes: Vec<usize>| nodes.iter().map(|&node| dag.nodes[node].name.clone()).collect::<String>();
        assert_eq!(names(dag.downstream(dag.find("1").unwrap())), "134");
    }

    proptest::proptest! {
        #[test]
        fn every_node_stands_after_what_it_needs_or_a_circle_is_named(
            links in proptest::collection::vec(proptest::collection::vec(0usize..6, 0..3), 6),
        ) {
            let raw: Vec<_> = links.iter().enumerate().map(|(at, from)| node(at, from)).collect();
            match Dag::build(raw, SHAPES) {
                Ok(dag) => {
                    assert_eq!(dag.nodes.len(), 6);
                    for (at, node) in dag.nodes.iter().enumerate() {
                        assert!(node.inputs.iter().all(|edge| edge.from < at));
                    }
                }
                Err(DagError::Cycle(circle)) => {
                    let names: Vec<usize> =
                        circle.split(" -> ").map(|name| name.trim_matches('`').parse().unwrap()).collect();
                    assert_eq!(names.first(), names.last());
                    for pair in names.windows(2) {
                        assert!(links[pair[1]].contains(&pair[0]), "{circle}: {links:?}");
                    }
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
