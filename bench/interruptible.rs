//! The work of a benchmark, on one thread, until it is done or Ctrl-C ends it.

use std::process::ExitCode;

use tokio::task::LocalSet;

/// Does the work and reports it. Exit status: that of the report, 130 interrupted, 2 it could not
/// be done.
pub(crate) fn run<T>(
    work: impl Future<Output = anyhow::Result<T>>,
    report: impl FnOnce(T) -> ExitCode,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        LocalSet::new().block_on(&runtime, async {
            // Children end with the work that has started them.
            tokio::select! {
                done = work => done.map(Some),
                stopped = tokio::signal::ctrl_c() => stopped.map(|()| None).map_err(Into::into),
            }
        })
    });
    match done {
        Ok(Some(done)) => report(done),
        Ok(None) => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
