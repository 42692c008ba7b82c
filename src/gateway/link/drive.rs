//! The task of a link: it reads and writes the socket, and nobody else does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use smallvec::SmallVec;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::{BrokerSettings, LARGEST_PACKET};
use super::transport::BrokerStream;
use super::{BrokerLink, Closing, FilterAnswer, LinkEnd, LinkPhase};
use crate::channel::limits::SUBSCRIPTIONS_PER_SUBSCRIBE;
use crate::gateway::bearer::Bearer;
use crate::gateway::directory::Directory;
use crate::gateway::message::Message;
use crate::wire::answer::{ServerPacket, answer};
use crate::wire::decode::PublishPacket;
use crate::wire::{ProtocolError, ProtocolVersion, ReasonCode, encode, frame, request};

/// Bytes of waiting messages from which on nothing more is read: the broker holds the rest.
const PENDING_BYTES: usize = 1_024 * 1_024;

/// Time that a write, and an answer to a ping, may take before the connection counts as lost.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that the farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Options of a subscription (MQTT 5.0, section 3.8.3.1): QoS 1, retained messages at once unless
/// the session had the subscription.
const NEW_SUBSCRIPTION: u8 = 0x11;
/// The same without retained messages: the session has had them.
const SAME_SUBSCRIPTION: u8 = 0x21;

/// Beginning of a link.
pub(in crate::gateway) struct LinkBeginning {
    /// The token; `None` where clients need none.
    pub(in crate::gateway) bearer: Option<Bearer>,
    /// Moment when CONNECT may be sent.
    pub(in crate::gateway) not_before: Instant,
    /// The filters of a session that goes on; `None` for a new one.
    pub(in crate::gateway) resumed: Option<Vec<Box<str>>>,
    /// `true` where a new session takes on the messages that the broker keeps for the client id, if
    /// there are any.
    pub(in crate::gateway) adopts: bool,
}

/// Filters that the broker is asked about, some at a time.
struct Question {
    filters: VecDeque<Box<str>>,
    subscribe: bool,
    answers: Vec<FilterAnswer>,
    /// Nobody for channels that the session has: a refusal ends the link.
    reply: Option<oneshot::Sender<Vec<FilterAnswer>>>,
}

struct Driver<'l> {
    link: &'l BrokerLink,
    directory: &'l Directory,
    linger: Duration,
    ping_interval: Duration,
    stream: BrokerStream,
    input: BytesMut,
    out: BytesMut,
    ping_at: Instant,
    pong_by: Option<Instant>,
    questions: VecDeque<Question>,
    /// The packet identifier and the filters of the SUBSCRIBE or UNSUBSCRIBE that is not answered.
    asked: Option<(u16, Vec<Box<str>>)>,
    /// Filters that the broker has granted.
    granted: SmallVec<[Box<str>; 1]>,
    grants_interval: Duration,
    /// Moment when the broker is asked for them again.
    ask_again_at: Instant,
    last_id: u16,
}

impl BrokerLink {
    /// Connects, and serves until the end of the connection.
    pub(in crate::gateway) async fn run(
        self: Arc<Self>,
        settings: Arc<BrokerSettings>,
        directory: Arc<Directory>,
        beginning: LinkBeginning,
    ) {
        // State that only opening needs is dropped afterwards.
        let opened = Box::pin(self.open(&settings, &directory, beginning)).await;
        let end = match opened {
            Ok(mut driver) => {
                let end = driver.serve().await;
                driver.say_goodbye(&end).await;
                end
            }
            Err(end) => end,
        };
        tracing::debug!(client = &*self.client_id, ?end, "gateway link over");
        self.finish(end);
    }

    async fn open<'l>(
        &'l self,
        settings: &BrokerSettings,
        directory: &'l Directory,
        beginning: LinkBeginning,
    ) -> Result<Driver<'l>, LinkEnd> {
        sleep_until(beginning.not_before).await;
        if self.is_over() {
            return Err(LinkEnd::Closed);
        }
        let clean_start = beginning.resumed.is_none() && !beginning.adopts;
        let opened = settings.open(&self.client_id, beginning.bearer.as_ref(), clean_start);
        let opened = opened.await?;
        let opened_present = opened.session_present;
        let ping_interval = settings.keep_alive.min(opened.keep_alive) / 2;
        let mut driver = Driver {
            link: self,
            directory,
            linger: settings.linger,
            ping_interval,
            stream: opened.stream,
            input: opened.input,
            out: BytesMut::new(),
            ping_at: Instant::now() + ping_interval,
            pong_by: None,
            questions: VecDeque::new(),
            asked: None,
            granted: SmallVec::new(),
            grants_interval: settings.grants_interval,
            ask_again_at: Instant::now() + spread(settings.grants_interval),
            last_id: 0,
        };
        if let Some(filters) = beginning.resumed {
            if !opened_present {
                driver.say_goodbye(&LinkEnd::Gone).await;
                return Err(LinkEnd::Gone);
            }
            driver.questions.push_back(Question {
                filters: filters.into(),
                subscribe: true,
                answers: Vec::new(),
                reply: None,
            });
        }
        let mut state = self.lock();
        state.phase = LinkPhase::Live;
        state.session_present = opened_present;
        drop(state);
        self.news.notify_waiters();
        Ok(driver)
    }
}

/// An interval, and up to a quarter more: connections that opened together are not to ask together.
fn spread(interval: Duration) -> Duration {
    interval + interval.mul_f64(fastrand::f64() / 4.0)
}

fn lost(error: impl std::fmt::Display) -> LinkEnd {
    LinkEnd::Lost(error.to_string().into())
}

fn broken(breach: ProtocolError) -> LinkEnd {
    LinkEnd::Lost(breach.what.into())
}

impl Driver<'_> {
    async fn serve(&mut self) -> LinkEnd {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Reads the bytes that have come, writes those that are to be sent, and waits for more of
    /// either.
    async fn turn(&mut self) -> Result<(), LinkEnd> {
        self.take_in()?;
        self.put_out()?;
        self.flush().await?;
        let (deadline, is_full) = {
            let state = self.link.lock();
            let idle_by = state.idle_since + self.linger;
            let idle_by = (state.requests == 0).then_some(idle_by);
            let is_full = state.inbox.pending_bytes() > PENDING_BYTES;
            // A broker that is not read cannot be heard either.
            let pong_by = self.pong_by.filter(|_| !is_full);
            // The broker is asked again only for a client that waits.
            let ask_again_at = self.asks_again().then_some(self.ask_again_at);
            let ask_again_at = ask_again_at.filter(|_| state.requests > 0);
            let dates = [Some(self.ping_at), pong_by, idle_by, ask_again_at];
            let first = dates.into_iter().flatten().min();
            (first.unwrap_or(self.ping_at), is_full)
        };
        tokio::select! {
            filled = self.stream.fill(&mut self.input), if !is_full => filled.map_err(lost),
            () = self.link.work.notified() => Ok(()),
            () = sleep_until(deadline) => self.due(is_full),
        }
    }

    /// Returns `true` where the broker may be asked again for the filters that it has granted.
    fn asks_again(&self) -> bool {
        self.questions.is_empty() && !self.granted.is_empty()
    }

    fn due(&mut self, is_full: bool) -> Result<(), LinkEnd> {
        let now = Instant::now();
        if self.pong_by.is_some_and(|by| by <= now) && !is_full {
            return Err(lost("the broker is silent"));
        }
        if self.ping_at <= now {
            request::ping(&mut self.out);
            self.pong_by.get_or_insert(now + PEER_TIMEOUT);
            self.ping_at = now + self.ping_interval;
        }
        let mut state = self.link.lock();
        if state.requests == 0 && state.idle_since + self.linger <= now {
            // Requests from now on open another link.
            state.closing = Closing::KeepSession;
            return Err(LinkEnd::Closed);
        }
        let is_waited_for = state.requests > 0;
        drop(state);
        if is_waited_for && self.asks_again() && self.ask_again_at <= now {
            self.ask_again_at = now + spread(self.grants_interval);
            self.questions.push_back(Question {
                filters: self.granted.iter().cloned().collect(),
                subscribe: true,
                answers: Vec::new(),
                reply: None,
            });
        }
        Ok(())
    }

    fn take_in(&mut self) -> Result<(), LinkEnd> {
        let mut input = std::mem::take(&mut self.input);
        let mut heard = false;
        while let Some(found) = frame(&input, LARGEST_PACKET).map_err(broken)? {
            let body = input.get(found.begin..found.end).unwrap_or_default();
            let packet = answer(found.header, body).map_err(broken)?;
            heard |= matches!(packet, ServerPacket::Publish(_));
            self.take(packet)?;
            input.advance(found.end);
        }
        // An idle connection holds no buffer.
        if !input.is_empty() {
            self.input = input;
        }
        if heard {
            self.link.news.notify_waiters();
        }
        Ok(())
    }

    fn take(&mut self, packet: ServerPacket<'_>) -> Result<(), LinkEnd> {
        match packet {
            ServerPacket::Publish(publish) => self.message(&publish),
            ServerPacket::Filters { id, reasons, why } => return self.answered(id, reasons, why),
            ServerPacket::Pong => self.pong_by = None,
            ServerPacket::Disconnected { reason, .. } if reason == ReasonCode::TakenOver.code() => {
                return Err(LinkEnd::TakenOver);
            }
            ServerPacket::Disconnected { reason, why } => {
                let why = why.unwrap_or("it gives no reason");
                if reason == ReasonCode::NotAuthorized.code() {
                    self.refused_by_closing(why)?;
                }
                return Err(lost(format_args!(
                    "the broker ended the connection with 0x{reason:02X}: {why}"
                )));
            }
            ServerPacket::Connected(_) => return Err(lost("a second CONNACK")),
            ServerPacket::PubAck { .. } => return Err(lost("a PUBACK for nothing")),
        }
        Ok(())
    }

    /// The end of the connection as the answer to a SUBSCRIBE: AWS does not say whether it comes
    /// with a SUBACK (life-cycle events, `AUTH_ERROR`).
    ///
    /// # Errors
    /// [`LinkEnd::Forbidden`] where the session had the filters that it asked for.
    fn refused_by_closing(&mut self, why: &str) -> Result<(), LinkEnd> {
        let Some((_, filters)) = self.asked.take() else {
            return Ok(());
        };
        let Some(mut question) = self.questions.pop_front() else {
            return Ok(());
        };
        if !question.subscribe {
            return Ok(());
        }
        let Some(reply) = question.reply else {
            return Err(LinkEnd::Forbidden(filters.join("` or `").into()));
        };
        let code = ReasonCode::NotAuthorized.code();
        let refused = filters.iter().chain(&question.filters);
        let refused = refused.map(|_| Err((code, Box::from(why))));
        question.answers.extend(refused);
        // The asker may have gone.
        let _ = reply.send(question.answers);
        Ok(())
    }

    fn message(&self, publish: &PublishPacket<'_>) {
        let message = Message::of(publish, self.directory);
        let packet = (publish.qos > 0).then_some(publish.id);
        let mut state = self.link.lock();
        if let Some(packet) = state.inbox.arrive(message, packet) {
            state.acknowledge.push(packet);
        }
    }

    fn answered(&mut self, id: u16, reasons: &[u8], why: Option<&str>) -> Result<(), LinkEnd> {
        let Some((_, filters)) = self.asked.take_if(|(asked, _)| *asked == id) else {
            return Err(lost("an answer to nothing that was asked"));
        };
        let Some(question) = self.questions.front_mut() else {
            return Ok(());
        };
        // MQTT 3.1.1's UNSUBACK has no reasons; all was done.
        let mut reasons = reasons.iter().copied();
        for _ in &filters {
            let reason = reasons.next().unwrap_or(0);
            question.answers.push(if reason < 0x80 {
                Ok(())
            } else {
                Err((reason, why.unwrap_or_default().into()))
            });
        }
        if question.reply.is_none() {
            let answers = question.answers.iter().rev().take(filters.len()).rev();
            // A quota takes nothing away that the session has.
            let is_refusal = |answer: &FilterAnswer| {
                let quota = ReasonCode::QuotaExceeded.code();
                answer.as_ref().is_err_and(|(code, _)| *code != quota)
            };
            let refused = answers.zip(&filters).find(|(answer, _)| is_refusal(answer));
            if let Some((_, filter)) = refused {
                return Err(LinkEnd::Forbidden(filter.clone()));
            }
        }
        let answers = question.answers.iter().rev().take(filters.len()).rev();
        let is_kept = question.reply.is_none();
        for (filter, answer) in filters.iter().zip(answers) {
            if answer.is_ok() || is_kept {
                self.granted.retain(|known| known != filter);
                if question.subscribe {
                    self.granted.push(filter.clone());
                }
            }
        }
        if question.filters.is_empty()
            && let Some(done) = self.questions.pop_front()
            && let Some(reply) = done.reply
        {
            // The asker may have gone.
            let _ = reply.send(done.answers);
        }
        Ok(())
    }

    fn put_out(&mut self) -> Result<(), LinkEnd> {
        let mut state = self.link.lock();
        for packet in state.acknowledge.drain(..) {
            let success = ReasonCode::Success;
            encode::acknowledged(&mut self.out, ProtocolVersion::V5, packet, success, None);
        }
        state.acknowledge.shrink_to(0);
        let closing = state.closing;
        for asked in state.filters.drain(..) {
            self.questions.push_back(Question {
                filters: asked.filters.into(),
                subscribe: asked.subscribe,
                answers: Vec::new(),
                reply: Some(asked.reply),
            });
        }
        drop(state);
        self.ask_next()?;
        match closing {
            Closing::No => Ok(()),
            // Acknowledgements are sent with the farewell.
            Closing::KeepSession | Closing::EndSession => Err(LinkEnd::Closed),
        }
    }

    /// Sends the next part of the first question, unless an answer is missing.
    fn ask_next(&mut self) -> Result<(), LinkEnd> {
        if self.asked.is_some() {
            return Ok(());
        }
        let Some(question) = self.questions.front_mut() else {
            return Ok(());
        };
        let count = question.filters.len().min(SUBSCRIPTIONS_PER_SUBSCRIBE);
        let filters: Vec<Box<str>> = question.filters.drain(..count).collect();
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let names = filters.iter().map(|filter| &**filter);
        let options = if question.reply.is_some() {
            NEW_SUBSCRIPTION
        } else {
            SAME_SUBSCRIPTION
        };
        let written = if filters.is_empty() {
            self.questions.pop_front();
            return Ok(());
        } else if question.subscribe {
            request::subscribe(&mut self.out, self.last_id, names, options)
        } else {
            request::unsubscribe(&mut self.out, self.last_id, names)
        };
        written.map_err(lost)?;
        self.asked = Some((self.last_id, filters));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), LinkEnd> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        self.ping_at = Instant::now() + self.ping_interval;
        match timeout(PEER_TIMEOUT, self.stream.send(&out)).await {
            Ok(sent) => sent.map_err(lost),
            Err(_) => Err(lost("the broker takes nothing")),
        }
    }

    /// DISCONNECT and the end of the stream, where the broker still listens.
    async fn say_goodbye(mut self, end: &LinkEnd) {
        let ends_session = match end {
            LinkEnd::Closed => self.link.lock().closing == Closing::EndSession && !self.link.adopts,
            LinkEnd::Gone => true,
            // A client that does not wait is to be answered 403 as well, by the next connection.
            LinkEnd::Forbidden(_) => !self.link.adopts && self.link.lock().requests > 0,
            _ => return,
        };
        let mut out = std::mem::take(&mut self.out);
        request::disconnect(&mut out, ends_session.then_some(0));
        let farewell = async {
            self.stream.send(&out).await?;
            self.stream.close().await
        };
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, farewell).await {
            tracing::debug!(client = &*self.link.client_id, %error, "gateway link not closed in order");
        }
    }
}
