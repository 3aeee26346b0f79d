//! What the tests of the program share.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

pub mod fer;
mod house;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub use house::House;

/// The program, with its log at warnings.
pub fn ferroflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferroflow"));
    command.env("RUST_LOG", "warn").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs the program to its end.
pub fn run<const N: usize>(arguments: [&str; N]) -> Output {
    ferroflow().args(arguments).output().unwrap()
}

/// What a run printed, and how it ended.
pub fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A file of the model manifest.
pub fn asset(name: &str) -> PathBuf {
    ferroflow_vision::model::asset_path(name).unwrap_or_else(|error| panic!("{error}: run `make setup`"))
}

/// A directory with the demo's videos.
pub fn videos() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::copy(asset("speech.mp4"), folder.path().join("speech.mp4")).unwrap();
    std::fs::copy(asset("phone.mp4"), folder.path().join("deep/phone.mp4")).unwrap();
    folder
}

/// Starts the program in the background.
pub fn spawn(arguments: &[&str]) -> Child {
    ferroflow().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal.
pub fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success()
    );
}

/// Waits until `is` holds, for `limit` at most.
pub fn wait_until(limit: Duration, mut is: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if is() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A path as text.
pub fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A JSON file's value.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
