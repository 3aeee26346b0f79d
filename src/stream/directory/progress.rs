//! Progress of a directory: a bar for all and one for each running video; plain lines where there is no terminal.

use std::{path::Path, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The bars of a whole run.
pub struct Progress {
    bars: MultiProgress,
    overall: ProgressBar,
}

impl Progress {
    /// For so many files.
    pub fn new(files: usize) -> Self {
        let bars = MultiProgress::new();
        let overall = bars.add(ProgressBar::new(files as u64));
        overall.set_style(style(
            "{prefix:>24} {bar:30.cyan/dim} {pos}/{len} videos  {elapsed} elapsed, {eta} left",
        ));
        overall.set_prefix("all");
        overall.enable_steady_tick(Duration::from_millis(250));
        Self { bars, overall }
    }

    /// A bar for one video; its length, in milliseconds, comes later.
    pub fn video(&self, relative: &Path) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{prefix:>24} {bar:30.green/dim} {percent:>3} %  {msg}  {eta} left"));
        let name = relative.to_string_lossy();
        let tail: String = name.chars().rev().take(24).collect();
        bar.set_prefix(tail.chars().rev().collect::<String>());
        bar
    }

    /// Says something that stays, above the bars: results on standard output, failures in the log.
    pub fn say(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    /// One more file is dealt with.
    pub fn step(&self) {
        self.overall.inc(1);
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        self.overall.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
