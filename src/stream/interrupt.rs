//! Ctrl-C and SIGTERM: the first asks everything to finish cleanly, the second leaves at once.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::exit;

/// A signal so soon after the first is the same one: `timeout` sends its to the program and to all of its group.
const ECHO: Duration = Duration::from_millis(500);

/// Installs the handler and returns the flag that it raises.
pub fn watch() -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&raised);
    let first = Mutex::new(None);
    ctrlc::set_handler(move || {
        let first = *first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        if flag.swap(true, Ordering::SeqCst) {
            if first.elapsed() > ECHO {
                std::process::exit(exit::INTERRUPTED.into());
            }
            return;
        }
        tracing::warn!("finishing what is under way; interrupt again to leave at once");
    })
    .context("no handler for Ctrl-C could be set")?;
    Ok(raised)
}
