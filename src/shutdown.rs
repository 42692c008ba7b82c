//! How the process ends: the first signal drains, the second stops at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining(Instant),
    Stopped,
}

/// Tells every part of the process how far its end has come. Clones share one state.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<Phase>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Running))
    }
}

impl Shutdown {
    /// Takes the next step: from running to draining, from draining to stopped.
    pub fn step(&self) {
        self.0.send_modify(|phase| {
            *phase = match *phase {
                Phase::Running => Phase::Draining(Instant::now()),
                Phase::Draining(_) | Phase::Stopped => Phase::Stopped,
            };
        });
    }

    /// Whether nothing new may be begun.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() != Phase::Running
    }

    /// Resolves once nothing new may be begun, to the moment when that was said. Cancel safe.
    pub async fn draining(&self) -> Instant {
        let mut phase = self.0.subscribe();
        // The sender lives as long as `self`.
        match phase
            .wait_for(|phase| *phase != Phase::Running)
            .await
            .as_deref()
        {
            Ok(Phase::Draining(since)) => *since,
            _ => Instant::now(),
        }
    }

    /// Resolves once everything must be dropped. Cancel safe.
    pub async fn stopped(&self) {
        let mut phase = self.0.subscribe();
        let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
    }

    /// Takes a step at each SIGTERM and each Ctrl-C, for ever.
    ///
    /// # Errors
    /// When the operating system does not let signals be listened to.
    pub async fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if self.is_draining() {
                tracing::warn!("told again to end: stopping at once");
            } else {
                tracing::info!("told to end: draining; a second signal stops at once");
            }
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
