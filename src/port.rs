//! The ports: the source of events, the destination of publications, the permissions of a broker's
//! clients, and the issue of tokens.
//!
//! The parts know these traits only; `aws` and `mqtt` implement them and map foreign errors once.
//! Each text states the duties of both sides. A type that implements one of them passes the
//! contract suite of that port (`tests/`), fakes included.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::channel::limits::PAYLOAD_BYTES;
use crate::policy::context::Context;
use crate::policy::query_report::Policies;
use crate::policy::scope::Scope;
use crate::route::publication::Publication;

/// One message as the queue handed it out, with everything that is needed to settle it.
pub struct Delivery {
    /// The queue's own id of the message, the same on every redelivery.
    pub id: Box<str>,
    /// The event as sent.
    pub body: Bytes,
    /// The right to settle this delivery.
    pub receipt: Receipt,
    /// End of the visibility timeout: the queue hands the message out again then, unless it was
    /// settled or the timeout was extended before.
    pub lease: Instant,
    /// Time at which it was sent to the queue, by the queue's clock.
    pub sent: Option<Timestamp>,
    /// Number of times that the queue has handed it out, this time included; 1 for the first time.
    pub attempt: u32,
    /// The message group (FIFO and fair queues).
    pub group: Option<Arc<str>>,
    /// The W3C trace context of the sender.
    pub traceparent: Option<Box<str>>,
}

impl fmt::Debug for Delivery {
    /// Never shows the body or the receipt: deliveries end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .field("attempt", &self.attempt)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// The right to settle one delivery. It is neither `Clone` nor `Copy`: settling consumes it, so that settling twice does
/// not compile.
pub struct Receipt(Arc<str>);

impl Receipt {
    /// Wraps the queue's receipt handle.
    pub fn new(handle: impl Into<Arc<str>>) -> Self {
        Self(handle.into())
    }

    /// The lesser right that others may be given: to set the time for which the message stays
    /// invisible.
    pub fn hold(&self) -> Hold {
        Hold(Arc::clone(&self.0))
    }

    /// The queue's receipt handle. It is a capability: never log it.
    pub fn handle(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt(…)")
    }
}

/// The right to set the time for which a received message stays invisible, which ends with the
/// receipt it came from.
#[derive(Clone)]
pub struct Hold(Arc<str>);

impl Hold {
    /// The queue's receipt handle. It is a capability: never log it.
    pub fn handle(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold(…)")
    }
}

/// A delivery on its way to the dead-letter queue: the body unchanged, and the reason why it can
/// never succeed.
#[derive(Debug)]
pub struct DeadLetter {
    /// The queue's id of the message.
    pub id: Box<str>,
    /// The event as received.
    pub body: Bytes,
    /// The message group, kept so that a FIFO dead-letter queue keeps the order.
    pub group: Option<Arc<str>>,
    /// A word from a closed set, such as `not_an_event` or `too_large`.
    pub reason: &'static str,
    /// One line for a person, without the payload.
    pub detail: String,
    /// The route that could not be served, where one is to blame.
    pub route: Option<Box<str>>,
    /// Number of times that the queue had handed the message out.
    pub attempt: u32,
}

/// The outcome of one entry of a batch: which entry, by its place in the batch, and how it went.
pub type BatchOutcome = Vec<Result<(), QueueError>>;

/// The source of events.
///
/// A message is invisible to others from the moment it was received until its visibility timeout
/// ends, unless it was deleted before or its visibility changed. Implementations retry nothing
/// themselves: the daemon decides by [`QueueError`]'s kind. All methods may be called concurrently.
pub trait Queue: Send + Sync + 'static {
    /// Waits up to `wait` for messages and takes at most `max` of them (1 to 10), in the queue's
    /// order. An empty vector means that none came. Cancel safe only in the sense of SQS: messages
    /// of a call that was dropped come back when their visibility timeout ends.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Delivery>, QueueError>> + Send;

    /// The number of messages that `receive` has left out so far, because they can be neither published nor settled: without an
    /// id, a receipt handle, or a body that is text. They stay in the queue. An implementation logs why.
    fn unusable(&self) -> u64 {
        0
    }

    /// Deletes up to ten messages; the outcomes are in the order of `receipts`. A receipt whose
    /// visibility timeout has ended may be refused: the message will come again.
    fn delete(&self, receipts: &[Receipt]) -> impl Future<Output = BatchOutcome> + Send;

    /// Sets for up to ten messages the time until each becomes visible again, counted from now:
    /// later than the end of its visibility timeout to extend it, at once (zero) to hand it back.
    fn change_visibility(
        &self,
        holds: &[(Hold, Duration)],
    ) -> impl Future<Output = BatchOutcome> + Send;

    /// Sends up to ten messages to the dead-letter queue. `None` when there is no dead-letter queue.
    fn bury(&self, letters: &[DeadLetter]) -> impl Future<Output = Option<BatchOutcome>> + Send;

    /// Asks the queue for the facts the daemon plans by. Also the start-up check: it fails when the queue does not exist
    /// or may not be read.
    fn describe(&self) -> impl Future<Output = Result<QueueFacts, QueueError>> + Send;
}

/// Facts about the queue that the daemon needs at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFacts {
    /// Time for which a received message stays invisible.
    pub visibility: Duration,
    /// Indicates that the queue keeps order within message groups.
    pub fifo: bool,
    /// Approximate number of messages that wait in it.
    pub backlog: u64,
    /// Number of times that a message is handed out before the queue moves it to its own
    /// dead-letter queue; `None` without redrive.
    pub max_receives: Option<u32>,
}

/// Reason why the queue did not do as asked, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It may work later: throttled, unreachable, a server error.
    #[error("{what}")]
    Transient {
        /// The operation, and the service's own words.
        what: String,
    },
    /// It will not work however often it is tried: no such queue, no permission, bad credentials.
    #[error("{what}")]
    Permanent {
        /// The operation, and the service's own words.
        what: String,
    },
    /// The receipt is not valid any more: the visibility timeout ended, or the message is gone. It
    /// may come again.
    #[error("the lease on the message had ended")]
    LeaseLost,
}

/// The destination of publications.
///
/// Order: publications to one topic leave in the order in which they were handed over, except those
/// of a route without order ([`TopicOrder::Unordered`](crate::route::publication::TopicOrder)). An
/// implementation never drops a publication silently: each [`Pending`](Self::Pending) resolves. A
/// publication whose fate is unknown (the connection was lost before its acknowledgement) is
/// published again, before those of its topic that were not sent yet, for as long as its `Pending`
/// is held; when the publisher closes first, it resolves as transient.
pub trait Publisher: Send + Sync + 'static {
    /// Resolves to the publication's fate. Dropping it takes the publication back unless it was sent already; then it is at
    /// least not sent again.
    type Pending: Future<Output = Result<(), PublishError>> + Send + 'static;

    /// Hands one publication over. It waits inside for a connection with room; the caller bounds
    /// how many may. Its place in its topic's order is fixed with this call.
    ///
    /// # Errors
    /// Errors that can be known before sending, such as a payload above the broker's limit.
    fn publish(&self, publication: Publication) -> Result<Self::Pending, PublishError>;

    /// Resolves once at least one connection is up: nothing should be received before that. Cancel safe.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Changes this task's share of the account's quota, in publications a second; `None` for no
    /// limit.
    fn set_share(&self, share: Option<u32>) {
        let _ = share;
    }

    /// Takes no more publications, waits for outstanding acknowledgements until `deadline`, and disconnects.
    fn close(&self, deadline: Instant) -> impl Future<Output = ()> + Send;
}

/// Reason why a publication was not acknowledged, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It may work later: disconnected, throttled, timed out, a server error.
    #[error("{what}")]
    Transient {
        /// The error, in the broker's or the client's words.
        what: String,
    },
    /// It cannot succeed: refused by policy, malformed, too large.
    #[error("{what}")]
    Permanent {
        /// A word from a closed set for metrics and dead-letter messages, such as `not_authorized`
        /// or `too_large`.
        reason: &'static str,
        /// The error, in the broker's or the client's words.
        what: String,
    },
    /// The broker takes fewer than were sent to it for a while: it may work later, at a lower rate.
    #[error("{what}")]
    Throttled {
        /// The error, in the broker's words.
        what: String,
    },
    /// It was not sent: less than a second was left of the time for which it is worth delivering.
    #[error("the message expired while it waited to be sent")]
    Expired,
}

impl PublishError {
    /// Refuses a payload that is larger than IoT Core takes, by any transport.
    ///
    /// # Errors
    /// [`PublishError::Permanent`] with the reason `too_large`.
    pub fn unless_fits(publication: &Publication) -> Result<(), Self> {
        let bytes = publication.payload.len();
        if bytes <= PAYLOAD_BYTES {
            return Ok(());
        }
        Err(Self::Permanent {
            reason: "too_large",
            what: format!("the payload has {bytes} bytes; IoT Core takes {PAYLOAD_BYTES}"),
        })
    }
}

/// Everything that a client shows of itself when it connects to a broker.
///
/// Passwords, tokens and signed addresses are in here: it is never logged.
#[derive(Clone)]
pub struct Presented {
    /// Address that it connects from.
    pub source: SocketAddr,
    /// Results of the TLS handshake.
    pub tls: Option<PresentedTls>,
    /// The HTTP request, where it comes by WebSocket.
    pub upgrade: Option<PresentedUpgrade>,
    /// Its login in CONNECT; `None` while a WebSocket is being opened.
    pub login: Option<PresentedLogin>,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Facts about the client from the TLS handshake.
#[derive(Clone, Default)]
pub struct PresentedTls {
    /// The host it asked for (SNI).
    pub server_name: Option<String>,
    /// The application protocol that was agreed on (ALPN), such as `mqtt`.
    pub protocol: Option<String>,
    /// Its certificate as DER, checked as far as the listener is configured to.
    pub certificate: Option<Bytes>,
}

/// The HTTP request that opens a WebSocket.
#[derive(Clone, Default)]
pub struct PresentedUpgrade {
    /// The path, such as `/mqtt`.
    pub path: String,
    /// The query, the text after `?`, as it was sent.
    pub query: Option<String>,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

/// Identification in an MQTT CONNECT.
#[derive(Clone, Default)]
pub struct PresentedLogin {
    /// The client id; empty where the broker assigns one.
    pub client_id: String,
    /// The user name.
    pub user_name: Option<String>,
    /// The password, which may be any bytes.
    pub password: Option<Bytes>,
}

/// Identifies the clients of a broker. The broker asks, and does not know which implementation
/// answers.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides on what a client presents. Asked when a WebSocket is opened, without a login; again at CONNECT if the answer was
    /// [`Authentication::AtConnect`]; and, with the same, each time an identity is to be refreshed. Cancel safe.
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a>;
}

/// Return type of [`Authorizer::authenticate`]: the broker holds authorizers of any kind.
pub type AuthenticationFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Authentication, AuthenticationRefusal>> + Send + 'a>>;

/// Result of an authorizer's decision on a connecting client.
pub enum Authentication {
    /// It is known.
    Known(Identity),
    /// The login of its CONNECT is needed to decide. At CONNECT this is a refusal.
    AtConnect,
}

/// Identity of a client, and its permissions.
#[derive(Clone)]
pub struct Identity {
    /// The principal, as life-cycle events name it.
    pub principal: Arc<str>,
    /// Permissions of the client.
    pub access: Arc<dyn ClientAccess>,
    /// Time after which to ask again; an authorizer that then refuses ends the connection.
    pub refresh_after: Option<Duration>,
    /// Time after which the connection ends.
    pub disconnect_after: Option<Duration>,
}

/// Reason why an authorizer does not let a client in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationRefusal {
    /// Its credentials are wrong: an unknown user, a bad token.
    #[error("{0}")]
    BadCredentials(String),
    /// It presents nothing that could be decided on: no token at all.
    #[error("{0}")]
    NothingShown(String),
    /// Nobody could decide, such as when the authorizer failed.
    #[error("{0}")]
    Unavailable(String),
}

/// Permissions of one client. Decisions are pure: the same question gets the same answer for as
/// long as this lives, so that a caller may remember it; other permissions come as another value.
pub trait ClientAccess: Send + Sync + 'static {
    /// Decides on one action of a client.
    fn decide(&self, client: &RequestingClient, action: ClientAction<'_>) -> AccessDecision;

    /// The basis of the decisions on a client, for explanations; `None` where there are no
    /// policies.
    fn grounds(&self, client: &RequestingClient) -> Option<Grounds> {
        let _ = client;
        None
    }
}

/// Basis of the decisions on a client.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// The role that its policies were made for.
    pub role: Option<Box<str>>,
    /// Its policies.
    pub policies: Arc<Policies>,
    /// Scope of the ARNs of its requests.
    pub scope: Scope,
    /// Values for conditions and variables.
    pub context: Context,
}

/// The source of an issuer's key set: one fixed address.
pub trait KeySetSource: fmt::Debug + Send + Sync + 'static {
    /// Fetches the set's text. The caller bounds the time; an implementation bounds the size,
    /// follows no redirect, and returns one line that says why there is none. Cancel safe.
    fn fetch(&self) -> KeySetAnswer<'_>;
}

/// Result of [`KeySetSource::fetch`].
pub type KeySetAnswer<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

/// A list of revoked subjects and tokens.
pub trait RevocationList: fmt::Debug + Send + Sync + 'static {
    /// The entries with these ids (`subject:TEXT`, `token:ID`); ids that the list does not have are
    /// left out. A list that cannot be read as a whole is an error of one line, never an empty
    /// answer. Cancel safe.
    fn find<'a>(&'a self, ids: &'a [String]) -> RevocationAnswer<'a>;
}

/// Result of [`RevocationList::find`].
pub type RevocationAnswer<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<RevokedEntry>, String>> + Send + 'a>>;

/// One entry of a list of revoked subjects and tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedEntry {
    /// `subject:TEXT` or `token:ID`.
    pub id: String,
    /// Only tokens that were made in this second or before are revoked, in seconds since 1970;
    /// `None` for all.
    pub issued_before: Option<i64>,
    /// The entry counts until then, in seconds since 1970; `None` for ever.
    pub expires: Option<i64>,
}

/// Makes tokens for those who try a role out on their own machine.
pub trait Issuer: Send + Sync + 'static {
    /// Makes a token for a role with some claims.
    ///
    /// # Errors
    /// The reason why there is none, in words: an unknown role, claims that give no grants.
    fn issue(&self, role: &str, claims: &Map<String, Value>) -> Result<Issued, String>;
}

/// A token, and the facts that its bearer needs to use it.
#[derive(Clone)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// The name under which the authorizer looks for it in the query of a WebSocket's address.
    pub key: String,
    /// Prefix that the client id must have.
    pub principal: String,
    /// Filters that it may subscribe to, or their beginnings and a `*`.
    pub subscribe: Vec<String>,
    /// Topics that it may publish to, in the same form.
    pub publish: Vec<String>,
}

impl fmt::Debug for Issued {
    /// Never shows the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// The client an action is decided for, as far as policies can ask for it.
#[derive(Clone, Debug)]
pub struct RequestingClient {
    /// Its client id.
    pub id: Arc<str>,
    /// The address it connects from.
    pub source: IpAddr,
    /// The host it asked for (SNI), or that its HTTP request names.
    pub domain_name: Option<Arc<str>>,
}

/// Action that a client is about to take, in the words of IoT policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction<'a> {
    /// `iot:Connect` on its client id.
    Connect {
        /// Indicates that it asks for a session that outlives the connection.
        persistent: bool,
        /// The topic of its will.
        will: Option<&'a str>,
    },
    /// `iot:Publish` on a topic.
    Publish(&'a str),
    /// `iot:RetainPublish` on a topic; `iot:Publish` is asked for as well.
    RetainPublish(&'a str),
    /// `iot:Subscribe` on a filter as it was sent.
    Subscribe(&'a str),
    /// `iot:Receive` on a message's topic.
    Receive(&'a str),
}

/// Decision on an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessDecision {
    /// It is allowed.
    Allowed,
    /// It is denied; the reason, in one line for a developer.
    Denied(Box<str>),
}
