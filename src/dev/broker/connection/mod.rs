//! One connection, from CONNACK to its end: one task that writes what waits for its client and reads what comes from it.
//!
//! Both at once, so that a client that sends much and reads nothing blocks nobody but itself. What is to be written is put together
//! and written in one go. Whoever hands a message to the session wakes this task; nothing else runs here.

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

/// How often writing and reading take turns before other tasks have theirs.
const ROUNDS: u32 = 16;

/// How long a peer has to take the last words.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) struct ClientConnection {
    hub: Arc<SessionHub>,
    session: Arc<ClientSession>,
    link: Arc<ConnectionHandle>,
    level: ProtocolVersion,
    permissions: ConnectionPermissions,
    io: BoxedStream,
    output: WriteBuffer,
    /// Bytes of a packet that has not come as a whole.
    input: BytesMut,
    /// What the client was told, or asked for.
    terms: NegotiatedParameters,
    /// What may pass in this second.
    pace: ConnectionRates,
    clock: ConnectionDeadlines,
    /// Topics that the client has given an alias, by alias.
    aliases_in: Vec<Option<Box<str>>>,
    /// Topics that the client was told an alias for, by alias.
    aliases_out: Vec<Box<str>>,
    /// Acknowledgements that were written but may not have left yet: messages that count as unacknowledged.
    unflushed: u16,
    /// Acknowledgements that a fault holds back, and until when.
    held: VecDeque<(Instant, u16)>,
    /// Messages that were taken from the outbox while the output was full.
    taken: VecDeque<OutgoingPublish>,
    room: MatchBuffer,
    /// Whether the session knows whom to wake, in this round.
    listens: bool,
    turn: Turn,
    /// Why it is ending, while its last words are written.
    closing: Option<DisconnectReason>,
    /// What the client said in DISCONNECT.
    expiry: Option<u32>,
}

/// Where messages stand that have just come, when clients connect and subscribe. They let the tasks go first that wait already: the
/// runtime begins with the one that it woke last, and who subscribes on one connection and right after that publishes on another expects
/// the message. In quiet times none waits: a turn costs as much as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    None,
    Waits,
    Had,
}

/// What a connection begins with.
pub(crate) struct ConnectionParts {
    pub(crate) session: Arc<ClientSession>,
    pub(crate) link: Arc<ConnectionHandle>,
    pub(crate) level: ProtocolVersion,
    pub(crate) permissions: ConnectionPermissions,
    pub(crate) io: BoxedStream,
    /// With CONNACK in it.
    pub(crate) output: WriteBuffer,
    pub(crate) terms: NegotiatedParameters,
    pub(crate) clock: ConnectionDeadlines,
}

/// What client and broker agreed on.
#[derive(Debug)]
pub(crate) struct NegotiatedParameters {
    /// One and a half keep-alives.
    pub(crate) silence: Option<Duration>,
    /// The largest packet that the client takes.
    pub(crate) packet_bytes: usize,
    /// How many aliases the client takes.
    pub(crate) aliases_out: usize,
    /// Whether the client wants reasons in words.
    pub(crate) problems: bool,
    /// When the session was to expire, as CONNECT had it: what was zero must stay so.
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

/// What happens by itself, and when.
pub(crate) struct ConnectionDeadlines {
    pub(crate) heard: Instant,
    /// When the connection ends whatever happens, and how.
    pub(crate) end: Option<(Instant, DisconnectReason)>,
    pub(crate) refresh: Option<IdentityRefresh>,
    /// Nothing is delivered before.
    pub(crate) delayed: Option<Instant>,
    /// When to look again, as far as is known in this round.
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

    /// Closes, and reads what the peer still sends for a while: who is answered by a reset may never see the last words.
    async fn linger(self: Box<Self>) {
        let mut io = self.io;
        let read_to_the_end = async {
            if io.shutdown().await.is_ok() {
                let mut part = [0; 512];
                while io.read(&mut part).await.is_ok_and(|count| count > 0) {}
            }
        };
        // Who does not close in time is cut off.
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
            // Who leaves still gets what has come for it before.
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

    /// Makes sure that whoever has something for this connection wakes its task; false where somebody has had already.
    fn listen(&mut self, context: &Context<'_>) -> bool {
        if self.listens || self.closing.is_some() {
            return true;
        }
        let mut state = self.session.state();
        // Whoever wants something of a connection says so before it looks for whom to wake.
        if self.link.ending().is_some() || self.link.is_to_ask() {
            return false;
        }
        state.listen(context.waker());
        true
    }

    /// Whether it is time for something that happens by itself; otherwise the clock wakes this task.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let Some(look) = self.clock.look else {
            return false;
        };
        let sleep = &mut self.clock.sleep;
        // A clock that goes off too early does no harm; one that is moved each time costs.
        let is_late = sleep.deadline() > look;
        if is_late || sleep.is_elapsed() {
            sleep.as_mut().reset(look);
        }
        sleep.as_mut().poll(context).is_ready()
    }

    /// What others want of this connection, and what time brings.
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

    /// Handles what has come already: who comes back at once may have said goodbye before.
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

    /// Begins to end the connection: MQTT 5 is told why, and nothing more is read or delivered.
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
        // Who does not even take this is cut off.
        self.clock.end = Some((Instant::now() + GOODBYE, DisconnectReason::Lost));
    }

    /// The reason as AWS lists it, where only those are sent.
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
