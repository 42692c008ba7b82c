//! Hostile proxies: relays on the loopback interface that hold back, cut or slice a gateway's
//! answers.
//!
//! They know as much of HTTP as they need: where a head ends. One connection of a client is one to
//! the gateway.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::transport::{Dialer, Wire};

/// The most that is held back of one answer.
const HELD_BYTES: usize = 16 << 20;

/// Treatment of answers by a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hostility {
    /// Nothing is passed on before the whole answer is there.
    Buffer,
    /// The connection is cut after so many bytes of the body.
    CutBody(usize),
    /// The connection is cut when nothing has come for a while.
    CutIdle(Duration),
    /// A few bytes at a time, with a pause after each.
    Slice { bytes: usize, pause: Duration },
}

/// A running relay; it ends when it is dropped.
pub(super) struct Relay {
    port: u16,
    _serving: JoinSet<()>,
}

impl Relay {
    /// Starts a relay in front of an address.
    pub(super) async fn start(dialer: &Dialer, hostility: Hostility) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let dialer = dialer.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { return };
                        let dialer = dialer.clone();
                        connections.spawn(async move {
                            // The client sees an error as a cut connection.
                            let _ = relay(stream, &dialer, hostility).await;
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            port,
            _serving: serving,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

async fn relay(client: TcpStream, dialer: &Dialer, hostility: Hostility) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = dialer.dial().await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server): (ReadHalf<_>, WriteHalf<_>) = split(server);
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        // A client that is done with sending still reads; one that has gone ends the whole by a
        // failed write.
        std::future::pending::<io::Result<()>>().await
    };
    let down = down(&mut from_server, &mut to_client, hostility);
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

async fn down(
    from: &mut ReadHalf<Box<dyn Wire>>,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    hostility: Hostility,
) -> io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    match hostility {
        Hostility::Buffer => {
            let mut held = Vec::new();
            loop {
                let read = from.read(&mut piece).await?;
                if read == 0 || held.len() > HELD_BYTES {
                    break;
                }
                held.extend_from_slice(piece.get(..read).unwrap_or_default());
            }
            to.write_all(&held).await?;
        }
        Hostility::CutBody(bytes) => {
            let mut head = Vec::new();
            let body_at = loop {
                let read = from.read(&mut piece).await?;
                if read == 0 {
                    return to.write_all(&head).await;
                }
                head.extend_from_slice(piece.get(..read).unwrap_or_default());
                if let Some(at) = end_of_head(&head) {
                    break at;
                }
            };
            let mut left = bytes;
            let begun = head.len().saturating_sub(body_at);
            head.truncate(body_at + begun.min(left));
            to.write_all(&head).await?;
            left = left.saturating_sub(begun);
            while left > 0 {
                let read = from.read(&mut piece).await?;
                if read == 0 {
                    return Ok(());
                }
                let passed = piece.get(..read.min(left)).unwrap_or_default();
                to.write_all(passed).await?;
                left -= passed.len();
            }
        }
        Hostility::CutIdle(idle) => {
            while let Ok(read) = timeout(idle, from.read(&mut piece)).await {
                match read? {
                    0 => return Ok(()),
                    read => to.write_all(piece.get(..read).unwrap_or_default()).await?,
                }
            }
        }
        Hostility::Slice { bytes, pause } => loop {
            let read = from.read(&mut piece).await?;
            if read == 0 {
                return Ok(());
            }
            for slice in piece.get(..read).unwrap_or_default().chunks(bytes) {
                to.write_all(slice).await?;
                sleep(pause).await;
            }
        },
    }
    Ok(())
}

/// The place behind the blank line that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = b"\r\n\r\n";
    let found = bytes.windows(end.len()).position(|window| window == end);
    found.map(|at| at + end.len())
}
