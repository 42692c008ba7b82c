//! Many policies, a few at a time: with progress, until all are done, somebody interrupts, or
//! nothing can succeed any more.

use std::io::{IsTerminal as _, Write};
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::interval;

use super::journal::Journal;
use super::list::ListPosition;
use super::report::{CompletedStep, DeployReport, ItemOutcome};
use crate::aws::control_plane::ControlPlane;
use crate::aws::control_plane::error::{ControlError, ErrorText};
use crate::cli::OutputFormat;
use crate::cli::progress::bar;
use crate::escape::write_line;
use crate::policy::deploy::plan::DeployStep;
use crate::shutdown::Shutdown;

/// Policies that are worked on at once: enough to use the rates up while answers take half a
/// second.
const AT_ONCE: usize = 16;

/// A plan with no more steps than this left is finished even when somebody interrupts.
const SHORT: usize = 20;

/// Interval between two lines of progress where there is no bar.
const TELL: Duration = Duration::from_secs(10);

/// Works on all items. If anything but the second signal ends it early, each item was finished, was
/// not begun, or is reported as interrupted.
pub(super) async fn all<I, F: Future<Output = ItemOutcome>>(
    items: Vec<I>,
    shutdown: &Shutdown,
    work: impl Fn(I) -> F,
    mut journal: Option<Journal>,
    report: &mut DeployReport,
    (format, out, messages): (OutputFormat, &mut impl Write, &mut impl Write),
) -> anyhow::Result<()> {
    let total = items.len() as u64;
    let progress = bar(
        total,
        "{wide_bar} {pos} of {len} {msg}, {eta} to go",
        "policies",
    );
    let told_at_times = !std::io::stderr().is_terminal();
    let mut signals = pin!(shutdown.on_signals());
    let mut outcomes = pin!(
        stream::iter(items)
            .take_until(shutdown.draining())
            .map(work)
            .buffer_unordered(AT_ONCE)
    );
    let mut tell = interval(TELL);
    tell.tick().await;
    let (mut done, mut interrupted, mut hopeless) = (0, false, None);
    loop {
        tokio::select! {
            outcome = outcomes.next() => {
                let Some(outcome) = outcome else { break };
                progress.inc(1);
                if let Some(told) = outcome.hopeless.clone() {
                    hopeless.get_or_insert((told, outcome.name.clone()));
                    if !shutdown.is_draining() {
                        shutdown.step();
                    }
                } else {
                    done += u64::from(!outcome.interrupted);
                }
                if let (Some(journal), Some(key)) = (&mut journal, finished(&outcome, report.dry_run)) {
                    journal.note(&outcome.name, key)?;
                }
                progress.suspend(|| report.add(outcome, format, out, messages))?;
            }
            error = &mut signals => error?,
            _ = tell.tick(), if told_at_times => {
                write_line(messages, format_args!("{done} of {total} policies"))?;
            }
            _ = shutdown.draining(), if !interrupted && hopeless.is_none() => {
                interrupted = true;
                progress.suspend(|| {
                    writeln!(messages, "interrupted: finishing what is under way; once more stops at once")
                })?;
            }
            () = shutdown.stopped() => break,
        }
    }
    progress.finish_and_clear();
    if let Some((ErrorText { what, help }, name)) = hopeless {
        report.fail(
            *ListPosition::default().failure(&name, "", what, &help),
            messages,
        )?;
    }
    let interrupted = report
        .counts
        .get("interrupted")
        .copied()
        .unwrap_or_default();
    report.count("not_tried", total - done - interrupted);
    report.complete = done == total;
    Ok(())
}

/// The key under which the journal records an outcome; `None` for an outcome that it does not
/// record.
fn finished(outcome: &ItemOutcome, dry_run: bool) -> Option<&String> {
    let whole = outcome.hopeless.is_none() && !outcome.interrupted;
    let well = outcome.failures.is_empty() && whole && !dry_run;
    outcome.key.as_ref().filter(|_| well)
}

/// Takes a plan's steps, in order. A target that cannot be attached or detached does not keep the
/// others from it.
///
/// # Errors
/// [`ControlError::Outdated`] and [`ControlError::Held`]: look again, and plan again.
pub(super) async fn take(
    plane: &ControlPlane,
    shutdown: &Shutdown,
    (name, document): (&str, &str),
    steps: &[DeployStep],
    place: &ListPosition,
    outcome: &mut ItemOutcome,
) -> Result<(), ControlError> {
    for (taken, step) in steps.iter().enumerate() {
        if shutdown.is_draining() && steps.len() - taken > SHORT {
            outcome.interrupted = true;
            return Ok(());
        }
        let alone = matches!(step, DeployStep::Attach(_) | DeployStep::Detach(_));
        match plane.take(name, step, document).await {
            Ok(version) => outcome.steps.push(CompletedStep::step(step, version)),
            Err(error @ (ControlError::Outdated(_) | ControlError::Held(_))) => return Err(error),
            Err(ControlError::Absent(told)) if *step == DeployStep::CreateVersion => {
                return Err(ControlError::Outdated(told));
            }
            Err(error) => {
                let one = matches!(error, ControlError::Refused(_) | ControlError::Absent(_));
                let value = match step {
                    DeployStep::Attach(target) | DeployStep::Detach(target) => target,
                    _ => name,
                };
                fail(error, name, value, place, outcome);
                if !(alone && one) {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Notes an error in an outcome.
pub(super) fn fail(
    error: ControlError,
    name: &str,
    value: &str,
    place: &ListPosition,
    outcome: &mut ItemOutcome,
) {
    let told = error.text();
    if let ControlError::Hopeless(told) = error {
        outcome.hopeless = Some(told);
    } else {
        let failure = place.failure(name, value, told.what.clone(), &told.help);
        outcome.failures.push(*failure);
    }
}
