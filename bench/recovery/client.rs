//! One client: MQTT 5 over TCP, with the waiting of `browser/eventcast.js`.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use eventcast::simulation::scenario::{ClientFleet, JitterKind, RefusedChannel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Recovery;

/// Filters in one SUBSCRIBE (AWS General Reference, "AWS IoT Core endpoints and quotas").
const FILTERS_PER_SUBSCRIBE: u8 = 8;

/// A client, and how often it has failed since it was stable.
pub(crate) struct RecoveringClient {
    number: u32,
    recovery: Rc<Recovery>,
    failures: u32,
    was_cut: bool,
}

/// An open connection.
struct MqttSocket {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl RecoveringClient {
    pub(crate) fn new(number: u32, recovery: Rc<Recovery>) -> Self {
        Self {
            number,
            recovery,
            failures: 0,
            was_cut: false,
        }
    }

    fn fleet(&self) -> &ClientFleet {
        &self.recovery.scenario.clients
    }

    /// `delayOf` of the module.
    fn delay(&self, failures: u32) -> Duration {
        let fleet = self.fleet();
        let doubled = u64::from(fleet.backoff_first_ms) << failures.min(20);
        let most = doubled.min(u64::from(fleet.backoff_longest_ms)) as f64;
        let part = match fleet.jitter {
            JitterKind::Full => fastrand::f64(),
            JitterKind::Equal => 0.5 + fastrand::f64() / 2.0,
            JitterKind::None => 1.0,
        };
        Duration::from_secs_f64(most * part / 1_000.0)
    }

    /// Connects, subscribes, is cut off once, and connects again.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        // The first time clients come in a row, so that this does not take long.
        let rate = self.recovery.scenario.limits.connect_quota.max(1);
        sleep(Duration::from_secs(1) * self.number / rate).await;
        loop {
            let opened = Instant::now();
            self.recovery.attempts.set(self.recovery.attempts.get() + 1);
            if let Some(mut socket) = self.connect().await? {
                self.subscribe(&mut socket).await?;
                self.live(&mut socket).await?;
                drop(socket);
                self.recovery.live.set(self.recovery.live.get() - 1);
                self.was_cut = true;
                self.failures = 0;
                sleep(self.delay(0)).await;
                self.failures = 1;
                continue;
            }
            let interval = Duration::from_millis(u64::from(self.fleet().connect_interval_ms));
            let least = interval.saturating_sub(opened.elapsed());
            sleep(least + self.delay(self.failures)).await;
            self.failures += 1;
        }
    }

    /// `None` where the account's quota refuses it.
    async fn connect(&self) -> anyhow::Result<Option<MqttSocket>> {
        let stream = TcpStream::connect(("127.0.0.1", self.recovery.port)).await?;
        stream.set_nodelay(true)?;
        let mut socket = MqttSocket {
            stream,
            bytes: Vec::new(),
        };
        let expiry = self.fleet().session_expiry_ms / 1_000;
        // No clean start, a keep-alive of 20 minutes, the session's expiry.
        let mut body = b"\x00\x04MQTT\x05\x00\x04\xb0\x05\x11".to_vec();
        body.extend(expiry.to_be_bytes());
        push_text(&mut body, &format!("recovering-{}", self.number));
        socket.send(0x10, &body).await?;
        let (head, answer) = socket.next().await.context("before CONNACK")?;
        ensure!(head == 0x20, "a packet {head:#x} before CONNACK");
        match answer.get(1) {
            Some(0) => Ok(Some(socket)),
            Some(0x97) => Ok(None),
            other => bail!("CONNACK {other:x?}"),
        }
    }

    /// Subscribes to all channels, again and again where they are refused.
    async fn subscribe(&self, socket: &mut MqttSocket) -> anyhow::Result<()> {
        let mut wanted: Vec<u8> = (0..self.fleet().channels).collect();
        let mut failures = 0;
        while !wanted.is_empty() {
            let asked: Vec<u8> = wanted
                .iter()
                .copied()
                .take(usize::from(FILTERS_PER_SUBSCRIBE))
                .collect();
            // An identifier, and no properties.
            let mut body = vec![0, 1, 0];
            for channel in &asked {
                push_text(&mut body, &format!("order/{}-{channel}", self.number));
                body.push(1);
            }
            socket.send(0x82, &body).await?;
            let (head, answer) = socket.next().await?;
            ensure!(head == 0x90, "a packet {head:#x} before SUBACK");
            // Identifier, properties, and a code for each filter at the end.
            let codes = answer
                .len()
                .checked_sub(asked.len())
                .and_then(|at| answer.get(at..));
            let codes = codes.context("SUBACK is short")?;
            let refused: Vec<u8> = asked
                .iter()
                .zip(codes)
                .filter(|(_, code)| **code >= 0x80)
                .map(|(channel, _)| *channel)
                .collect();
            ensure!(
                codes.iter().all(|code| matches!(code, 0 | 1 | 0x97)),
                "SUBACK {codes:x?}"
            );
            wanted.retain(|channel| !asked.contains(channel) || refused.contains(channel));
            if !refused.is_empty() {
                ensure!(
                    self.fleet().refused_channel == RefusedChannel::Retried,
                    "a channel is refused, and the scenario does not retry it: nobody would be live"
                );
                let least = Duration::from_millis(u64::from(self.fleet().connect_interval_ms));
                sleep(least + self.delay(failures)).await;
                failures += 1;
            }
        }
        Ok(())
    }

    /// Counts itself as live, and waits for the cut.
    async fn live(&mut self, socket: &mut MqttSocket) -> anyhow::Result<()> {
        if self.was_cut {
            self.recovery.came.borrow_mut().push(Instant::now());
        }
        self.recovery.live.set(self.recovery.live.get() + 1);
        let mut cut = self.recovery.cut.clone();
        if self.was_cut {
            let (head, _) = socket.next().await?;
            bail!("a packet {head:#x} to a client that waits");
        }
        tokio::select! {
            raised = cut.wait_for(|raised| *raised) => {
                raised?;
            }
            packet = socket.next() => {
                bail!("a packet {:#x} to a client that waits", packet?.0);
            }
        }
        Ok(())
    }
}

impl MqttSocket {
    async fn send(&mut self, head: u8, body: &[u8]) -> anyhow::Result<()> {
        let mut packet = vec![head];
        let mut length = body.len();
        while length > 127 {
            packet.push((length % 128) as u8 | 128);
            length /= 128;
        }
        packet.push(length as u8);
        packet.extend(body);
        self.stream.write_all(&packet).await?;
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((head, begin, end)) = first_packet(&self.bytes) {
                let body = self.bytes[begin..end].to_vec();
                self.bytes.drain(..end);
                return Ok((head, body));
            }
            let count = self.stream.read_buf(&mut self.bytes).await?;
            ensure!(count > 0, "the broker has closed a connection");
        }
    }
}

/// Header byte, and begin and end of the body, of the first packet if it is whole.
fn first_packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut length, mut width) = (0, 0);
    loop {
        let byte = *bytes.get(1 + width)?;
        length |= usize::from(byte & 127) << (7 * width);
        width += 1;
        if byte < 128 {
            break;
        }
    }
    let begin = 1 + width;
    (bytes.len() >= begin + length).then(|| (bytes[0], begin, begin + length))
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
}
