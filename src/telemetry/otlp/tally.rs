//! Count of lost spans, logged now and then: a collector that is down must be seen, but not once
//! for each span.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::time::Instant;

/// The least time between two logged losses.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Count of spans by their fate. Clones of one `Arc` are before and behind the SDK's queue.
pub(super) struct Tally {
    /// The most spans that may wait.
    room: usize,
    /// Number of spans that wait to be sent, or for the answer.
    waiting: AtomicUsize,
    /// Number of spans that found no room; `failed` is the number that were sent in vain.
    full: AtomicUsize,
    failed: AtomicUsize,
    totals: Mutex<LoggedTotals>,
}

/// Spans lost so far, and the last cause.
#[derive(Debug, PartialEq, Eq)]
struct Losses {
    full: usize,
    failed: usize,
    cause: String,
}

/// State of the log.
#[derive(Default)]
struct LoggedTotals {
    last: Option<Instant>,
    lost: usize,
    /// Cause of the last failure.
    cause: String,
    /// Nothing is counted any more.
    closed: bool,
}

impl Tally {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            waiting: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            totals: Mutex::default(),
        }
    }

    /// Takes a place among those that wait; false when there is none.
    fn enter(&self) -> bool {
        let entered = self.waiting.fetch_add(1, Ordering::Relaxed) < self.room;
        if !entered {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.full.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    /// Notes the result of an export.
    fn exported(&self, spans: usize, result: &OTelSdkResult) {
        let mut totals = self.totals();
        if totals.closed {
            // They were counted as lost.
            return;
        }
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        match result {
            // A request that was made again succeeded in the end.
            Ok(()) => totals.cause.clear(),
            Err(error) => {
                self.failed.fetch_add(spans, Ordering::Relaxed);
                if totals.cause.is_empty() {
                    totals.cause = error.to_string();
                }
            }
        }
        drop(totals);
        self.tell(TELL_EVERY);
    }

    /// Notes why a request had no answer.
    pub(super) fn blame(&self, error: &(dyn Error + 'static)) {
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            // Writing to a string does not fail.
            let _ = write!(cause, ": {error}");
            next = error.source();
        }
        self.totals().cause = cause;
    }

    /// Logs the losses, when there are new ones.
    fn tell(&self, between: Duration) {
        if let Some(Losses {
            full,
            failed,
            cause,
        }) = self.news(between)
        {
            tracing::warn!(
                queue_full = full,
                not_taken = failed,
                cause,
                "spans were lost so far"
            );
        }
    }

    /// Losses so far, where they are more than was logged last, and that was not only a moment ago.
    fn news(&self, between: Duration) -> Option<Losses> {
        let full = self.full.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        let mut totals = self.totals();
        let soon = totals.last.is_some_and(|last| last.elapsed() < between);
        if full + failed == totals.lost || soon {
            return None;
        }
        totals.last = Some(Instant::now());
        totals.lost = full + failed;
        Some(Losses {
            full,
            failed,
            cause: std::mem::take(&mut totals.cause),
        })
    }

    /// Logs the rest at the end: the spans that still wait are lost.
    pub(super) fn close(&self) {
        let mut totals = self.totals();
        totals.closed = true;
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        self.failed.fetch_add(waiting, Ordering::Relaxed);
        if waiting > 0 && totals.cause.is_empty() {
            totals.cause = "no answer before the end".into();
        }
        drop(totals);
        self.tell(Duration::ZERO);
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, LoggedTotals> {
        // A panic while logging leaves nothing half done.
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// Counts the spans that find no room in the SDK's queue, which is behind it.
#[derive(Debug)]
pub(super) struct CountingProcessor<P> {
    processor: P,
    tally: Arc<Tally>,
}

impl<P> CountingProcessor<P> {
    pub(super) fn new(processor: P, tally: &Arc<Tally>) -> Self {
        Self {
            processor,
            tally: Arc::clone(tally),
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for CountingProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.enter() {
            self.processor.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Counts the spans that are sent in vain, behind the SDK's queue.
#[derive(Debug)]
pub(super) struct Counting<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E> Counting<E> {
    pub(super) fn new(exporter: E, tally: &Arc<Tally>) -> Self {
        Self {
            exporter,
            tally: Arc::clone(tally),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.tally.exported(spans, &result);
        result
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    fn losses(full: usize, failed: usize, cause: &str) -> Option<Losses> {
        Some(Losses {
            full,
            failed,
            cause: cause.into(),
        })
    }

    fn failure(what: &str) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure(what.into()))
    }

    #[test]
    fn there_is_room_for_so_many() {
        let tally = Tally::new(2);
        assert_eq!([(); 4].map(|()| tally.enter()), [true, true, false, false]);
        tally.exported(2, &Ok(()));
        assert!(tally.enter());
        assert_eq!(tally.news(Duration::ZERO), None, "it was told already");
        assert_eq!(tally.full.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_told_now_and_then() {
        let tally = Tally::new(100);
        for _ in 0..10 {
            tally.enter();
        }
        assert_eq!(tally.news(TELL_EVERY), None, "nothing was lost");
        tally.failed.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tally.news(TELL_EVERY), losses(0, 1, ""));
        tally.exported(3, &failure("first"));
        assert_eq!(tally.news(TELL_EVERY), None, "that was only a moment ago");
        tally.exported(3, &failure("second"));
        tokio::time::advance(TELL_EVERY).await;
        let totals = tally.news(TELL_EVERY).unwrap();
        assert_eq!((totals.full, totals.failed), (0, 7));
        assert!(totals.cause.contains("first"), "{totals:?}");
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!(tally.news(TELL_EVERY), None, "there is no news");
    }

    #[test]
    fn what_waits_at_the_end_is_lost_once() {
        let tally = Tally::new(10);
        for _ in 0..5 {
            tally.enter();
        }
        tally.exported(2, &Ok(()));
        tally.close();
        tally.exported(3, &failure("too late"));
        assert_eq!(tally.failed.load(Ordering::Relaxed), 3);
        assert_eq!(tally.news(Duration::ZERO), None, "the end told it");
    }

    #[test]
    fn the_cause_is_the_innermost_of_the_last_request() {
        let tally = Tally::new(1);
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        let outer = std::io::Error::other(refused);
        tally.blame(&outer);
        tally.exported(0, &Ok(()));
        assert_eq!(tally.totals().cause, "", "it was sent after all");
        tally.blame(&outer);
        tally.failed.fetch_add(1, Ordering::Relaxed);
        assert_eq!(tally.news(TELL_EVERY), losses(0, 1, "refused"));
    }
}
