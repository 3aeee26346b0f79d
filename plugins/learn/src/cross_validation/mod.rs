//! K-fold out-of-fold probabilities: every row is judged by a network that never saw it, nor a duplicate of it.
//!
//! Each fold trains on one thread, with all sums in a fixed order, and draws its random numbers from (seed,
//! fold, epoch): the result does not depend on how many folds train side by side. After each epoch the fold's
//! weights and momenta are written to its folder; a run that was killed goes on from there to the same bytes.

mod fold;
mod folds;
mod settings;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

pub use folds::assign;
pub use settings::Settings;

use crate::classifier::{self, Examples, check_size, loader_threads};
use crate::error::LearnError;
use crate::faces::Faces;
use crate::run::Run;
use ferroflow_cuda::Device;
use fold::Fold;

/// Raised whenever the same settings and data would give other probabilities than before.
const VERSION: u32 = 4;

/// Faces and what is known of each.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The faces.
    pub faces: Faces<'a>,
    /// A class for each, below `classes`.
    pub labels: &'a [u8],
    /// How many classes there are.
    pub classes: usize,
    /// Rows of one number (duplicates) are always in the same fold.
    pub groups: &'a [u32],
    /// Whether networks may learn from the row. Those of a test part are asked about, and teach nothing.
    pub teaches: &'a [bool],
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The fold, from 0.
    pub fold: usize,
    /// How many there are.
    pub folds: usize,
    /// How far its training is.
    pub training: classifier::Progress,
}

/// Probabilities (rows x classes, row by row) from networks that had not seen the row.
///
/// On the CPU [`Run::workers`] folds train side by side, on one thread each; on a device one fold after the
/// other, whose faces so many threads make ready. What is said of devices at [`classifier::train`] goes for
/// these networks too. `progress` is called after every step, from several threads.
///
/// # Errors
/// If the inputs do not fit each other, the loss diverges, the checkpoints are those of other settings or data, or a file
/// cannot be read or written; and if the device cannot be used, fails, or has too little memory.
pub fn out_of_fold(
    rows: Rows<'_>,
    settings: &Settings,
    run: &Run<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<f32>, LearnError> {
    check(rows, settings)?;
    let Run { checkpoints, workers, cancelled, .. } = *run;
    let device = run.device.resolve()?;
    let fingerprint = fingerprint(device, rows, settings)?;
    let loader_threads = loader_threads(device, workers);
    let workers = if device == Device::Cpu { workers } else { 1 };
    let Rows { faces, labels, classes, groups, teaches } = rows;
    let assigned = assign(labels, groups, settings.folds, settings.network.seed);
    let mut targets = vec![0.0; labels.len() * classes];
    let targets_of = targets.chunks_exact_mut(classes).zip(labels);
    targets_of.for_each(|(target, label)| target[usize::from(*label)] = 1.0);
    let examples = Examples { faces, targets: &targets, weights: None, classes };
    let mut folds = Vec::with_capacity(settings.folds);
    let folders: Vec<_> =
        (0..settings.folds).map(|index| checkpoints.join(format!("fold-{index}"))).collect();
    for (index, folder) in folders.iter().enumerate() {
        let (ask, others): (Vec<usize>, Vec<usize>) =
            (0..labels.len()).partition(|row| assigned[*row] == index);
        let learn: Vec<usize> = others.into_iter().filter(|row| teaches[*row]).collect();
        if learn.len() < 2 {
            return Err(LearnError::NothingToLearn { fold: index });
        }
        folds.push(Fold {
            index,
            examples,
            learn,
            ask,
            settings,
            fingerprint: &fingerprint,
            device,
            loader_threads,
            folder,
            progress,
            cancelled,
        });
    }

    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results = Mutex::new(Vec::with_capacity(folds.len()));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let Some(fold) = folds.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let result = fold.run();
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((fold.index, result));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.clamp(1, folds.len())).map(|_| scope.spawn(work)).collect();
        // Every thread is waited for before the first failure is told.
        let joined: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        if joined.iter().any(Result::is_err) { Err(LearnError::Panicked) } else { Ok(()) }
    })?;

    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    let mut probabilities = vec![0.0; labels.len() * classes];
    for (index, result) in results {
        let result = result?;
        for (row, values) in folds[index].ask.iter().zip(result.chunks_exact(classes)) {
            probabilities[row * classes..(row + 1) * classes].copy_from_slice(values);
        }
    }
    Ok(probabilities)
}

fn check(rows: Rows<'_>, settings: &Settings) -> Result<(), LearnError> {
    let Rows { faces, labels, classes, groups, teaches } = rows;
    settings.check()?;
    if labels.is_empty() {
        return Err(LearnError::Empty);
    }
    let lengths = [
        ("pixels", faces.pixels.len(), labels.len() * faces.width * faces.height),
        ("groups", groups.len(), labels.len()),
        ("teaches", teaches.len(), labels.len()),
    ];
    for (what, found, expected) in lengths {
        if found != expected {
            return Err(LearnError::Length { what, found, expected });
        }
    }
    if let Some(row) = labels.iter().position(|label| usize::from(*label) >= classes) {
        return Err(LearnError::Label { row, label: usize::from(labels[row]), classes });
    }
    check_size(faces, &settings.network)
}

/// What decides the result: everything but the number of workers and the folder.
fn fingerprint(device: Device, rows: Rows<'_>, settings: &Settings) -> Result<String, LearnError> {
    let Rows { faces, labels, classes, groups, teaches } = rows;
    let shape = (VERSION, settings, classes, faces.width, faces.height, labels.len());
    let shape = serde_json::to_vec(&shape).map_err(|error| LearnError::Record(error.to_string()))?;
    let mut hash = blake3::Hasher::new();
    hash.update(&shape).update(faces.pixels).update(labels);
    for group in groups {
        hash.update(&group.to_le_bytes());
    }
    let teaches: Vec<u8> = teaches.iter().map(|teaches| u8::from(*teaches)).collect();
    hash.update(&teaches);
    if let Device::Cuda(_) = device {
        hash.update(b"cuda");
    }
    Ok(hash.finalize().to_hex().to_string())
}
