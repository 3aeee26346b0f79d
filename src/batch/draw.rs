//! Draws a graph with the state of each node: as text, as DOT for Graphviz, as Mermaid.

use std::fmt::Write;

use super::{graph::Graph, plan::State};

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A line for each node.
    #[default]
    Text,
    /// For Graphviz: `| dot -Tsvg`.
    Dot,
    /// For Mermaid.
    Mermaid,
}

/// Draws it.
pub fn draw(graph: &Graph, states: &[State], form: Form) -> String {
    match form {
        Form::Text => text(graph, states),
        Form::Dot => dot(graph, states),
        Form::Mermaid => mermaid(graph, states),
    }
}

fn text(graph: &Graph, states: &[State]) -> String {
    let nodes = &graph.dag.nodes;
    let width = |of: &dyn Fn(usize) -> usize| (0..nodes.len()).map(of).max().unwrap_or(0);
    let name_width = width(&|at| nodes[at].name.chars().count());
    let kind_width = width(&|at| graph.kind(at).shape.name.len());
    let mut text = String::new();
    for (at, (node, state)) in nodes.iter().zip(states).enumerate() {
        let kind = graph.kind(at).shape;
        let inputs: Vec<_> = node
            .inputs
            .iter()
            .map(|edge| match kind.inputs {
                [_] => graph.node_name(edge.from).to_owned(),
                _ => format!("{}={}", edge.port, graph.node_name(edge.from)),
            })
            .collect();
        let from = if inputs.is_empty() { String::new() } else { format!(" <- {}", inputs.join(", ")) };
        let _ = writeln!(text, "  {:name_width$}  {:kind_width$}{from}", node.name, kind.name);
        let _ = writeln!(text, "  {:name_width$}    {state}", "");
        if let Some(destination) = graph.stage(at).destination() {
            let _ = writeln!(text, "  {:name_width$}    copied to {}", "", destination.display());
        }
    }
    if !graph.left_out.is_empty() {
        let names: Vec<_> = graph.left_out.iter().map(String::as_str).collect();
        let _ = writeln!(text, "  left out: {}", names.join(", "));
    }
    text
}

/// Green for done, amber for stale, gray for to run.
fn color(state: &State) -> &'static str {
    match state {
        State::Done(_) => "#d7f0e0",
        State::Stale(_) => "#fdebc8",
        State::ToRun(_) => "#e9ecf2",
    }
}

fn dot(graph: &Graph, states: &[State]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n",
        escape(&graph.name)
    );
    for (at, (node, state)) in graph.dag.nodes.iter().zip(states).enumerate() {
        let (name, kind) = (escape(&node.name), graph.kind(at).shape.name);
        let label = escape(&state.to_string());
        let _ = writeln!(
            text,
            "  \"{name}\" [label=\"{name}\\n{kind}\", tooltip=\"{label}\", fillcolor=\"{}\"];",
            color(state)
        );
        for edge in &node.inputs {
            let _ = writeln!(
                text,
                "  \"{}\" -> \"{name}\" [label=\"{}\", fontsize=10];",
                escape(graph.node_name(edge.from)),
                edge.port
            );
        }
    }
    text.push_str("}\n");
    text
}

fn mermaid(graph: &Graph, states: &[State]) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (at, (node, state)) in graph.dag.nodes.iter().zip(states).enumerate() {
        let name = node.name.replace('"', "#quot;");
        let _ = writeln!(text, "  n{at}[\"{name}<br/><small>{}</small>\"]", graph.kind(at).shape.name);
        let _ = writeln!(text, "  style n{at} fill:{}", color(state));
        for edge in &node.inputs {
            let _ = writeln!(text, "  n{} -- {} --> n{at}", edge.from, edge.port);
        }
    }
    text
}
