//! A whole directory: what is done is skipped, the rest goes to workers, and in the end there is a summary.

use std::{
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, anyhow, bail};
use ferroflow_vision::inference::KeepOpen;

use super::{
    LOCK, Settings, chain, process,
    process::Failure,
    progress::Progress,
    results::{self, Done, ResultWriter},
    scan::{self, Found},
    settings_key,
    summary::{Entry, Outcome, Summary},
};
use crate::fingerprint;

/// Runs the job, and has `write` write its summary while the folder for results is still its own. An error
/// means that nothing could be done at all, or that results can no longer be written; the summary of what was
/// done before is written all the same.
pub fn run(
    settings: &Settings,
    interrupted: &AtomicBool,
    write: &dyn Fn(&Summary) -> anyhow::Result<()>,
) -> anyhow::Result<Summary> {
    let began = Instant::now();
    let output = &settings.output;
    let found = scan::scan(&settings.input, output);
    if found.files.is_empty() && found.unreadable.is_empty() {
        bail!("{} holds no videos", names(&settings.input));
    }
    check_places(settings, &found.files)?;
    fs::create_dir_all(output).with_context(|| format!("the folder for results, {}", output.display()))?;
    let _lock = lock(output)?;
    results::sweep(output);
    let models = chain::models(&settings.launch)?;
    let key = settings_key::settings_key(&settings.launch, &models)?;
    let progress = Progress::new(found.files.len());
    let job = Job { settings, key: &key, progress: &progress, interrupted, fatal: Mutex::default() };
    // A video's models are the next one's.
    let models_stay = KeepOpen::new();
    let mut entries = job.run_all(&found.files)?;
    drop(models_stay);
    progress.finish();
    entries.extend(found.unreadable.into_iter().map(|(path, reason)| {
        tracing::error!("{}: {reason}", path.display());
        Entry { path, outcome: Outcome::Failed { reason } }
    }));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let summary = Summary {
        input: settings.input.clone(),
        output: output.clone(),
        entries,
        others: found.others,
        elapsed: began.elapsed(),
        interrupted: interrupted.load(Ordering::SeqCst),
    };
    let fatal = job.fatal.into_inner().unwrap_or_else(PoisonError::into_inner);
    let written = write(&summary);
    match fatal {
        Some(error) => {
            Err(error.context("stopped; what was finished before is kept, run the same again to go on"))
        }
        None => written.map(|()| summary),
    }
}

/// Paths, for messages.
pub fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What a run would do with each file, without doing it.
pub fn plan(settings: &Settings) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let models = chain::models(&settings.launch)?;
    let key = settings_key::settings_key(&settings.launch, &models)?;
    let found = scan::scan(&settings.input, &settings.output);
    let state = |file: &Found| -> anyhow::Result<String> {
        let target = settings.output.join(&file.relative);
        let Some(done) = results::done(&target) else {
            return Ok(match results::is_taken(&target) {
                true => format!("cannot run: {} is there and is no result", target.display()),
                false => "to run".into(),
            });
        };
        let content = fingerprint::content(&file.path, Some(&done.content))?;
        Ok(match (done.content.blake3 == content.blake3, done.settings == key) {
            (true, true) if settings.force => "to run again",
            (true, true) if !results::has_all(&target, settings.annotate) => {
                "stale because it has no annotated video"
            }
            (true, true) => "done",
            (false, _) => "stale because the file has changed",
            (true, false) => "stale because elements, models or this program have changed",
        }
        .into())
    };
    let files = found.files.iter().map(|file| {
        let state = state(file).unwrap_or_else(|error| format!("cannot be read: {error:#}"));
        (file.relative.clone(), state)
    });
    Ok(files.chain(found.unreadable).collect())
}

/// Refuses to write where a result would take the place of something else, such as the videos themselves.
fn check_places(settings: &Settings, files: &[Found]) -> anyhow::Result<()> {
    let place = |path: &Path| path.canonicalize().ok();
    let output = place(&settings.output);
    if let Some(input) = settings.input.iter().find(|input| output.is_some() && place(input) == output) {
        bail!(
            "results would lie among the videos themselves, in {}: choose another folder for results",
            input.display()
        );
    }
    for file in files {
        let target = settings.output.join(&file.relative);
        // An older result goes with all that lies in it.
        if let (Some(video), Some(taken)) = (place(&file.path), place(&target))
            && video.starts_with(taken)
        {
            bail!(
                "the result of {} would take its place: choose another folder for results",
                file.path.display()
            );
        }
        if results::is_taken(&target) {
            bail!(
                "{} is there already and is no result: move it away, or choose another folder for results",
                target.display()
            );
        }
    }
    Ok(())
}

/// Keeps other processes out of `output` until dropped.
fn lock(output: &Path) -> anyhow::Result<File> {
    let path = output.join(LOCK);
    let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another ferroflow is writing to {}: wait for it or choose another --out", output.display())
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

struct Job<'a> {
    settings: &'a Settings,
    key: &'a str,
    progress: &'a Progress,
    interrupted: &'a AtomicBool,
    /// What makes going on pointless.
    fatal: Mutex<Option<anyhow::Error>>,
}

impl Job<'_> {
    fn run_all(&self, files: &[Found]) -> anyhow::Result<Vec<Entry>> {
        let workers = self.settings.jobs.clamp(1, files.len().max(1));
        let (send_file, files_to_do) = crossbeam_channel::bounded::<&Found>(workers);
        let (send_entry, entries) = crossbeam_channel::unbounded();
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (files_to_do, send_entry) = (files_to_do.clone(), send_entry.clone());
                scope.spawn(move || {
                    for file in files_to_do {
                        if let Some(outcome) = self.one(file, worker) {
                            // The receiver lives until all senders are gone.
                            let _ = send_entry.send(Entry { path: file.relative.clone(), outcome });
                        }
                        self.progress.step();
                    }
                });
            }
            drop((files_to_do, send_entry));
            for file in files {
                if self.stopped() || send_file.send(file).is_err() {
                    break;
                }
            }
            drop(send_file);
            Ok(entries.iter().collect())
        })
    }

    fn stopped(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
            || self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Deals with one file; `None` when the run was stopped before it was done.
    fn one(&self, file: &Found, worker: usize) -> Option<Outcome> {
        if self.stopped() {
            return None;
        }
        let name = file.relative.display();
        // A panic is this file's failure and nobody else's.
        let attempt = catch_unwind(AssertUnwindSafe(|| self.attempt(file, worker)));
        let attempt = attempt.unwrap_or_else(|_| Err(Failure::Video(anyhow!("a bug: its worker panicked"))));
        match attempt {
            Ok(Outcome::Done(done)) => {
                let (decoded, frames, faces, tracks) =
                    (done.frames_decoded, done.frames, done.faces, done.tracks);
                let speed = frames as f64 / done.elapsed.as_secs_f64().max(1e-9);
                self.progress.say(|| {
                    outln!("{name}: {decoded} frames decoded = {frames} in the result, {faces} faces, {tracks} track{}, {speed:.1} frames/s", if tracks == 1 { "" } else { "s" });
                });
                Some(Outcome::Done(done))
            }
            Ok(outcome) => {
                self.progress.say(|| outln!("{name}: unchanged since it was done, skipping"));
                Some(outcome)
            }
            Err(Failure::Interrupted) => None,
            Err(Failure::Video(error)) => {
                let reason = format!("{error:#}");
                self.progress.say(|| tracing::error!("{name}: failed: {reason}"));
                Some(Outcome::Failed { reason })
            }
            Err(Failure::Output(error)) => {
                let reason = format!("{error:#}");
                *self.fatal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Some(Outcome::Failed { reason })
            }
        }
    }

    fn attempt(&self, file: &Found, worker: usize) -> Result<Outcome, Failure> {
        let target = self.settings.output.join(&file.relative);
        let before = results::done(&target);
        let content = fingerprint::content(&file.path, before.as_ref().map(|done| &done.content))
            .map_err(|error| Failure::Video(error.context("cannot be read")))?;
        if let Some(done) = before
            && !self.settings.force
            && done.content.blake3 == content.blake3
            && done.settings == self.key
            && results::has_all(&target, self.settings.annotate)
        {
            return Ok(Outcome::Skipped(Box::new(done)));
        }
        if content.bytes == 0 {
            return Err(Failure::Video(anyhow!("the file is empty")));
        }
        let writer = ResultWriter::create(&target).map_err(Failure::Output)?;
        let writer = Arc::new(Mutex::new(Some(writer)));
        let bar = self.progress.video(&file.relative);
        let job = format!("job-{worker}");
        let processed = process::process(&file.path, self.settings, &job, &writer, &bar, self.interrupted);
        bar.finish_and_clear();
        let processed = processed?;
        let writer = writer.lock().ok().and_then(|mut writer| writer.take());
        let writer =
            writer.ok_or_else(|| Failure::Video(anyhow!("a bug: its results are still being written")))?;
        let counts = writer.counts();
        if counts.frames != processed.frames_decoded {
            return Err(Failure::Video(anyhow!(
                "{} frames were decoded and {} are in the result: does the chain of elements drop frames?",
                processed.frames_decoded,
                counts.frames
            )));
        }
        let done = writer.publish(|counts, timeline| Done {
            source: file.path.to_string_lossy().into_owned(),
            content,
            settings: self.key.to_owned(),
            frames_decoded: processed.frames_decoded,
            frames: counts.frames,
            faces: counts.faces,
            tracks: counts.tracks,
            resolution: counts.resolution,
            seconds: processed.seconds,
            elapsed: processed.elapsed,
            timeline,
        });
        done.map(|done| Outcome::Done(Box::new(done))).map_err(Failure::Output)
    }
}
