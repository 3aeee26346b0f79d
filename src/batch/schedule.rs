//! Runs a graph: what is done is skipped, stages that wait for nothing run side by side as far as the limits go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use crossbeam_channel::{RecvTimeoutError, Sender};

use super::{
    Context, Facts, Input, Interrupted, Limits, context, deliver,
    fingerprints::Fingerprints,
    flow,
    graph::Graph,
    ingredients::Ingredients,
    limits::{Share, Taken},
    machine::{self, Machine},
    plan,
    progress::Progress,
    record::Record,
    store::{History, Store, Stored},
};

/// What became of a node.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its result was there.
    Unchanged(Box<Stored>),
    /// Its result is there now.
    Made(Box<Stored>),
    /// It has none.
    Failed(String),
    /// It was not run, because a node that it needs has no result, or because the run was stopped.
    NotRun,
}

impl Outcome {
    /// The result, where there is one.
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Unchanged(stored) | Self::Made(stored) => Some(stored),
            Self::Failed(_) | Self::NotRun => None,
        }
    }
}

/// How to run.
#[derive(Debug)]
pub struct Options {
    /// How much of the machine to take.
    pub limits: Limits,
    /// For each node, whether it is made again though its result is there.
    pub again: Vec<bool>,
    /// Bars.
    pub progress: Progress,
}

/// Runs the graph and says what became of each node, in their order.
pub fn run(graph: &Graph, store: &Store, options: &Options, interrupted: &AtomicBool) -> Vec<Outcome> {
    let run = Run {
        graph,
        store,
        options,
        interrupted,
        fingerprints: Fingerprints::open(store.root()),
        history: store.history(&graph.name, &graph.origin),
    };
    let outcomes = run.all();
    if let Err(error) = run.fingerprints.save() {
        tracing::warn!("files will be read again next time: {error:#}");
    }
    outcomes
}

struct Run<'a> {
    graph: &'a Graph,
    store: &'a Store,
    options: &'a Options,
    interrupted: &'a AtomicBool,
    fingerprints: Fingerprints,
    history: History,
}

/// What a stage's thread answers.
struct Finished {
    node: usize,
    share: Share,
    outcome: Outcome,
}

impl Run<'_> {
    fn all(&self) -> Vec<Outcome> {
        let count = self.graph.dag.nodes.len();
        let mut outcomes: Vec<Option<Outcome>> = vec![None; count];
        let mut is_running = vec![false; count];
        // Gathered once: a stage that waits for cores need not look at its files again and again.
        let mut ingredients: Vec<Option<Ingredients>> = vec![None; count];
        let mut taken = Taken::default();
        // Told now, not after the hours that the stages before it take; they run all the same.
        for (node, outcome) in outcomes.iter_mut().enumerate() {
            let missing = plan::check_outside(self.graph, node).err();
            *outcome = missing.map(|error| self.tell(node, Outcome::Failed(format!("{error:#}"))));
        }
        let (send, finished) = crossbeam_channel::unbounded::<Finished>();
        std::thread::scope(|scope| {
            loop {
                let (mut has_settled, mut ready) = (false, Vec::new());
                for node in 0..count {
                    if is_running[node] || outcomes[node].is_some() {
                        continue;
                    }
                    match self.consider(node, &outcomes, &mut ingredients[node]) {
                        Next::Wait => {}
                        Next::Settled(outcome) => {
                            outcomes[node] = Some(self.tell(node, outcome));
                            has_settled = true;
                        }
                        Next::Run => ready.push(node),
                    }
                }
                // Small ones first: one that takes all cores would else hold them up for as long as it runs.
                ready.sort_by_key(|node| self.graph.stage(*node).needs().cores);
                for node in ready {
                    let needs = self.graph.stage(node).needs();
                    let Some(share) = taken.take(&needs, &self.options.limits) else { continue };
                    let Some(ingredients) = ingredients[node].take() else { continue };
                    let inputs = self.inputs(node, &outcomes);
                    is_running[node] = true;
                    let send = send.clone();
                    scope.spawn(move || self.stage(node, ingredients, inputs, share, &send));
                }
                if has_settled {
                    continue;
                }
                if !is_running.iter().any(|running| *running) {
                    break;
                }
                match finished.recv_timeout(Duration::from_millis(500)) {
                    Ok(Finished { node, share, outcome }) => {
                        is_running[node] = false;
                        taken.give(&share);
                        outcomes[node] = Some(self.tell(node, outcome));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotRun)).collect()
    }

    /// What to do with a node now. What it is made of is gathered when all that comes in is there.
    fn consider(
        &self,
        node: usize,
        outcomes: &[Option<Outcome>],
        gathered: &mut Option<Ingredients>,
    ) -> Next {
        let edges = &self.graph.dag.nodes[node].inputs;
        if edges.iter().any(|edge| outcomes[edge.from].as_ref().is_some_and(|from| from.stored().is_none())) {
            return Next::Settled(Outcome::NotRun);
        }
        if edges.iter().any(|edge| outcomes[edge.from].is_none()) {
            return Next::Wait;
        }
        if self.interrupted.load(Ordering::SeqCst) {
            return Next::Settled(Outcome::NotRun);
        }
        let digest_of = |from: usize| {
            outcomes[from].as_ref().and_then(Outcome::stored).map(|stored| stored.record.digest.clone())
        };
        if gathered.is_some() {
            return Next::Run;
        }
        match plan::ingredients(self.graph, node, digest_of, &self.fingerprints) {
            Err(error) => Next::Settled(Outcome::Failed(format!("{error:#}"))),
            Ok(None) => Next::Wait,
            Ok(Some(ingredients)) => match self.store.result(&ingredients.key()) {
                Some(stored) if !self.options.again[node] => {
                    Next::Settled(self.settle(node, &ingredients, stored, Outcome::Unchanged))
                }
                _ => {
                    *gathered = Some(ingredients);
                    Next::Run
                }
            },
        }
    }

    fn inputs(&self, node: usize, outcomes: &[Option<Outcome>]) -> Vec<Input> {
        let edges = self.graph.dag.nodes[node].inputs.iter();
        let input = |edge: &crate::graph::dag::Edge| {
            let stored = outcomes[edge.from].as_ref().and_then(Outcome::stored)?;
            let kind = self.graph.kind(edge.from).shape.name;
            Some(Input { port: edge.port, kind, folder: stored.folder.clone() })
        };
        edges.filter_map(input).collect()
    }

    /// Runs a stage in its thread and answers.
    fn stage(
        &self,
        node: usize,
        ingredients: Ingredients,
        inputs: Vec<Input>,
        share: Share,
        send: &Sender<Finished>,
    ) {
        let name = self.graph.node_name(node);
        let gauge = metrics::gauge!("ferroflow_stage_running", "stage" => name.to_owned());
        gauge.set(1.0);
        let made = self.make(node, &ingredients, inputs, share.cores);
        gauge.set(0.0);
        let outcome = match made {
            Ok((stored, true)) => self.settle(node, &ingredients, stored, Outcome::Made),
            Ok((stored, false)) => self.settle(node, &ingredients, stored, Outcome::Unchanged),
            Err(error) if error.is::<Interrupted>() => Outcome::NotRun,
            Err(error) => Outcome::Failed(format!("{:#}", with_advice(error, Some(self.store.root())))),
        };
        // The receiver lives until all stages are done.
        let _ = send.send(Finished { node, share, outcome });
    }

    /// Makes a result; false when another process has made it meanwhile.
    fn make(
        &self,
        node: usize,
        ingredients: &Ingredients,
        inputs: Vec<Input>,
        workers: usize,
    ) -> anyhow::Result<(Stored, bool)> {
        let (name, key) = (self.graph.node_name(node), ingredients.key());
        let waiting = || {
            let say = || tracing::info!("{name}: another ferroflow is making this result, waiting");
            self.options.progress.say(say, say);
        };
        let Some(attempt) = self.store.begin(&key, self.options.again[node], self.interrupted, waiting)?
        else {
            return self.store.result(&key).map(|stored| (stored, false)).context("a result has gone");
        };
        self.options.progress.say(|| tracing::info!(stage = name, state = "begun", workers, "begun"), || {});
        let (began, started) = (Instant::now(), jiff::Timestamp::now());
        let context = Context {
            inputs,
            out: attempt.out.clone(),
            checkpoints: attempt.checkpoints.clone(),
            workers,
            progress: self.options.progress.stage(name),
            interrupted: self.interrupted,
        };
        let ran = catch_unwind(AssertUnwindSafe(|| self.graph.stage(node).run(&context)));
        context.progress.finish();
        let facts = ran.unwrap_or_else(|panic| Err(anyhow!("a bug: {}", flow::reason(&*panic))))?;
        context::write_facts(&attempt.out, &facts)?;
        let stored = attempt.publish(|digest, bytes| Record {
            node: name.to_owned(),
            key,
            digest,
            bytes,
            ingredients: ingredients.clone(),
            started: started.to_string(),
            seconds: began.elapsed().as_secs_f64(),
            workers,
            peak_memory: machine::peak_memory(),
            machine: Machine::this(),
        })?;
        Ok((stored, true))
    }

    /// Remembers what the node was made of, and copies the result to where it is wanted.
    fn settle(
        &self,
        node: usize,
        ingredients: &Ingredients,
        stored: Stored,
        outcome: fn(Box<Stored>) -> Outcome,
    ) -> Outcome {
        let name = self.graph.node_name(node);
        if let Err(error) = self.history.remember(name, ingredients) {
            tracing::warn!("{name}: the next plan may not know why it must run again: {error:#}");
        }
        let destination = self.graph.stage(node).destination();
        match destination.map_or(Ok(()), |destination| deliver::deliver(&stored, destination)) {
            Ok(()) => outcome(Box::new(stored)),
            Err(error) => Outcome::Failed(format!("{:#}", with_advice(error, None))),
        }
    }

    /// Says what became of a node.
    fn tell(&self, node: usize, outcome: Outcome) -> Outcome {
        let stage = self.graph.node_name(node);
        let word = match &outcome {
            Outcome::Unchanged(_) => "unchanged",
            Outcome::Made(_) => "made",
            Outcome::Failed(_) => "failed",
            Outcome::NotRun => "not run",
        };
        metrics::counter!("ferroflow_stages_total", "outcome" => word).increment(1);
        let progress = &self.options.progress;
        match &outcome {
            Outcome::Unchanged(stored) => progress.say(
                || tracing::info!(stage, state = word, key = stored.record.key, "unchanged, skipping"),
                || outln!("{stage}: unchanged, skipping"),
            ),
            Outcome::Made(stored) => {
                let (seconds, facts) = (stored.record.seconds, read_facts(stored));
                metrics::histogram!("ferroflow_stage_seconds", "stage" => stage.to_owned()).record(seconds);
                progress.say(
                    || {
                        let facts = serde_json::to_string(&facts).unwrap_or_default();
                        tracing::info!(stage, state = word, key = stored.record.key, seconds, facts, "made");
                    },
                    || match facts.line() {
                        line if line.is_empty() => outln!("{stage}: made in {seconds:.1} s"),
                        line => outln!("{stage}: made in {seconds:.1} s: {line}"),
                    },
                );
            }
            Outcome::Failed(reason) => progress.say(
                || tracing::error!(stage, state = word, reason, "failed"),
                || eprintln!("error: {stage}: {reason}"),
            ),
            Outcome::NotRun => progress.say(|| tracing::info!(stage, state = word, "not run"), || {}),
        }
        outcome
    }
}

/// The facts of a result; none where they cannot be read.
pub fn read_facts(stored: &Stored) -> Facts {
    let text = std::fs::read(stored.folder.join(context::FACTS)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

enum Next {
    Wait,
    Settled(Outcome),
    Run,
}

/// Says what to do about a full disk; results in the store at `root` may fill it.
fn with_advice(error: anyhow::Error, root: Option<&Path>) -> anyhow::Error {
    let is_full = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    };
    if !error.chain().any(is_full) && !format!("{error:#}").contains("No space left on device") {
        return error;
    }
    let prune = root.map_or_else(String::new, |root| {
        format!(". `ferroflow store prune --store {}` removes results that nobody needs", root.display())
    });
    error.context(format!(
        "the disk is full: free some space and run the same again; what is finished is kept{prune}"
    ))
}
