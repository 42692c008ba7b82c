//! Panics of the code under test, which end a task without a test's knowing.

use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts from now on. A connection's task that panics would end its connection like one that does
/// as it should.
pub(crate) fn count() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Those of a test that fails are its own.
            let is_ours = info
                .location()
                .is_none_or(|at| at.file().starts_with("src/"));
            PANICS.fetch_add(usize::from(is_ours), Ordering::Relaxed);
            told(info);
        }));
    });
}

/// Number of panics.
pub(crate) fn counted() -> usize {
    PANICS.load(Ordering::Relaxed)
}
