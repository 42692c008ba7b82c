//! The way through a dead-letter queue: every message once, hidden from others meanwhile, and
//! visible again at the end.
//!
//! SQS can only be looked at by receiving. Each message is hidden for as long as the way is
//! expected to take; at the end, and at an interruption, all that are still there are made visible
//! again. A process that is killed leaves them hidden for the rest of that time. None is lost.

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use super::filter::SeenNames;
use crate::aws::dead_letter_queue::{DeadLetterMessage, DeadLetterQueue};
use crate::cli::counted::counted;
use crate::cli::progress::bar;
use crate::escape::write_line;
use crate::port::QueueError;

/// The most entries of one batch (SQS API reference).
const PER_BATCH: usize = 10;

/// Shortest and longest time for which messages are hidden. SQS's longest is 12 hours, counted from
/// the receive (SQS developer guide, "Amazon SQS visibility timeout":
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>).
const HIDDEN: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(11 * 3_600));

/// Messages that are looked at in a second, at least.
const LOOKED_AT_PER_SECOND: u64 = 20;

/// Receives in a row without a message that is new, after which the queue is at its end.
const REPEATS: u32 = 3;

/// Time for a receive that was under way when a signal came.
const INTERRUPTED_RECEIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// End of the way.
enum WalkEnd {
    /// No more were found.
    Complete,
    /// A signal came.
    Interrupted,
    /// The queue did not answer.
    Failed(QueueError),
}

/// The result of a walk.
pub(super) struct WalkSummary {
    /// `false` when it was interrupted or failed.
    pub(super) complete: bool,
    failure: Option<QueueError>,
}

impl WalkSummary {
    /// The error that ended it early; an interruption is none.
    pub(super) fn failure(self) -> anyhow::Result<()> {
        match self.failure {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// One way through the queue.
pub(super) struct QueueWalk<'q> {
    queue: &'q DeadLetterQueue,
    about: u64,
    hidden: Duration,
    interrupt: Signal,
    terminate: Signal,
    seen: HashSet<String>,
    /// Reasons and routes so far.
    pub(super) names: SeenNames,
    /// Messages that are hidden and are to become visible again.
    held: Vec<DeadLetterMessage>,
    repeats: u32,
    end: Option<WalkEnd>,
    progress: ProgressBar,
}

impl<'q> QueueWalk<'q> {
    /// Begins. `rate` is the pace of the work on the messages, in messages a second.
    pub(super) async fn begin(
        queue: &'q DeadLetterQueue,
        doing: &'static str,
        rate: Option<u32>,
    ) -> anyhow::Result<Self> {
        let about = queue.count().await?;
        let pace = rate.map_or(LOOKED_AT_PER_SECOND, u64::from);
        let seconds = about / pace.clamp(1, LOOKED_AT_PER_SECOND);
        Ok(Self {
            queue,
            about,
            hidden: (HIDDEN.0 + Duration::from_secs(seconds)).min(HIDDEN.1),
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            seen: HashSet::new(),
            names: SeenNames::default(),
            held: Vec::new(),
            repeats: 0,
            end: None,
            // The number of messages is never known exactly.
            progress: bar(
                about,
                "{wide_bar} {pos} of about {len} {msg}, {eta} to go",
                doing,
            ),
        })
    }

    /// The next messages that were not met before; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Vec<DeadLetterMessage>> {
        while self.end.is_none() {
            match self.receive().await {
                // After a signal the end is set already.
                Ok(received) if received.is_empty() => {
                    self.end.get_or_insert(WalkEnd::Complete);
                }
                Ok(received) => {
                    let new = self.new_ones(received);
                    if self.end.is_some() {
                        // A signal came meanwhile: they are put back like the others.
                        self.held.extend(new);
                    } else if !new.is_empty() {
                        self.repeats = 0;
                        return Some(new);
                    } else {
                        self.repeats += 1;
                        if self.repeats == REPEATS {
                            self.end = Some(WalkEnd::Complete);
                        }
                    }
                }
                Err(error) => self.end = Some(WalkEnd::Failed(error)),
            }
        }
        None
    }

    /// Receives once. A call that is under way when a signal comes is waited for: it may have been
    /// answered, and its messages would stay hidden.
    async fn receive(&mut self) -> Result<Vec<DeadLetterMessage>, QueueError> {
        let receive = self.queue.receive(self.hidden);
        tokio::pin!(receive);
        tokio::select! {
            biased;
            received = &mut receive => return received,
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.end = Some(WalkEnd::Interrupted);
        match timeout(INTERRUPTED_RECEIVE_TIMEOUT, receive).await {
            Ok(Ok(received)) => Ok(received),
            Ok(Err(_)) | Err(_) => Ok(Vec::new()),
        }
    }

    fn new_ones(&mut self, received: Vec<DeadLetterMessage>) -> Vec<DeadLetterMessage> {
        let mut new = Vec::with_capacity(received.len());
        for message in received {
            if self.seen.insert(message.id.clone()) {
                self.names.add(&message);
                self.progress.inc(1);
                new.push(message);
            } else {
                // Its newest receipt makes it visible.
                self.held.push(message);
            }
        }
        new
    }

    /// Keeps messages hidden until the end.
    pub(super) fn hold(&mut self, messages: impl IntoIterator<Item = DeadLetterMessage>) {
        self.held.extend(messages);
    }

    /// Waits until `time`. Returns `false` when a signal came first, which is the end.
    pub(super) async fn pause_until(&mut self, time: Instant) -> bool {
        tokio::select! {
            () = sleep_until(time) => return true,
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.end = Some(WalkEnd::Interrupted);
        false
    }

    /// Looks on after an end that was complete: messages may have come since. Returns `false` after
    /// another end.
    pub(super) fn go_on(&mut self) -> bool {
        if matches!(self.end, Some(WalkEnd::Complete)) {
            self.end = None;
            self.repeats = 0;
        }
        self.end.is_none()
    }

    /// Ends: everything that is held becomes visible again.
    pub(super) async fn finish(self, messages: &mut impl Write) -> anyhow::Result<WalkSummary> {
        self.progress.finish_and_clear();
        for batch in self.held.chunks(PER_BATCH) {
            for outcome in self.queue.release(batch).await {
                // A message whose time is over is visible already.
                if let Err(error @ (QueueError::Transient { .. } | QueueError::Permanent { .. })) =
                    outcome
                {
                    let seconds = self.hidden.as_secs();
                    write_line(
                        messages,
                        format_args!(
                            "note: {error}; the message is visible again within {seconds}s"
                        ),
                    )?;
                }
            }
        }
        let seen = self.seen.len() as u64;
        if matches!(self.end, None | Some(WalkEnd::Complete))
            && self.queue.is_fifo()
            && seen < self.about
        {
            write_line(
                messages,
                format_args!(
                    "note: {seen} of about {} were looked at: a FIFO queue hands out no more of a message group while some of it are in flight",
                    counted(self.about, "message")
                ),
            )?;
        }
        Ok(match self.end {
            // A caller that has found its message goes no further.
            None | Some(WalkEnd::Complete) => WalkSummary {
                complete: true,
                failure: None,
            },
            Some(WalkEnd::Interrupted) => WalkSummary {
                complete: false,
                failure: None,
            },
            Some(WalkEnd::Failed(error)) => WalkSummary {
                complete: false,
                failure: Some(error),
            },
        })
    }
}
