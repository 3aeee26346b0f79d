//! The page of a directory of videos, `index.html`, and the same as data, `summary.json`.

use askama::Template;
use ferroflow_vision::face::EXPRESSIONS;

use super::{
    format::{rgb, thousands},
    plot,
};
use crate::stream::directory::{
    DATA, PAGE,
    results::Done,
    summary::{Entry, Outcome, Summary},
};

#[derive(Template)]
#[template(path = "directory.html")]
struct Page<'a> {
    input: String,
    interrupted: bool,
    videos: Vec<Video<'a>>,
    failures: Vec<(String, &'a str)>,
    totals: Totals,
    legend: Vec<(&'static str, String)>,
    version: &'static str,
}

/// What the whole run adds up to.
#[derive(Default)]
struct Totals {
    videos: usize,
    new: usize,
    skipped: usize,
    failed: usize,
    frames: String,
    faces: String,
    tracks: String,
    duration: String,
    elapsed: String,
}

/// One video on the page.
struct Video<'a> {
    name: String,
    folder: String,
    skipped: bool,
    annotated: bool,
    done: &'a Done,
    length: String,
    speed: String,
    faces_a_frame: String,
    /// Share, name and colour of each expression, the largest first.
    mix: Vec<(String, &'static str, String)>,
    plot: String,
}

/// Writes page and data into the summary's output folder.
pub fn write(summary: &Summary) -> anyhow::Result<()> {
    let data = serde_json::to_vec_pretty(summary)?;
    crate::atomic::write(&summary.output.join(DATA), &data)?;
    crate::atomic::write(&summary.output.join(PAGE), page(summary)?.as_bytes())
}

fn page(summary: &Summary) -> anyhow::Result<String> {
    let mut videos = Vec::new();
    let mut failures = Vec::new();
    for Entry { path, outcome } in &summary.entries {
        match outcome {
            Outcome::Failed { reason } => failures.push((path.display().to_string(), reason.as_str())),
            Outcome::Done(done) => videos.push(video(summary, path, done, false)?),
            Outcome::Skipped(done) => videos.push(video(summary, path, done, true)?),
        }
    }
    let (new, skipped, failed) = summary.counts();
    let sum = |of: fn(&Done) -> u64| videos.iter().map(|video| of(video.done) as usize).sum();
    let totals = Totals {
        videos: videos.len(),
        new,
        skipped,
        failed,
        frames: thousands(sum(|done| done.frames)),
        faces: thousands(sum(|done| done.faces)),
        tracks: thousands(sum(|done| done.tracks)),
        duration: clock(videos.iter().map(|video| video.done.seconds).sum()),
        elapsed: clock(summary.elapsed.as_secs_f64()),
    };
    let page = Page {
        input: title(summary),
        interrupted: summary.interrupted,
        videos,
        failures,
        totals,
        legend: plot::legend(),
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

fn video<'a>(
    summary: &Summary,
    path: &std::path::Path,
    done: &'a Done,
    skipped: bool,
) -> anyhow::Result<Video<'a>> {
    let total = done.timeline.total();
    let mut shares: Vec<_> = total.means().into_iter().enumerate().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    // What a classifier of other classes says besides these.
    let other = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
    shares.extend((other > 0.001).then_some((EXPRESSIONS.len(), other)));
    let mix = shares.into_iter().map(|(index, share)| {
        let name = EXPRESSIONS.get(index).copied().unwrap_or("other");
        (format!("{:.1}", share * 100.0), name, rgb(plot::expression_color(index)))
    });
    Ok(Video {
        name: path.display().to_string(),
        folder: url(path),
        skipped,
        annotated: summary.output.join(path).join("annotated.mp4").is_file(),
        done,
        length: clock(done.seconds),
        speed: format!("{:.1}", done.frames as f64 / done.elapsed.as_secs_f64().max(1e-9)),
        faces_a_frame: format!("{:.2}", done.faces as f64 / done.frames.max(1) as f64),
        mix: if total.faces > 0 { mix.collect() } else { Vec::new() },
        plot: plot::expression_over_time(&done.timeline)?,
    })
}

/// The only input, or how many videos there were.
fn title(summary: &Summary) -> String {
    match summary.input.as_slice() {
        [only] => only.display().to_string(),
        _ => format!("{} videos", summary.entries.len()),
    }
}

/// A relative path as a link.
fn url(path: &std::path::Path) -> String {
    let mut url = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// Hours, minutes and seconds, as far as they are needed.
fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}
