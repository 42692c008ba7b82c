//! Limits of the broker and its deviations from MQTT in one table, for AWS IoT Core and for a
//! general broker.
//!
//! Every number can be set by name ([`super::switch`]). The defaults come from the constants of
//! [`crate::channel::limits`], which name their sources.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::channel::limits as iot;

/// Everything that is counted or measured. `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLimits {
    /// Maximum length of a topic or filter, in bytes.
    pub topic_bytes: Option<usize>,
    /// Maximum number of slashes in a topic or filter.
    pub topic_slashes: Option<usize>,
    /// Maximum size of a payload, in bytes.
    pub payload_bytes: Option<usize>,
    /// Maximum size of a packet, in bytes. There is always one: it bounds the memory that one peer
    /// can make the broker hold.
    pub packet_bytes: u32,
    /// Minimum of the Maximum Packet Size that a client may ask for.
    pub least_packet_bytes: Option<u32>,
    /// Maximum length of a client id, in bytes.
    pub client_id_bytes: Option<usize>,
    /// Maximum size of all user properties of a message, in bytes.
    pub user_properties_bytes: Option<usize>,
    /// Maximum size of a message's correlation data, in bytes.
    pub correlation_data_bytes: Option<usize>,
    /// Maximum length of a message's content type, in bytes.
    pub content_type_bytes: Option<usize>,
    /// Topic aliases of a connection, each way.
    pub topic_aliases: u16,
    /// Filters in one SUBSCRIBE.
    pub filters_per_subscribe: Option<usize>,
    /// Subscriptions of a connection.
    pub subscriptions_per_connection: Option<usize>,
    /// Messages of QoS 1 that a client may have sent without receiving an acknowledgement.
    pub unacknowledged_in: u16,
    /// Messages of QoS 1 that a client may leave unacknowledged.
    pub unacknowledged_out: u16,
    /// Messages that may wait for a client, slow or disconnected. There is always a bound.
    pub queued_per_session: usize,
    /// Messages that may wait for a shared subscription without a connected member. There is always
    /// a bound.
    pub queued_per_group: usize,
    /// Bytes of the messages that wait for a client or that it has not acknowledged. There is
    /// always a bound.
    pub queued_bytes_per_session: usize,
    /// Bytes of the messages in all queues together. There is always a bound.
    pub queued_bytes: usize,
    /// Bytes of all retained messages. There is always a bound.
    pub retained_bytes: usize,
    /// Publishes per second on a connection, both ways together; the excess is discarded.
    pub publishes_per_second: Option<u32>,
    /// Bytes per second on a connection, both ways together; the excess is delayed.
    pub bytes_per_second: Option<u32>,
    /// CONNECT packets per second of a client id.
    pub connects_per_second_per_client_id: Option<u32>,
    /// Retained messages per second on a topic.
    pub retained_per_second_per_topic: Option<u32>,
    /// Stored messages per second for a client that has reconnected.
    pub stored_per_second: Option<u32>,
    /// Queued messages per second for each member of a shared subscription.
    pub stored_per_second_shared: Option<u32>,
    /// Time for which an unacknowledged message is kept before the broker gives it up: MQTT 3, and
    /// MQTT 5.
    pub redelivery: Option<(Duration, Duration)>,
    /// Time after which an unacknowledged message is sent again on the same connection.
    pub resend: Option<Duration>,
    /// Maximum session expiry, in seconds.
    pub session_expiry_seconds: u32,
    /// Range to which a Message Expiry Interval is clamped, in seconds.
    pub message_expiry_seconds: Option<RangeInclusive<u32>>,
    /// Keep-alives.
    pub keep_alive: KeepAlive,
    /// Maximum lifetime of a WebSocket connection.
    pub websocket_life: Option<Duration>,
    /// Publishes per second that clients send, for the account, which is the whole broker.
    pub account_publishes_in: Option<u32>,
    /// Publishes per second that clients receive.
    pub account_publishes_out: Option<u32>,
    /// CONNECT packets per second.
    pub account_connects: Option<u32>,
    /// Subscriptions per second.
    pub account_subscribes: Option<u32>,
    /// Messages per second that are stored for disconnected clients.
    pub account_queued: Option<u32>,
    /// Retained messages per second.
    pub account_retained: Option<u32>,
    /// Calls of `GetRetainedMessage` per second.
    pub account_retained_gets: Option<u32>,
    /// Calls of `ListRetainedMessages` per second.
    pub account_retained_lists: Option<u32>,
    /// Calls per second of `GetConnection`, of `ListSubscriptions` and of `DeleteConnection`, for
    /// each of them.
    pub account_connection_calls: Option<u32>,
    /// The same for one client id.
    pub connection_calls_per_second_per_client_id: Option<u32>,
}

/// Treatment of the keep-alive that a client requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// The keep-alive is clamped to a range of seconds; 0 becomes the maximum. MQTT 5 clients
    /// receive the result as Server Keep Alive.
    Within(RangeInclusive<u16>),
    /// Maximum in seconds, for MQTT 5 clients only, which receive it as Server Keep Alive. Older
    /// clients get the keep-alive that they request, including 0.
    Announced(u16),
}

impl KeepAlive {
    /// Returns the keep-alive in effect, in seconds; 0 for none.
    pub fn grant(&self, asked: u16, is_v5: bool) -> u16 {
        match self {
            Self::Within(range) if asked == 0 => *range.end(),
            Self::Within(range) => asked.clamp(*range.start(), *range.end()),
            Self::Announced(most) if is_v5 && (asked == 0 || asked > *most) => *most,
            Self::Announced(_) => asked,
        }
    }
}

/// Deviations of the broker from the MQTT specifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRules {
    /// `true` where `a/#` matches `a`, as in MQTT.
    pub hash_matches_parent: bool,
    /// `true` where a filter with wildcards delivers retained messages, as in MQTT.
    pub retained_by_wildcard: bool,
    /// `true` where topics and filters that begin with `$` are reserved.
    pub reserved_topics: bool,
    /// `true` where subscriptions may have identifiers.
    pub subscription_ids: bool,
    /// `true` where No Local withholds a client's own messages, as in MQTT 5; IoT Core ignores it.
    pub no_local: bool,
    /// `true` where the broker sends only the reason codes that AWS lists.
    pub listed_reasons_only: bool,
    /// `true` where an MQTT 3 client receives its refusals in CONNACK and SUBACK; IoT Core closes
    /// the connection instead.
    pub answer_v3_refusals: bool,
    /// `true` where an MQTT 5 connection is closed after "not authorized"; AWS does not say.
    pub close_v5_refusals: bool,
    /// `true` where unacknowledged messages keep their packet identifier on a new connection, as in
    /// MQTT; IoT Core gives them another one.
    pub original_ids: bool,
    /// `true` where redelivered messages have the DUP flag, as in MQTT; IoT Core does not set it.
    pub duplicate_flag: bool,
    /// `true` where an MQTT 5 client receives PUBACK 0x97 for a discarded publish; AWS does not
    /// say. MQTT 3 has no such answer.
    pub answer_throttled: bool,
}

impl BrokerLimits {
    /// Returns the message expiry in effect, in seconds.
    pub(crate) fn message_expiry(&self, asked: u32) -> u32 {
        let range = self.message_expiry_seconds.as_ref();
        range.map_or(asked, |range| asked.clamp(*range.start(), *range.end()))
    }

    /// Limits of AWS IoT Core with their default values.
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

    /// Limits of a general broker: only those that keep one peer from taking all memory, and a
    /// keep-alive of one minute for MQTT 5 clients.
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
            // MQTT 5.0 sends again after a new connection only (section 4.4).
            resend: None,
            session_expiry_seconds: u32::MAX,
            message_expiry_seconds: None,
            keep_alive: KeepAlive::Announced(GENERAL_KEEP_ALIVE),
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

/// AWS publishes no number, but there is a bound ("new messages are dropped, older ones kept"). The
/// number is ours.
const QUEUED_PER_SESSION: usize = 1_000;

/// IoT Core's quota is 500,000 (100,000 in small Regions), more than this machine may have memory
/// for. The number is ours: one minute of the account's queued messages.
const QUEUED_PER_GROUP: usize = 30_000;

/// Memory bounds for queues and retained messages on a developer's machine; IoT Core's own quotas
/// are counts of messages. The numbers are ours.
const QUEUED_BYTES_PER_SESSION: usize = 128 * 1024 * 1024;
const QUEUED_BYTES: usize = 512 * 1024 * 1024;
const RETAINED_BYTES: usize = 256 * 1024 * 1024;

/// AWS documents the total time, and no interval. The number is ours.
const RESEND: Duration = Duration::from_secs(30);

/// Deeper topics would make the search for subscribers deep.
const GENERAL_SLASHES: usize = 200;
const GENERAL_PACKET_BYTES: u32 = 1024 * 1024;
const GENERAL_UNACKNOWLEDGED: u16 = 1_000;
const GENERAL_QUEUED_PER_SESSION: usize = 100_000;
const GENERAL_QUEUED_PER_GROUP: usize = 100_000;
const GENERAL_KEEP_ALIVE: u16 = 60;

impl BrokerRules {
    /// Rules of AWS IoT Core.
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

    /// Rules of the MQTT specifications, but without QoS 2.
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
