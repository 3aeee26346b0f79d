//! `ferroflow bench detectors`

use std::path::PathBuf;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use ferroflow_vision::detect::{Backend, DetectorKind};

use super::{Exit, Outcome};
use crate::{
    bench::{
        annotated::{AnnotatedSet, Level},
        detectors::{self, Report, Settings},
    },
    exit, report,
};

/// Measure how good and how fast detectors are.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Average precision on annotated pictures, and speed on frames of 640x360 and 1280x720.
    ///
    /// Every detector runs on the CPU and, where it loads, on CUDA. Average precision is that of the WIDER
    /// FACE evaluation; precision and recall are those at the detector's own threshold.
    Detectors(Detectors),
}

#[derive(Debug, clap::Args)]
struct Detectors {
    /// Annotated pictures: a folder with boxes.json and images/, or with WIDER FACE's
    /// wider_face_val_bbx_gt.txt and its pictures. Without it, speed alone is measured.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Detectors, for example yunet,ssd; without it, all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    detectors: Vec<String>,
    /// Whose code: native,opencv runs both; OpenCV has haar and ssd, on the CPU.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_enum, default_value = "native")]
    backend: Vec<BackendName>,
    /// CPU threads of one detection; 0 takes one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Write all results here, with the curves.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with the precision-recall curves here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Whose code detects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendName {
    /// Ours, or ONNX Runtime.
    Native,
    /// OpenCV.
    Opencv,
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Native => Self::Native,
            BackendName::Opencv => Self::OpenCv,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let Bench::Detectors(args) = &args.command;
    let usage = |error: anyhow::Error| Exit::with(exit::USAGE, error);
    let mut kinds = DetectorKind::ALL.to_vec();
    if !args.detectors.is_empty() {
        let named = args.detectors.iter().map(|name| name.trim().parse());
        kinds = named.collect::<Result<_, _>>().map_err(|error| usage(anyhow::Error::from(error)))?;
    }
    for file in [&args.json, &args.html].into_iter().flatten() {
        // Minutes later it would be too late to say so.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(usage(anyhow::anyhow!("{}: there is no such folder to write in", file.display())));
        }
    }
    let set = match &args.data {
        Some(folder) => Some(AnnotatedSet::open(folder).context("--data").map_err(usage)?),
        None => None,
    };
    let folder = args.data.as_deref().map(|folder| folder.display().to_string());
    let data = folder.as_deref().zip(set.as_ref());
    let settings = Settings {
        detectors: kinds,
        backends: args.backend.iter().copied().map(Backend::from).collect(),
        threads: args.threads,
    };
    let report = detectors::measure(&settings, data)?;
    if report.results.is_empty() && report.failures.is_empty() {
        return Err(usage(anyhow::anyhow!("there is nothing to measure: OpenCV has haar and ssd alone")));
    }
    print(&report);
    if let Some(file) = &args.json {
        crate::atomic::write(file, &serde_json::to_vec_pretty(&report).map_err(anyhow::Error::from)?)?;
    }
    if let Some(file) = &args.html {
        crate::atomic::write(file, report::detectors::page(&report)?.as_bytes())?;
    }
    for failure in &report.failures {
        eprintln!("{}: {}", failure.detector, failure.reason);
    }
    match (report.failures.is_empty(), report.results.is_empty()) {
        (true, _) => Ok(()),
        (false, false) => Err(Exit::quiet(exit::PARTIAL)),
        (false, true) if report.failures.iter().all(|failure| failure.missing) => {
            Err(Exit::quiet(exit::MISSING))
        }
        (false, true) => Err(Exit::quiet(exit::FAILURE)),
    }
}

/// Tables for people.
fn print(report: &Report) {
    match &report.data {
        None => outln!("No --data: speed alone."),
        Some(data) => {
            let unreadable = match data.unreadable {
                0 => String::new(),
                count => format!(", {count} could not be read"),
            };
            outln!("{}: {} pictures{unreadable}", data.folder, data.images);
            accuracy(report);
        }
    }
    outln!("\nFrames of {}, threads: {}", report.frames, report.threads);
    let Some(first) = report.results.first() else { return };
    out!("{:<14} {:<8}", "detector", "device");
    for speed in &first.speed {
        let size = format!("{}x{}", speed.width, speed.height);
        out!("  {size:>10}: ms  frames/s");
    }
    outln!();
    for result in &report.results {
        out!("{:<14} {:<8}", result.name(), result.device);
        for speed in &result.speed {
            out!("  {:>14.2}  {:>8.1}", speed.median_ms, speed.frames_per_second);
        }
        outln!();
    }
}

/// Average precision, level by level, then precision and recall of all faces.
fn accuracy(report: &Report) {
    let Some(first) = report.results.first() else { return };
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    outln!("\nAverage precision; recall at the detector's own threshold; faces");
    out!("{:<14} {:<8}", "detector", "device");
    first.accuracy.iter().for_each(|accuracy| out!("  {:>13}", accuracy.level.to_string()));
    outln!("  precision");
    for result in &report.results {
        out!("{:<14} {:<8}", result.name(), result.device);
        for accuracy in &result.accuracy {
            let recall = accuracy.operating_point.map(|point| point.recall);
            out!("  {:>5}   {:>5}", share(accuracy.average_precision), share(recall));
        }
        let all = result.accuracy.iter().find(|accuracy| accuracy.level == Level::All);
        outln!("  {:>9}", share(all.and_then(|all| all.operating_point).map(|point| point.precision)));
    }
    out!("{:<23}", "faces");
    first.accuracy.iter().for_each(|accuracy| out!("  {:>13}", accuracy.faces));
    outln!();
}
