//! Live changes: one stream of server-sent events for each open page.
//!
//! A page gets `news` (the changes since its last one) up to four times a second and a `pulse` each
//! second. Each stream reads the event store by itself, so a page that reads slowly gets more at
//! once and blocks no other.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Inspector;

/// Poll interval for changes, and the number of polls in a pulse.
const LOOK: Duration = Duration::from_millis(250);
const PULSE: u32 = 4;

/// Maximum number of events, and of other changes, in one message.
const AT_ONCE: usize = 100;

/// Number of channels in each pulse.
const CHANNELS: usize = 50;

/// Number of clients in each pulse.
const CLIENTS: usize = 100;

struct LiveWatch {
    inspector: Arc<Inspector>,
    since: u64,
    looks: u32,
    clock: Interval,
}

pub(super) async fn live(
    State(inspector): State<Arc<Inspector>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = inspector.ledger.news(u64::MAX, 0).version;
    let watch = LiveWatch {
        inspector,
        // A page that reconnects to another process starts from the beginning.
        since: last.filter(|last| *last <= now).unwrap_or(0),
        looks: 0,
        clock,
    };
    Sse::new(unfold(watch, async |mut watch| {
        let event = watch.next().await;
        Some((Ok(event), watch))
    }))
}

impl LiveWatch {
    async fn next(&mut self) -> Event {
        loop {
            // A poll with both sends the pulse first.
            if self.looks == 0 {
                self.looks = PULSE;
                return self.pulse();
            }
            self.clock.tick().await;
            self.looks -= 1;
            if let Some(news) = self.news() {
                return news;
            }
        }
    }

    fn pulse(&self) -> Event {
        let inspector = &self.inspector;
        let told = json!({
            "started": inspector.started,
            "pulse": inspector.pulse(),
            "channels": inspector.ledger.channels(CHANNELS, |_| true),
            "clients": inspector.clients(CLIENTS),
        });
        Event::default().event("pulse").data(told.to_string())
    }

    fn news(&mut self) -> Option<Event> {
        let news = self.inspector.ledger.news(self.since, AT_ONCE);
        if news.version == self.since {
            return None;
        }
        self.since = news.version;
        let event = Event::default().event("news").id(news.version.to_string());
        // Every value can be serialized as JSON.
        serde_json::to_string(&news)
            .ok()
            .map(|json| event.data(json))
    }
}
