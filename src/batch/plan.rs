//! What a run would do with each node, and why.

use std::{fmt, fs};

use anyhow::Context as _;

use super::{
    fingerprints::Fingerprints,
    graph::Graph,
    ingredients::Ingredients,
    store::{History, Store, Stored},
};
use crate::graph::keys::did_you_mean;

/// What a run would do with a node.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing: its result is there.
    Done(Box<Stored>),
    /// Make it again: what it is made of has changed.
    Stale(String),
    /// Make it.
    ToRun(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("done"),
            Self::Stale(reason) => write!(f, "stale because {reason}"),
            Self::ToRun(reason) if reason.is_empty() => f.write_str("to run"),
            Self::ToRun(reason) => write!(f, "to run: {reason}"),
        }
    }
}

/// Which nodes are made again though their results are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// All of them.
    pub all: bool,
    /// These.
    pub stages: Vec<String>,
    /// These and all that come after.
    pub from: Vec<String>,
}

impl Again {
    /// For each node, whether it is; an unknown name is an error.
    pub fn nodes(&self, graph: &Graph) -> anyhow::Result<Vec<bool>> {
        let mut again = vec![self.all; graph.dag.nodes.len()];
        let find = |name: &String| {
            graph.dag.find(name).ok_or_else(|| {
                let known: Vec<_> = graph.dag.nodes.iter().map(|node| node.name.as_str()).collect();
                let hint = did_you_mean(name, known.iter().copied());
                anyhow::anyhow!("there is no stage `{name}`{hint} (stages: {})", known.join(", "))
            })
        };
        for name in &self.stages {
            again[find(name)?] = true;
        }
        for name in &self.from {
            graph.dag.downstream(find(name)?).into_iter().for_each(|node| again[node] = true);
        }
        Ok(again)
    }
}

/// What a node would be made of, once all that comes in is there.
pub fn ingredients(
    graph: &Graph,
    node: usize,
    digest_of: impl Fn(usize) -> Option<String>,
    fingerprints: &Fingerprints,
) -> anyhow::Result<Option<Ingredients>> {
    let mut inputs = Vec::new();
    for edge in &graph.dag.nodes[node].inputs {
        match digest_of(edge.from) {
            Some(digest) => inputs.push((edge.port, digest)),
            None => return Ok(None),
        }
    }
    let (kind, stage) = (graph.kind(node), graph.stage(node));
    Ingredients::gather(
        (kind.shape.name, kind.version),
        stage.parameters()?,
        inputs.into_iter(),
        stage.files()?,
        stage.names_below(),
        fingerprints,
    )
    .map(Some)
}

/// Looks whether what a node needs outside the store is there, before all that comes in is: the files that it
/// reads, and a place that its result can be copied to.
pub fn check_outside(graph: &Graph, node: usize) -> anyhow::Result<()> {
    let stage = graph.stage(node);
    for path in stage.files()? {
        fs::metadata(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    let Some(destination) = stage.destination() else { return Ok(()) };
    let place = std::path::absolute(destination)?;
    if let Some(folder) = place.ancestors().find(|above| above.is_dir()) {
        // It has no name, and is gone at once.
        tempfile::tempfile_in(folder).with_context(|| {
            format!("its result would go to {}, and {} cannot be written", place.display(), folder.display())
        })?;
    }
    Ok(())
}

/// The state of each node.
pub fn plan(
    graph: &Graph,
    store: &Store,
    history: &History,
    fingerprints: &Fingerprints,
    again: &[bool],
) -> anyhow::Result<Vec<State>> {
    let mut states: Vec<State> = Vec::with_capacity(graph.dag.nodes.len());
    for (node, &forced) in again.iter().enumerate() {
        let digest_of = |from: usize| match &states[from] {
            State::Done(stored) => Some(stored.record.digest.clone()),
            _ => None,
        };
        let made_of =
            check_outside(graph, node).and_then(|()| ingredients(graph, node, digest_of, fingerprints));
        states.push(match made_of {
            // A file that is missing shows in the plan; a run would fail there.
            Err(error) => State::ToRun(format!("will fail: {error:#}")),
            Ok(_) if forced => State::ToRun("forced".into()),
            Ok(None) => {
                let waits: Vec<_> = graph.dag.nodes[node]
                    .inputs
                    .iter()
                    .filter(|edge| !matches!(states[edge.from], State::Done(_)))
                    .map(|edge| format!("`{}`", graph.node_name(edge.from)))
                    .collect();
                State::ToRun(format!("after {}", waits.join(" and ")))
            }
            Ok(Some(made_of)) => {
                let key = made_of.key();
                match (store.result(&key), history.of(graph.node_name(node))) {
                    (Some(stored), _) => State::Done(Box::new(stored)),
                    (None, _) if store.has_checkpoints(&key) => {
                        State::ToRun("it was stopped and goes on where it was".into())
                    }
                    (None, Some(old)) if old.key() != key => State::Stale(made_of.changes_since(&old)),
                    (None, Some(_)) => State::ToRun("its result is no longer in the store".into()),
                    (None, None) => State::ToRun(String::new()),
                }
            }
        });
    }
    Ok(states)
}
