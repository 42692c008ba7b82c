//! End of the process: the first signal drains, the second stops at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// Signals that follow the first within this time are the same request to end: GNU `timeout`,
/// container runtimes and shells send one to the child and one to its process group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShutdownPhase {
    Running,
    Draining(Instant),
    Stopped,
}

/// State of the process's end, for every part of the process. Clones share one state.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<ShutdownPhase>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(ShutdownPhase::Running))
    }
}

impl Shutdown {
    /// Takes the next step: from running to draining, from draining to stopped.
    pub fn step(&self) {
        self.0.send_modify(|phase| {
            *phase = match *phase {
                ShutdownPhase::Running => ShutdownPhase::Draining(Instant::now()),
                ShutdownPhase::Draining(_) | ShutdownPhase::Stopped => ShutdownPhase::Stopped,
            };
        });
    }

    /// Returns `true` where nothing new may be begun.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() != ShutdownPhase::Running
    }

    /// Resolves once nothing new may be begun, to the moment when that was said. Cancel safe.
    pub async fn draining(&self) -> Instant {
        let mut phase = self.0.subscribe();
        // The sender lives as long as `self`.
        match phase
            .wait_for(|phase| *phase != ShutdownPhase::Running)
            .await
            .as_deref()
        {
            Ok(ShutdownPhase::Draining(since)) => *since,
            _ => Instant::now(),
        }
    }

    /// Resolves once everything must be dropped. Cancel safe.
    pub async fn stopped(&self) {
        let mut phase = self.0.subscribe();
        let _ = phase
            .wait_for(|phase| *phase == ShutdownPhase::Stopped)
            .await;
    }

    /// Takes a step for a signal, unless it repeats the one that began the draining a moment ago.
    fn signalled(&self) {
        let phase = *self.0.borrow();
        match phase {
            ShutdownPhase::Running => {
                tracing::info!("signal received: draining; a second signal stops at once");
            }
            ShutdownPhase::Draining(since) if since.elapsed() < SAME_SIGNAL => {
                tracing::debug!("signal received again within a second: it counts once");
                return;
            }
            ShutdownPhase::Draining(_) | ShutdownPhase::Stopped => {
                tracing::warn!("second signal received: stopping at once");
            }
        }
        self.step();
    }

    /// Takes a step at each SIGTERM and each Ctrl-C, for ever; those within a second of the first
    /// count once. Signals are received from the call on, not from the first poll on: a daemon that
    /// has said that it is ready is not killed by them.
    ///
    /// # Errors
    /// The operating system's error, where it does not let signals be listened to.
    pub fn on_signals(&self) -> impl Future<Output = std::io::Result<()>> {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        async move {
            let (mut terminate, mut interrupt) = (terminate?, interrupt?);
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                self.signalled();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn signals_within_a_second_are_one() {
        let shutdown = Shutdown::default();
        for milliseconds in [0, 2, 500, 497] {
            advance(Duration::from_millis(milliseconds)).await;
            shutdown.signalled();
            assert!(shutdown.is_draining());
            assert_ne!(
                *shutdown.0.borrow(),
                ShutdownPhase::Stopped,
                "after {milliseconds} ms more"
            );
        }
        advance(Duration::from_millis(1)).await;
        shutdown.signalled();
        assert_eq!(*shutdown.0.borrow(), ShutdownPhase::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_step_drains_and_the_second_stops() {
        let shutdown = Shutdown::default();
        let other = shutdown.clone();
        assert!(!other.is_draining());
        let now = Instant::now();
        shutdown.step();
        assert_eq!(other.draining().await, now);
        assert!(other.is_draining());
        shutdown.step();
        other.stopped().await;
    }
}
