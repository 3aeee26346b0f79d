//! Ctrl-C and SIGTERM: the first asks everything to finish cleanly, the second leaves at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context;

use crate::exit;

/// Installs the handler and returns the flag that it raises.
pub fn watch() -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&raised);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(exit::INTERRUPTED.into());
        }
        eprintln!("\nfinishing what is under way; interrupt again to leave at once");
    })
    .context("no handler for Ctrl-C could be set")?;
    Ok(raised)
}
