//! The fuzz targets' corpus, and thousands of changed copies of it, are read or refused: no panic, no endless loop.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use ferroflow_vision::import::fuzz;

/// Changed copies of each seed.
const COPIES: u32 = 400;

/// Runs a target over its seeds and over copies with changed, dropped and doubled bytes.
fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("seed-"))
        .map(|entry| fs::read(entry.path()).unwrap())
        .collect();
    assert!(seeds.len() > 4, "{} has {} seeds", folder.display(), seeds.len());
    let mut state = 0x9e37_79b9u32;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below.max(1)
    };
    for seed in &seeds {
        target(seed);
        for _ in 0..COPIES {
            let mut copy = seed.clone();
            for _ in 0..=random(4) {
                let at = random(copy.len());
                match random(5) {
                    0 => copy.truncate(at),
                    1 => drop(copy.drain(at..(at + random(9)).min(copy.len()))),
                    2 => copy.extend_from_within(at..(at + random(40)).min(copy.len())),
                    3 => copy.insert(at.min(copy.len()), b"0129-.<>{}\"\0\xff"[random(13)]),
                    _ => copy.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random(8)),
                }
            }
            target(&copy);
        }
    }
}

#[test]
fn cascades_are_read_or_refused() {
    run("cascade", fuzz::cascade);
}

#[test]
fn caffe_networks_are_read_or_refused() {
    run("caffe", fuzz::caffe);
}

#[test]
fn onnx_files_are_read_or_refused() {
    run("onnx", fuzz::onnx);
}
