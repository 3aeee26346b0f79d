//! Progress of a graph: a bar for each running stage where there is a terminal, else a line in the log now and then.

use std::{
    fmt::Write,
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

/// How often a stage tells the log how far it is.
const TELL: Duration = Duration::from_secs(10);

/// The bars of a whole run.
#[derive(Clone, Debug)]
pub struct Progress {
    bars: MultiProgress,
    /// For machines: events in the log, and nothing else.
    json: bool,
    /// Lines in the log instead of bars.
    as_lines: bool,
}

impl Progress {
    /// For machines; or for people, with bars if standard error is a terminal.
    pub fn new(json: bool) -> Self {
        Self { bars: MultiProgress::new(), json, as_lines: json || !std::io::stderr().is_terminal() }
    }

    /// For tests: says nothing.
    pub fn hidden() -> Self {
        let bars = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        Self { bars, json: true, as_lines: false }
    }

    /// A bar for a stage. How much it has to do comes with [`StageProgress::begin`].
    pub fn stage(&self, node: &str) -> StageProgress {
        let bar =
            if self.as_lines { ProgressBar::hidden() } else { self.bars.add(ProgressBar::new_spinner()) };
        bar.set_style(style("{prefix:>20} {spinner} {elapsed}  {msg}"));
        bar.set_prefix(node.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        let told = Mutex::new((Instant::now(), ""));
        StageProgress { bar, node: node.to_owned(), json: self.json, as_lines: self.as_lines, told }
    }

    /// Says something that stays: as an event to machines, above the bars to people.
    pub fn say(&self, event: impl FnOnce(), line: impl FnOnce()) {
        if self.json { event() } else { self.bars.suspend(line) }
    }
}

/// How far a stage is.
#[derive(Debug)]
pub struct StageProgress {
    bar: ProgressBar,
    node: String,
    json: bool,
    as_lines: bool,
    /// When the log was told last, and what is being counted.
    told: Mutex<(Instant, &'static str)>,
}

impl StageProgress {
    /// Begins a part of the work: so many of these.
    pub fn begin(&self, total: usize, what: &'static str) {
        self.bar.set_length(total as u64);
        self.bar.set_style(style(&format!(
            "{{prefix:>20}} {{bar:30.green/dim}} {{human_pos}}/{{human_len}} {what}  {{left}}  {{msg}}"
        )));
        self.bar.reset();
        self.bar.set_message("");
        self.told.lock().unwrap_or_else(PoisonError::into_inner).1 = what;
    }

    /// Begins a part of the work of which nobody knows how much it is.
    pub fn begin_open(&self, what: &'static str) {
        self.begin(0, what);
        self.bar.unset_length();
        self.bar.set_style(style(&format!(
            "{{prefix:>20}} {{spinner}} {{human_pos}} {what}  {{elapsed}}  {{msg}}"
        )));
    }

    /// So many more are done.
    pub fn advance(&self, count: usize) {
        self.bar.inc(count as u64);
        self.tell();
    }

    /// So many are done.
    pub fn set(&self, count: usize) {
        self.bar.set_position(count as u64);
        self.tell();
    }

    /// So many of so many are done; where these have not been begun, they are. What was told behind the bar
    /// stays from then on.
    pub fn set_of(&self, count: usize, total: usize, what: &'static str) {
        let counted = self.told.lock().unwrap_or_else(PoisonError::into_inner).1;
        if (self.bar.length(), counted) != (Some(total as u64), what) {
            self.begin(total, what);
            // What an earlier attempt did says nothing of how fast this one is.
            self.bar.set_position(count as u64);
            self.bar.reset_eta();
        }
        self.set(count);
    }

    /// A word behind the bar.
    pub fn message(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Tells the metrics what something measures now, such as the loss of a training.
    pub fn measure(&self, what: &'static str, value: f64) {
        metrics::gauge!("ferroflow_training", "stage" => self.node.clone(), "measure" => what).set(value);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn tell(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, what) = &mut *told;
        if !self.as_lines || when.elapsed() < TELL {
            return;
        }
        *when = Instant::now();
        let (done, total) = (self.bar.position(), self.bar.length());
        let (stage, message) = (self.node.as_str(), self.bar.message());
        if self.json {
            tracing::info!(stage, state = "running", done, total, "{message}");
        } else {
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            tracing::info!("{stage}: {done}{of} {what}  {message}");
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("left", |state: &ProgressState, text: &mut dyn Write| {
        // Before the first step nobody knows.
        if state.pos() > 0 {
            let _ = write!(text, "{:#} left", HumanDuration(state.eta()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_epoch_came_to_is_told_until_the_next_has_come_to_something() {
        let progress = Progress::hidden().stage("model");
        progress.set_of(1, 20, "steps");
        progress.message("epoch 1/2: loss 1.2".to_owned());
        progress.set_of(11, 20, "steps");
        assert_eq!((progress.bar.message().as_str(), progress.bar.position()), ("epoch 1/2: loss 1.2", 11));
        progress.set_of(1, 5, "faces");
        assert_eq!((progress.bar.message().as_str(), progress.bar.length()), ("", Some(5)));
    }
}
