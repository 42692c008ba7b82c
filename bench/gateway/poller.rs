//! A client without WebSockets: a session, and one poll after the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::http::Connection;

/// Time that a poll waits.
const WAIT_SECONDS: u64 = 50;

/// The notes of all clients of a round.
#[derive(Default)]
pub(crate) struct Heard {
    /// Moment when each event came, by its number.
    pub(crate) polls: RefCell<Vec<(usize, Instant)>>,
    pub(crate) websockets: RefCell<Vec<(usize, Instant)>>,
    /// Number of polls that wait.
    pub(crate) waiting: Cell<usize>,
}

/// The number of an event, by its payload.
pub(crate) fn number_of(payload: &Value) -> Option<usize> {
    payload.get("number")?.as_u64()?.try_into().ok()
}

/// A client with a session.
pub(crate) struct Poller {
    connection: Connection,
    token: String,
    session: String,
    cursor: String,
}

impl Poller {
    pub(crate) async fn open(port: u16, token: String, channel: &str) -> anyhow::Result<Self> {
        let mut connection = Connection::open(port).await?;
        let asked = json!({ "channels": [channel] }).to_string();
        let (status, body) = connection.post("/rt/v1/session", &token, &asked).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == 201, "a session was answered {status} {text}");
        let made: Value = serde_json::from_slice(&body)?;
        ensure!(made["granted"] == json!([channel]), "no channel granted");
        let member = |name: &str| made[name].as_str().map(str::to_owned);
        Ok(Self {
            connection,
            token,
            session: member("session").context("no session")?,
            cursor: member("cursor").context("no cursor")?,
        })
    }

    /// Polls until it is dropped.
    pub(crate) async fn run(mut self, heard: Rc<Heard>) -> anyhow::Result<()> {
        for number in 0_u64.. {
            let asked = json!({
                "session": self.session, "cursor": self.cursor, "timeout_s": WAIT_SECONDS,
            });
            heard.waiting.set(heard.waiting.get() + 1);
            let path = format!("/rt/v1/poll?n={number}");
            let answered = self
                .connection
                .post(&path, &self.token, &asked.to_string())
                .await;
            let now = Instant::now();
            heard.waiting.set(heard.waiting.get() - 1);
            let (status, body) = answered?;
            ensure!(
                status == 200,
                "a poll was answered {status} {}",
                String::from_utf8_lossy(&body)
            );
            let polled: Value = serde_json::from_slice(&body)?;
            let cursor = polled["cursor"].as_str().context("no cursor")?;
            cursor.clone_into(&mut self.cursor);
            let messages = polled["messages"].as_array().context("no messages")?;
            let numbers = messages.iter().filter_map(|one| number_of(&one["payload"]));
            heard
                .polls
                .borrow_mut()
                .extend(numbers.map(|number| (number, now)));
        }
        Ok(())
    }
}
