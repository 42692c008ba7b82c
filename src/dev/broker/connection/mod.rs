//! One connection, from CONNACK to its end: one task that writes the client's outgoing messages and
//! reads its packets.
//!
//! The task writes and reads at once, so that a client that sends much and reads nothing blocks
//! only itself. Packets are collected and written together. A producer that enqueues a message for
//! the session wakes this task; nothing else runs here.

pub(crate) mod ending;
mod incoming;
mod outgoing;
pub(crate) mod permissions;
mod publishing;
pub(crate) mod refresh;
mod subscribing;
pub(crate) mod transport;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use self::ending::DisconnectReason;
use self::permissions::ConnectionPermissions;
use self::refresh::IdentityRefresh;
use self::transport::{BoxedStream, WriteBuffer};
use crate::dev::broker::hub::SessionHub;
use crate::dev::broker::hub::outbox::OutgoingPublish;
use crate::dev::broker::hub::rate::WindowCounter;
use crate::dev::broker::hub::routing::MatchBuffer;
use crate::dev::broker::hub::session::{ClientSession, ConnectionHandle};
use crate::dev::broker::limits::BrokerLimits;
use crate::wire::{ProtocolVersion, ReasonCode, encode};

/// Rounds of writing and reading before the task yields to other tasks.
const ROUNDS: u32 = 16;

/// Timeout for the peer to read the last packets.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) struct ClientConnection {
    hub: Arc<SessionHub>,
    session: Arc<ClientSession>,
    link: Arc<ConnectionHandle>,
    level: ProtocolVersion,
    permissions: ConnectionPermissions,
    io: BoxedStream,
    output: WriteBuffer,
    /// Bytes of an incomplete packet.
    input: BytesMut,
    /// Parameters of CONNECT and CONNACK.
    terms: NegotiatedParameters,
    /// Rates of the current second.
    pace: ConnectionRates,
    clock: ConnectionDeadlines,
    /// Topics that the client has given an alias, by alias.
    aliases_in: Vec<Option<Box<str>>>,
    /// Topics of the aliases that were sent to the client, by alias.
    aliases_out: Vec<Box<str>>,
    /// Acknowledgements that are written but perhaps not sent: their messages count as
    /// unacknowledged.
    unflushed: u16,
    /// Acknowledgements that an injected fault delays, and until when.
    held: VecDeque<(Instant, u16)>,
    /// Messages that were taken from the outgoing queue while the output was full.
    taken: VecDeque<OutgoingPublish>,
    room: MatchBuffer,
    /// `true` while the session has this round's waker.
    listens: bool,
    turn: Turn,
    /// Reason for the end, while the last packets are written.
    closing: Option<DisconnectReason>,
    /// Session Expiry Interval of the client's DISCONNECT.
    expiry: Option<u32>,
}

/// Deferral of packets that have just arrived while clients connect and subscribe. The task yields
/// once, so that waiting tasks run first: tokio runs the task that was woken last (its LIFO slot)
/// before the others. A client that subscribes on one connection and then publishes on another
/// expects the message. In quiet times no packet is deferred, since a yield costs as much as a
/// message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Waits,
    Had,
}

/// Initial state of a connection.
pub(crate) struct ConnectionParts {
    pub(crate) session: Arc<ClientSession>,
    pub(crate) link: Arc<ConnectionHandle>,
    pub(crate) level: ProtocolVersion,
    pub(crate) permissions: ConnectionPermissions,
    pub(crate) io: BoxedStream,
    /// Output that already contains CONNACK.
    pub(crate) output: WriteBuffer,
    pub(crate) terms: NegotiatedParameters,
    pub(crate) clock: ConnectionDeadlines,
}

/// Parameters negotiated by CONNECT and CONNACK.
#[derive(Debug)]
pub(crate) struct NegotiatedParameters {
    /// Maximum silence of the client: one and a half keep-alives.
    pub(crate) silence: Option<Duration>,
    /// Maximum Packet Size of the client.
    pub(crate) packet_bytes: usize,
    /// Topic Alias Maximum of the client.
    pub(crate) aliases_out: usize,
    /// Request Problem Information: `true` where the client wants reasons in words.
    pub(crate) problems: bool,
    /// Session Expiry Interval of CONNECT: zero must remain zero.
    pub(crate) expiry: u32,
}

#[derive(Debug)]
struct ConnectionRates {
    publishes: WindowCounter,
    bytes: WindowCounter,
}

impl ConnectionRates {
    fn new(limits: &BrokerLimits) -> Self {
        Self {
            publishes: WindowCounter::new(limits.publishes_per_second),
            bytes: WindowCounter::new(limits.bytes_per_second),
        }
    }
}

/// Deadlines of a connection.
pub(crate) struct ConnectionDeadlines {
    pub(crate) heard: Instant,
    /// Time at which the connection ends in any case, and the reason.
    pub(crate) end: Option<(Instant, DisconnectReason)>,
    pub(crate) refresh: Option<IdentityRefresh>,
    /// Time before which nothing is delivered.
    pub(crate) delayed: Option<Instant>,
    /// Next deadline known in this round.
    pub(crate) look: Option<Instant>,
    pub(crate) sleep: Pin<Box<Sleep>>,
}

impl ConnectionDeadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            end: None,
            refresh: None,
            delayed: None,
            look: None,
            sleep: Box::pin(sleep_until(now)),
        }
    }

    pub(crate) fn look_at(&mut self, at: Instant) {
        self.look = Some(self.look.map_or(at, |known| known.min(at)));
    }
}

impl ClientConnection {
    pub(crate) fn new(hub: Arc<SessionHub>, parts: ConnectionParts) -> Self {
        Self {
            session: parts.session,
            link: parts.link,
            level: parts.level,
            permissions: parts.permissions,
            io: parts.io,
            output: parts.output,
            input: BytesMut::new(),
            terms: parts.terms,
            pace: ConnectionRates::new(&hub.limits),
            clock: parts.clock,
            aliases_in: Vec::new(),
            aliases_out: Vec::new(),
            unflushed: 0,
            held: VecDeque::new(),
            taken: VecDeque::new(),
            room: Vec::new(),
            listens: false,
            turn: Turn::None,
            closing: None,
            expiry: None,
            hub,
        }
    }

    /// Serves the client until the connection ends.
    pub(crate) async fn serve(mut self: Box<Self>) {
        let ending = poll_fn(|context| self.poll(context)).await;
        self.hub
            .leave(&self.session, &self.link, &ending, self.expiry);
        self.link.leave();
        Box::pin(self.linger()).await;
    }

    /// Closes, and reads the peer's remaining bytes for a while: a peer that receives a TCP reset
    /// may never read the last packets.
    async fn linger(self: Box<Self>) {
        let mut io = self.io;
        let read_to_the_end = async {
            if io.shutdown().await.is_ok() {
                let mut part = [0; 512];
                while io.read(&mut part).await.is_ok_and(|count| count > 0) {}
            }
        };
        // A peer that does not close in time is cut off.
        let _ = timeout(Duration::from_secs(1), read_to_the_end).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.turn = match self.turn {
            Turn::Waits => Turn::Had,
            Turn::Had | Turn::None => Turn::None,
        };
        if self.turn == Turn::Had {
            self.take_in(&[], Instant::now());
        }
        for _ in 0..ROUNDS {
            let now = Instant::now();
            self.clock.look = None;
            self.listens = false;
            self.look_around(now, context);
            // A client that disconnects still gets the messages that arrived for it before.
            let delivers = self
                .closing
                .as_ref()
                .is_none_or(DisconnectReason::is_clients);
            let more = delivers && self.deliver(now, context);
            let written = self.write(now, context);
            if let Poll::Ready(Err(_)) = written {
                return Poll::Ready(self.closing.take().unwrap_or(DisconnectReason::Lost));
            }
            if written.is_ready()
                && !more
                && let Some(ending) = self.closing.take()
            {
                return Poll::Ready(ending);
            }
            let read = match self.read(now, context) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(self.closing.take().unwrap_or(DisconnectReason::Lost));
                }
                Poll::Ready(Err(_)) => {
                    return Poll::Ready(self.closing.take().unwrap_or(DisconnectReason::Lost));
                }
                Poll::Ready(Ok(_)) => true,
                Poll::Pending => false,
            };
            if self.turn == Turn::Waits {
                break;
            }
            let may_deliver = more && written.is_ready();
            if !read && !may_deliver && !self.is_due(context) && self.listen(context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Registers the waker with the session; `false` where there is already a request for this
    /// connection.
    fn listen(&mut self, context: &Context<'_>) -> bool {
        if self.listens || self.closing.is_some() {
            return true;
        }
        let mut state = self.session.state();
        // A request is stored before its sender looks for a waker, so that it is seen here or wakes
        // the task.
        if self.link.ending().is_some() || self.link.is_to_ask() {
            return false;
        }
        state.listen(context.waker());
        true
    }

    /// Returns `true` where a deadline has passed; otherwise the timer wakes this task.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let Some(look) = self.clock.look else {
            return false;
        };
        let sleep = &mut self.clock.sleep;
        // A timer that fires too early does no harm; moving it each time has a cost.
        let is_late = sleep.deadline() > look;
        if is_late || sleep.is_elapsed() {
            sleep.as_mut().reset(look);
        }
        sleep.as_mut().poll(context).is_ready()
    }

    /// Handles requests of others to this connection, and its deadlines.
    fn look_around(&mut self, now: Instant, context: &mut Context<'_>) {
        if self.closing.is_none() {
            if let Some(ending) = self.link.ending() {
                let ending = ending.clone();
                if ending == DisconnectReason::TakenOver {
                    self.hear_out(now, context);
                }
                self.close(ending);
            } else if let Some(ending) = self.overdue(now, context) {
                self.close(ending);
            }
        }
        if let Some((at, _)) = &self.clock.end {
            self.clock.look_at(*at);
        }
        while let Some((until, id)) = self.held.front().copied() {
            if until > now {
                self.clock.look_at(until);
                break;
            }
            self.held.pop_front();
            self.acknowledge(id, ReasonCode::Success, None);
        }
    }

    /// Handles the input that has already arrived: a client that reconnects at once may have sent
    /// DISCONNECT before.
    fn hear_out(&mut self, now: Instant, context: &mut Context<'_>) {
        for _ in 0..ROUNDS {
            let read = self.read(now, context);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                break;
            }
            if self.turn == Turn::Waits {
                self.turn = Turn::Had;
                self.take_in(&[], now);
            }
        }
    }

    fn overdue(&mut self, now: Instant, context: &mut Context<'_>) -> Option<DisconnectReason> {
        if let Some(silence) = self.terms.silence {
            let silent = self.clock.heard + silence;
            if silent <= now {
                return Some(DisconnectReason::KeepAlive);
            }
            self.clock.look_at(silent);
        }
        if let Some((at, ending)) = &self.clock.end
            && *at <= now
        {
            return Some(ending.clone());
        }
        let asks = self.link.is_to_ask() && self.link.take_ask();
        if let Some(refresh) = &mut self.clock.refresh {
            if asks {
                refresh.hurry(now);
            }
            match refresh.poll(now, context) {
                Poll::Ready(Ok(identity)) => {
                    self.link.renew(Arc::clone(&identity.access));
                    self.permissions.renew(identity);
                }
                Poll::Ready(Err(why)) => return Some(refresh.ending(why)),
                Poll::Pending => {}
            }
            if let Some(at) = self.clock.refresh.as_ref().and_then(IdentityRefresh::at) {
                self.clock.look_at(at);
            }
        }
        None
    }

    /// Begins to close the connection: sends DISCONNECT to an MQTT 5 client, and neither reads nor
    /// delivers any more.
    pub(crate) fn close(&mut self, ending: DisconnectReason) {
        if self.closing.is_some() {
            return;
        }
        if self.level.is_v5()
            && let Some(reason) = ending.reason()
        {
            let why = (self.terms.packet_bytes > 512).then(|| ending.why());
            let reason = self.listed(reason);
            encode::disconnected(self.output.packets(), reason, why);
        }
        self.closing = Some(ending);
        // A peer that does not read even this is cut off.
        self.clock.end = Some((Instant::now() + GOODBYE, DisconnectReason::Lost));
    }

    /// Returns the reason code as AWS lists it, where only listed ones are sent.
    pub(crate) fn listed(&self, reason: ReasonCode) -> ReasonCode {
        if !self.hub.rules.listed_reasons_only {
            return reason;
        }
        match reason {
            ReasonCode::TooLarge => ReasonCode::QuotaExceeded,
            ReasonCode::NoMatchingSubscribers | ReasonCode::NoSubscription => ReasonCode::Success,
            other => other,
        }
    }

    fn write(&mut self, now: Instant, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_some() && self.clock.end.as_ref().is_some_and(|(at, _)| *at <= now) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let mut written = 0;
        let result = self.output.poll_write(&mut self.io, context, &mut written);
        if written > 0 {
            self.pace
                .bytes
                .take(now, u32::try_from(written).unwrap_or(u32::MAX));
        }
        if result.is_ready() {
            self.unflushed = 0;
        }
        result
    }
}
