//! Graphs over the small FER2013 of a folder.

use std::{path::Path, process::Output};

use ferroflow::batch::data::{Faces, Table};

use super::{fer, ferroflow, name, text};

/// Runs a graph in a folder.
pub fn run(folder: &Path, graph: &str) -> Output {
    let mut command = ferroflow();
    command
        .args(["run", graph])
        .env("FERROFLOW_STORE", folder.join("store"))
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs a graph with an export behind it, and answers with the faces of a split.
pub fn exported(folder: &Path, graph: &str) -> Faces {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let out = format!("out-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let output = run(folder, &format!("{graph} ! export path={out} dropped=true"));
    assert_eq!(text(&output).0, Some(0), "{graph}: {}", text(&output).2);
    Faces::of(Table::open(&folder.join(out).join("data/train-00000-of-00001.parquet")).unwrap()).unwrap()
}

/// What a graph that must fail says.
pub fn refuse(folder: &Path, graph: &str) -> String {
    let output = run(folder, graph);
    assert_ne!(text(&output).0, Some(0), "{graph}: {}", text(&output).1);
    text(&output).2.replace(name(folder), "FOLDER")
}

/// A folder with `fer2013.csv` and `votes.csv`.
pub fn folder_with(rows: &[fer::Row]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fer::write(folder.path(), rows);
    folder
}
