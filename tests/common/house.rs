//! A folder in which the program runs: its data, its store, and room for what comes out.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{fer, ferroflow, name, text};

pub struct House {
    folder: tempfile::TempDir,
}

impl House {
    /// A house with these rows as `fer2013.csv`, and votes on them.
    pub fn new(rows: &[fer::Row]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fer::write(folder.path(), rows);
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The program, told to work here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ferroflow();
        command.args(arguments).env("FERROFLOW_STORE", self.path("store")).current_dir(self.folder());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and must succeed; answers with what it printed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let (code, out, error) = text(&self.run(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {out} {error}");
        out
    }

    /// Runs and must fail; answers with what it said, without the folder's name.
    pub fn refuse(&self, arguments: &[&str]) -> String {
        let (code, out, error) = text(&self.run(arguments));
        assert_ne!(code, Some(0), "{arguments:?}: {out}");
        error.replace(name(self.folder()), "HOUSE")
    }

    /// Runs a graph given as text and must succeed; answers with what it printed.
    pub fn succeed_graph(&self, graph: &str, more: &[&str]) -> String {
        fs::write(self.path("graph.toml"), graph).unwrap();
        self.succeed(&[&["run", "graph.toml"], more].concat())
    }

    /// Runs a graph given as text and must fail; answers with what it said.
    pub fn refuse_graph(&self, graph: &str) -> String {
        fs::write(self.path("graph.toml"), graph).unwrap();
        self.refuse(&["run", "graph.toml"])
    }

    /// The records of all results in the store, with their folders.
    fn records(&self) -> impl Iterator<Item = (PathBuf, serde_json::Value)> {
        fs::read_dir(self.path("store/results")).unwrap().map(|entry| {
            let folder = entry.unwrap().path();
            let record = fs::read(folder.join("record.json")).unwrap();
            (folder, serde_json::from_slice(&record).unwrap())
        })
    }

    /// The folders of a node's results in the store.
    pub fn results(&self, node: &str) -> Vec<PathBuf> {
        self.records().filter(|(_, record)| record["node"] == node).map(|(folder, _)| folder).collect()
    }

    /// The digests of all results, by node.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let of = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap().to_owned();
        self.records().map(|(_, record)| (of(&record, "node"), of(&record, "digest"))).collect()
    }
}
