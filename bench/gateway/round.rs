//! One round: so many polls are made to wait, memory is read, and events are published while both
//! kinds of clients wait.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use eventcast::broker::BrokerAddress;
use eventcast::mqtt::auth::{BrokerAccess, ConnectCredentials, Token};
use eventcast::mqtt::listener::Listener;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::http::Connection;
use super::platform::Platform;
use super::poller::{Heard, Poller, number_of};

/// Number of sessions that are opened at a time.
const OPENING: usize = 50;

/// Time that polls may take to wait, and events to come.
const SETTLE: Duration = Duration::from_secs(60);

/// The load of a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) polls: usize,
    pub(crate) twins: usize,
    pub(crate) rate: u32,
    pub(crate) seconds: u64,
}

/// The figures of a round.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) polls: usize,
    /// Resident memory of the gateway before the first session and with all polls waiting, in
    /// bytes.
    pub(crate) empty: u64,
    pub(crate) waiting: u64,
    /// Event to client, sorted, in milliseconds.
    pub(crate) poll_latencies: Vec<f64>,
    pub(crate) websocket_latencies: Vec<f64>,
    pub(crate) events: usize,
}

/// The UUID with a number in it.
fn uuid(kind: u16, number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-{kind:012x}")
}

fn token(number: usize) -> anyhow::Result<String> {
    let claims = json!({ "sub": uuid(1, number), "role": "customer", "order": uuid(2, number) });
    let Value::Object(claims) = claims else {
        bail!("claims are an object");
    };
    let life = Duration::from_secs(12 * 3_600);
    Ok(mint(claims, &TokenSigner::development(), Timestamp::now(), life)?.token)
}

async fn listener(platform: &Platform, number: usize) -> anyhow::Result<Listener> {
    let access = BrokerAccess {
        broker: BrokerAddress::parse(&platform.websocket).context("no WebSocket")?,
        tls: None,
        credentials: ConnectCredentials::Token(Token {
            authorizer: None,
            key: "token".into(),
            token: token(number)?,
            signature: None,
        }),
    };
    let id = format!("{}-websocket", uuid(1, number));
    let opened = Listener::open(&access, &id).await;
    let listener = opened.map_err(anyhow::Error::msg)?;
    let filters = [format!("order/{}", uuid(2, number))];
    let refused = listener.subscribe(&filters).await;
    ensure!(refused.is_ok_and(|refused| refused.is_empty()), "refused");
    Ok(listener)
}

pub(crate) async fn round(eventcast: &str, load: Load) -> anyhow::Result<Figures> {
    let platform = Platform::start(eventcast).await?;
    let empty = platform.resident()?;
    let heard = Rc::new(Heard::default());
    let mut clients = JoinSet::new();
    for first in (0..load.polls).step_by(OPENING) {
        let numbers = first..(first + OPENING).min(load.polls);
        let opened = try_join_all(numbers.map(|number| {
            let port = platform.port;
            async move {
                let channel = format!("order:{}", uuid(2, number));
                Poller::open(port, token(number)?, &channel).await
            }
        }));
        for poller in opened.await? {
            clients.spawn_local(poller.run(Rc::clone(&heard)));
        }
    }
    for number in 0..load.twins {
        let mut listener = listener(&platform, number).await?;
        let heard = Rc::clone(&heard);
        clients.spawn_local(async move {
            while let Some(message) = listener.next().await {
                let now = Instant::now();
                let payload = serde_json::from_slice(&message.payload)?;
                let number = number_of(&payload);
                let mut came = heard.websockets.borrow_mut();
                came.extend(number.map(|number| (number, now)));
            }
            bail!("a WebSocket ended")
        });
    }
    let begin = Instant::now();
    while heard.waiting.get() < load.polls {
        ensure!(
            begin.elapsed() < SETTLE,
            "{} of {} polls wait",
            heard.waiting.get(),
            load.polls
        );
        sleep(Duration::from_millis(50)).await;
    }
    // Memory that opening took is given back by then.
    sleep(Duration::from_secs(5)).await;
    let waiting = platform.resident()?;
    eprintln!("{} polls wait: {} MB", load.polls, waiting >> 20);
    let sent = tokio::select! {
        sent = publish(&platform, load) => sent?,
        Some(ended) = clients.join_next() => {
            ended??;
            bail!("a client ended");
        }
    };
    let begin = Instant::now();
    let is_done = || {
        heard.polls.borrow().len() >= sent.len() && heard.websockets.borrow().len() >= sent.len()
    };
    while !is_done() && begin.elapsed() < SETTLE {
        sleep(Duration::from_millis(20)).await;
    }
    let latencies = |came: &[(usize, Instant)]| {
        let milliseconds = came.iter().filter_map(|(number, when)| {
            let sent = sent.get(*number)?;
            Some(when.saturating_duration_since(*sent).as_secs_f64() * 1_000.0)
        });
        let mut milliseconds: Vec<f64> = milliseconds.collect();
        milliseconds.sort_by(f64::total_cmp);
        milliseconds
    };
    let figures = Figures {
        polls: load.polls,
        empty,
        waiting,
        poll_latencies: latencies(&heard.polls.borrow()),
        websocket_latencies: latencies(&heard.websockets.borrow()),
        events: sent.len(),
    };
    Ok(figures)
}

/// Publishes by the clock; when each event was to be sent, so that a generator that is late shows.
async fn publish(platform: &Platform, load: Load) -> anyhow::Result<Vec<Instant>> {
    let mut connection = Connection::open(platform.data_plane).await?;
    let between = Duration::from_secs(1) / load.rate;
    let count = usize::try_from(u64::from(load.rate) * load.seconds)?;
    let begin = Instant::now();
    let mut sent = Vec::with_capacity(count);
    for number in 0..count {
        let due = begin + between * u32::try_from(number)?;
        sleep_until(due).await;
        let path = format!("/topics/order/{}?qos=1", uuid(2, number % load.twins));
        let body = json!({ "number": number }).to_string();
        sent.push(due);
        let (status, _) = connection.post(&path, "", &body).await?;
        ensure!(status == 200, "an event was answered {status}");
    }
    Ok(sent)
}
