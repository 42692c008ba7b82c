//! The runtime of commands that ask something and end: one thread. A command that runs for long
//! makes its own.

use std::future::Future;

use anyhow::Context as _;

/// Runs a future to its end, and returns its output.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    Ok(runtime.block_on(future))
}
