//! What the broker takes, and how it differs from MQTT: one table, as AWS IoT Core has it or as a broker without limits.
//!
//! Every number is switchable by name ([`super::switch`]). The defaults come from the constants of [`crate::channel::limits`], which
//! name their sources.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::channel::limits as iot;

/// Everything that is counted or measured. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLimits {
    /// The longest topic or filter, in bytes.
    pub topic_bytes: Option<usize>,
    /// The most slashes in a topic or filter.
    pub topic_slashes: Option<usize>,
    /// The largest payload, in bytes.
    pub payload_bytes: Option<usize>,
    /// The largest packet, in bytes. There is always one: it bounds what one peer can make the broker hold.
    pub packet_bytes: u32,
    /// The smallest maximum packet size that a client may ask for.
    pub least_packet_bytes: Option<u32>,
    /// The longest client id, in bytes.
    pub client_id_bytes: Option<usize>,
    /// All user properties of a message, in bytes.
    pub user_properties_bytes: Option<usize>,
    /// A message's correlation data, in bytes.
    pub correlation_data_bytes: Option<usize>,
    /// A message's content type, in bytes.
    pub content_type_bytes: Option<usize>,
    /// Topic aliases of a connection, each way.
    pub topic_aliases: u16,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe: Option<usize>,
    /// Subscriptions of a connection.
    pub subscriptions_per_connection: Option<usize>,
    /// Messages of QoS 1 that a client may have sent without an acknowledgement.
    pub unacknowledged_in: u16,
    /// Messages of QoS 1 that a client may leave unacknowledged.
    pub unacknowledged_out: u16,
    /// Messages that wait for a client beyond these, whether it is slow or away. There is always a bound.
    pub queued_per_session: usize,
    /// Messages that wait for a shared subscription none of whose members is there. There is always a bound.
    pub queued_per_group: usize,
    /// The bytes of messages that wait for a client or that it has not acknowledged. There is always a bound.
    pub queued_bytes_per_session: usize,
    /// The bytes of messages in all queues together. There is always a bound.
    pub queued_bytes: usize,
    /// The bytes of all retained messages. There is always a bound.
    pub retained_bytes: usize,
    /// Publishes a second on a connection, both ways together; what exceeds it is discarded.
    pub publishes_per_second: Option<u32>,
    /// Bytes a second on a connection, both ways together; what exceeds it is delayed.
    pub bytes_per_second: Option<u32>,
    /// CONNECT packets a second of a client id.
    pub connects_per_second_per_client_id: Option<u32>,
    /// Retained messages a second on a topic.
    pub retained_per_second_per_topic: Option<u32>,
    /// Stored messages a second that a client gets after it came back.
    pub stored_per_second: Option<u32>,
    /// Messages a second that each member of a shared subscription gets of those that waited for it.
    pub stored_per_second_shared: Option<u32>,
    /// How long an unacknowledged message is held: MQTT 3, and MQTT 5.
    pub redelivery: Option<(Duration, Duration)>,
    /// After how long an unacknowledged message is sent again on the same connection.
    pub resend: Option<Duration>,
    /// How long a session is kept at most without its client, in seconds.
    pub session_expiry_seconds: u32,
    /// What a message's expiry is moved into, in seconds.
    pub message_expiry_seconds: Option<RangeInclusive<u32>>,
    /// Keep-alives.
    pub keep_alive: KeepAlive,
    /// How long a WebSocket lasts.
    pub websocket_life: Option<Duration>,
    /// Of the account, that is of the whole broker: publishes a second that clients send.
    pub account_publishes_in: Option<u32>,
    /// Publishes a second that clients are sent.
    pub account_publishes_out: Option<u32>,
    /// CONNECT packets a second.
    pub account_connects: Option<u32>,
    /// Subscriptions a second.
    pub account_subscribes: Option<u32>,
    /// Messages a second that are kept for clients which are away.
    pub account_queued: Option<u32>,
    /// Retained messages a second.
    pub account_retained: Option<u32>,
    /// Calls of `GetRetainedMessage` a second.
    pub account_retained_gets: Option<u32>,
    /// Calls of `ListRetainedMessages` a second.
    pub account_retained_lists: Option<u32>,
    /// Calls of `GetConnection`, of `ListSubscriptions` and of `DeleteConnection` a second, of each.
    pub account_connection_calls: Option<u32>,
    /// The same of one client id.
    pub connection_calls_per_second_per_client_id: Option<u32>,
}

/// What becomes of the keep-alive that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It is moved into a range of seconds; none at all becomes the longest. MQTT 5 clients are told.
    Within(RangeInclusive<u16>),
    /// Only who can be told is held to a longest, in seconds; the others get what they ask for, none included.
    Told(u16),
}

impl KeepAlive {
    /// The keep-alive that holds, in seconds; 0 for none.
    pub fn grant(&self, asked: u16, is_v5: bool) -> u16 {
        match self {
            Self::Within(range) if asked == 0 => *range.end(),
            Self::Within(range) => asked.clamp(*range.start(), *range.end()),
            Self::Told(most) if is_v5 && (asked == 0 || asked > *most) => *most,
            Self::Told(_) => asked,
        }
    }
}

/// How the broker differs from what MQTT's specifications say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRules {
    /// Whether `a/#` matches `a`, as MQTT says.
    pub hash_matches_parent: bool,
    /// Whether a filter with wildcards brings retained messages, as MQTT says.
    pub retained_by_wildcard: bool,
    /// Whether topics and filters that begin with `$` are reserved.
    pub reserved_topics: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_ids: bool,
    /// Whether No Local keeps a client's own messages away, as MQTT 5 says; IoT Core ignores it.
    pub no_local: bool,
    /// Whether only the reason codes are sent that AWS lists.
    pub listed_reasons_only: bool,
    /// Whether an MQTT 3 client is told by CONNACK that it may not connect, and by SUBACK that it may not subscribe; IoT Core closes
    /// the connection.
    pub answer_v3_refusals: bool,
    /// Whether an MQTT 5 connection closes as well after it was told "not authorized"; AWS does not say.
    pub close_v5_refusals: bool,
    /// Whether unacknowledged messages come to a new connection with their packet identifier, as MQTT says; IoT Core gives them
    /// another one.
    pub original_ids: bool,
    /// Whether messages that are sent again are marked as duplicates, as MQTT says; IoT Core has no such mark.
    pub duplicate_flag: bool,
    /// Whether MQTT 5 is told with PUBACK 0x97 that a publish was discarded; AWS does not say. MQTT 3 never is.
    pub answer_throttled: bool,
}

impl BrokerLimits {
    /// A message expiry as it counts here, in seconds.
    pub(crate) fn message_expiry(&self, asked: u32) -> u32 {
        let range = self.message_expiry_seconds.as_ref();
        range.map_or(asked, |range| asked.clamp(*range.start(), *range.end()))
    }

    /// AWS IoT Core's limits with their default values.
    pub fn iot_core() -> Self {
        let seconds = Duration::from_secs;
        let (v3, v5) = iot::REDELIVERY_SECONDS;
        Self {
            topic_bytes: Some(iot::TOPIC_BYTES),
            topic_slashes: Some(iot::TOPIC_SLASHES),
            payload_bytes: Some(iot::PAYLOAD_BYTES),
            packet_bytes: iot::PACKET_BYTES,
            least_packet_bytes: Some(iot::LEAST_PACKET_BYTES),
            client_id_bytes: Some(iot::CLIENT_ID_BYTES),
            user_properties_bytes: Some(iot::USER_PROPERTIES_BYTES),
            correlation_data_bytes: Some(iot::CORRELATION_DATA_BYTES),
            content_type_bytes: Some(iot::CONTENT_TYPE_BYTES),
            topic_aliases: iot::TOPIC_ALIASES,
            filters_per_subscribe: Some(iot::SUBSCRIPTIONS_PER_SUBSCRIBE),
            subscriptions_per_connection: Some(iot::SUBSCRIPTIONS_PER_CONNECTION),
            unacknowledged_in: iot::UNACKNOWLEDGED_PER_CONNECTION,
            unacknowledged_out: iot::UNACKNOWLEDGED_PER_CONNECTION,
            queued_per_session: QUEUED_PER_SESSION,
            queued_per_group: QUEUED_PER_GROUP,
            queued_bytes_per_session: QUEUED_BYTES_PER_SESSION,
            queued_bytes: QUEUED_BYTES,
            retained_bytes: RETAINED_BYTES,
            publishes_per_second: Some(iot::PUBLISHES_PER_SECOND_PER_CONNECTION),
            bytes_per_second: Some(iot::BYTES_PER_SECOND_PER_CONNECTION),
            connects_per_second_per_client_id: Some(iot::CONNECTS_PER_SECOND_PER_CLIENT_ID),
            retained_per_second_per_topic: Some(iot::RETAINED_PER_SECOND_PER_TOPIC),
            stored_per_second: Some(iot::STORED_PER_SECOND),
            stored_per_second_shared: Some(iot::STORED_PER_SECOND_SHARED),
            redelivery: Some((seconds(v3), seconds(v5))),
            resend: Some(RESEND),
            session_expiry_seconds: iot::SESSION_EXPIRY_SECONDS,
            message_expiry_seconds: Some(iot::MESSAGE_EXPIRY_SECONDS),
            keep_alive: KeepAlive::Within(iot::KEEP_ALIVE_SECONDS),
            websocket_life: Some(seconds(iot::WEBSOCKET_SECONDS)),
            account_publishes_in: Some(iot::INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT),
            account_publishes_out: Some(iot::OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT),
            account_connects: Some(iot::CONNECTS_PER_SECOND_PER_ACCOUNT),
            account_subscribes: Some(iot::SUBSCRIPTIONS_PER_SECOND_PER_ACCOUNT),
            account_queued: Some(iot::QUEUED_PER_SECOND_PER_ACCOUNT),
            account_retained: Some(iot::RETAINED_PER_SECOND_PER_ACCOUNT),
            account_retained_gets: Some(iot::RETAINED_GETS_PER_SECOND_PER_ACCOUNT),
            account_retained_lists: Some(iot::RETAINED_LISTS_PER_SECOND_PER_ACCOUNT),
            account_connection_calls: Some(iot::CONNECTION_CALLS_PER_SECOND_PER_ACCOUNT),
            connection_calls_per_second_per_client_id: Some(
                iot::CONNECTION_CALLS_PER_SECOND_PER_CLIENT_ID,
            ),
        }
    }

    /// A broker as others are: only what keeps one peer from taking all memory, and a minute's keep-alive for who can be told.
    pub fn general() -> Self {
        Self {
            topic_bytes: None,
            topic_slashes: Some(GENERAL_SLASHES),
            payload_bytes: None,
            packet_bytes: GENERAL_PACKET_BYTES,
            least_packet_bytes: None,
            client_id_bytes: None,
            user_properties_bytes: None,
            correlation_data_bytes: None,
            content_type_bytes: None,
            topic_aliases: iot::TOPIC_ALIASES,
            filters_per_subscribe: None,
            subscriptions_per_connection: None,
            unacknowledged_in: GENERAL_UNACKNOWLEDGED,
            unacknowledged_out: GENERAL_UNACKNOWLEDGED,
            queued_per_session: GENERAL_QUEUED_PER_SESSION,
            queued_per_group: GENERAL_QUEUED_PER_GROUP,
            queued_bytes_per_session: QUEUED_BYTES_PER_SESSION,
            queued_bytes: QUEUED_BYTES,
            retained_bytes: RETAINED_BYTES,
            publishes_per_second: None,
            bytes_per_second: None,
            connects_per_second_per_client_id: None,
            retained_per_second_per_topic: None,
            stored_per_second: None,
            stored_per_second_shared: None,
            redelivery: None,
            // MQTT 5.0 has it after a new connection only (section 4.4).
            resend: None,
            session_expiry_seconds: u32::MAX,
            message_expiry_seconds: None,
            keep_alive: KeepAlive::Told(GENERAL_KEEP_ALIVE),
            websocket_life: None,
            account_publishes_in: None,
            account_publishes_out: None,
            account_connects: None,
            account_subscribes: None,
            account_queued: None,
            account_retained: None,
            account_retained_gets: None,
            account_retained_lists: None,
            account_connection_calls: None,
            connection_calls_per_second_per_client_id: None,
        }
    }
}

/// AWS publishes no bound; that there is one it does ("new messages are dropped, older ones kept"). Ours.
const QUEUED_PER_SESSION: usize = 1_000;

/// IoT Core's quota is 500,000 (100,000 in small Regions), more than this machine may have memory for. Ours: a minute of what the account
/// may queue.
const QUEUED_PER_GROUP: usize = 30_000;

/// What this process may need for queues and retained messages on a developer's machine, beside which IoT Core's quotas are counts of
/// messages. Ours.
const QUEUED_BYTES_PER_SESSION: usize = 128 * 1024 * 1024;
const QUEUED_BYTES: usize = 512 * 1024 * 1024;
const RETAINED_BYTES: usize = 256 * 1024 * 1024;

/// AWS says for how long, and not how often. Ours.
const RESEND: Duration = Duration::from_secs(30);

/// Deeper topics would make the search for subscribers deep.
const GENERAL_SLASHES: usize = 200;
const GENERAL_PACKET_BYTES: u32 = 1024 * 1024;
const GENERAL_UNACKNOWLEDGED: u16 = 1_000;
const GENERAL_QUEUED_PER_SESSION: usize = 100_000;
const GENERAL_QUEUED_PER_GROUP: usize = 100_000;
const GENERAL_KEEP_ALIVE: u16 = 60;

impl BrokerRules {
    /// As AWS IoT Core does it.
    pub fn iot_core() -> Self {
        Self {
            hash_matches_parent: false,
            retained_by_wildcard: false,
            reserved_topics: true,
            subscription_ids: false,
            no_local: false,
            listed_reasons_only: true,
            answer_v3_refusals: false,
            close_v5_refusals: false,
            original_ids: false,
            duplicate_flag: false,
            answer_throttled: true,
        }
    }

    /// As MQTT's specifications say; but there is no QoS 2.
    pub fn general() -> Self {
        Self {
            hash_matches_parent: true,
            retained_by_wildcard: true,
            reserved_topics: false,
            subscription_ids: true,
            no_local: true,
            listed_reasons_only: false,
            answer_v3_refusals: true,
            close_v5_refusals: false,
            original_ids: true,
            duplicate_flag: true,
            answer_throttled: true,
        }
    }
}
