//! Ctrl-C, and a scheduler that wants its machine back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown, register_usize};

/// A number that becomes that of the first SIGINT or SIGTERM, so that long work can end cleanly; the second ends the program at
/// once, with 128 and the signal's number as shells expect (130 for Ctrl-C).
pub fn stop_on_signals() -> anyhow::Result<Arc<AtomicUsize>> {
    let (stop, is_second) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down and raises it.
        register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))
            .and_then(|_| register(signal, Arc::clone(&is_second)))
            .and_then(|_| register_usize(signal, Arc::clone(&stop), signal as usize))
            .context("cannot listen for signals")?;
    }
    Ok(stop)
}
