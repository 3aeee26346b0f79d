//! The batch engine with stages of the test's own: what runs side by side, what panics, what is shared.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use ferroflow::{
    batch::{
        Context, Facts, Kind, Limits, Needs, Stage,
        graph::Graph,
        progress::Progress,
        schedule::{self, Options, Outcome},
        store::Store,
    },
    graph::dag::{Arity, Port, PortType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Waits until another of its kind runs as well.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Meet {
    which: String,
}

/// Those that run now, and the most there were at once.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

impl Stage for Meet {
    const NAME: &'static str = "meet";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUT: PortType = PortType::Table;

    fn needs(&self) -> Needs {
        Needs { cores: 1, memory_per_core: 100, device: None }
    }

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        let now = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(now, Ordering::SeqCst);
        let began = Instant::now();
        while MOST.load(Ordering::SeqCst) < 2 && began.elapsed() < Duration::from_millis(600) {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::write(context.out.join("which"), &self.which)?;
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        Ok(Facts::default())
    }
}

/// Panics.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Panic {}

impl Stage for Panic {
    const NAME: &'static str = "panic";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port { name: "input", accepts: PortType::Table, arity: Arity::Optional, doc: "Anything." }];
    const OUTPUT: PortType = PortType::Table;

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        fs::write(context.out.join("half"), "a result")?;
        panic!("the stage is broken")
    }
}

/// Writes the same whatever comes in.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Constant {
    #[allow(dead_code, reason = "a change of it is what the test is about")]
    change: u32,
}

impl Stage for Constant {
    const NAME: &'static str = "constant";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port { name: "input", accepts: PortType::Table, arity: Arity::Optional, doc: "Anything." }];
    const OUTPUT: PortType = PortType::Table;

    fn run(&self, context: &Context) -> anyhow::Result<Facts> {
        fs::write(context.out.join("same"), "the same")?;
        Ok(Facts::default())
    }
}

const KINDS: &[Kind] = &[Kind::of::<Meet>(), Kind::of::<Panic>(), Kind::of::<Constant>()];

fn run(line: &str, store: &Store, limits: Limits) -> Vec<Outcome> {
    let graph = Graph::of_line(line, KINDS).unwrap();
    let options = Options { limits, again: vec![false; graph.dag.nodes.len()], progress: Progress::hidden() };
    schedule::run(&graph, store, &options, &AtomicBool::new(false))
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

#[test]
fn stages_that_do_not_wait_for_each_other_run_side_by_side_within_the_limits() {
    let (_folder, store) = store();
    run("meet which=a  meet which=b", &store, Limits { cores: 2, memory: 150 });
    assert_eq!(MOST.swap(0, Ordering::SeqCst), 1, "memory for one");
    run("meet which=c  meet which=d", &store, Limits { cores: 1, memory: 1000 });
    assert_eq!(MOST.swap(0, Ordering::SeqCst), 1, "one core");
    run("meet which=e  meet which=f", &store, Limits { cores: 2, memory: 1000 });
    assert_eq!(MOST.swap(0, Ordering::SeqCst), 2, "room for both");
}

#[test]
fn a_stage_that_panics_fails_alone_and_leaves_nothing_half_done() {
    let (folder, store) = store();
    let outcomes = run("panic ! constant change=1  constant name=other change=2", &store, Limits::default());
    let Outcome::Failed(reason) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("a bug: the stage is broken"), "{reason}");
    assert!(
        matches!(outcomes[1], Outcome::NotRun) && matches!(outcomes[2], Outcome::Made(_)),
        "{outcomes:?}"
    );
    assert_eq!(fs::read_dir(folder.path().join("results")).unwrap().count(), 1);
    let half = walkdir::WalkDir::new(folder.path()).into_iter().filter_map(Result::ok);
    assert_eq!(half.filter(|entry| entry.file_name() == "half").count(), 0);
}

#[test]
fn a_change_that_comes_out_the_same_stops_there() {
    let (_folder, store) = store();
    let line = |change: u32| format!("constant name=a change={change} ! constant name=b change=0");
    run(&line(1), &store, Limits::default());
    let outcomes = run(&line(2), &store, Limits::default());
    assert!(matches!(outcomes[0], Outcome::Made(_)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Unchanged(_)), "{outcomes:?}");
}
