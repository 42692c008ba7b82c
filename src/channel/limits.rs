//! Every limit of AWS IoT Core that eventcast relies on, as a named constant with its source.
//!
//! Sources: "AWS IoT Core endpoints and quotas" in the AWS General Reference (QUOTA), and the developer guide (DG), as
//! published in 2026. All values are per account and Region unless the name says otherwise.

/// The longest topic name or topic filter, in bytes of UTF-8 (QUOTA, "Topic size"). The `$aws/rules/<rule>/` and
/// `$share/<name>/` prefixes are not counted.
pub const TOPIC_BYTES: usize = 256;

/// The most slashes in a topic name or filter, so at most eight levels (QUOTA, "Maximum number of slashes in topic and
/// topic filter"). The same prefixes are not counted.
pub const TOPIC_SLASHES: usize = 7;

/// The largest payload of one publish, in bytes (QUOTA, "Publish payload size": 128 KB). A larger one is rejected.
pub const PAYLOAD_BYTES: usize = 128 * 1024;

/// The largest MQTT 5 packet, in bytes (QUOTA, "Maximum packet size": 146 KB).
pub const PACKET_BYTES: u32 = 146 * 1024;

/// All user properties of one MQTT 5 packet together, in bytes (QUOTA, "MQTT5 user properties": 8 KB).
pub const USER_PROPERTIES_BYTES: usize = 8 * 1024;

/// Unacknowledged QoS 1 publishes that one client may have outstanding (QUOTA, "Inbound unacknowledged QoS 1 publish
/// requests").
pub const UNACKNOWLEDGED_PER_CONNECTION: u16 = 100;

/// The longest client id, in bytes of UTF-8 (QUOTA, "Client ID size").
pub const CLIENT_ID_BYTES: usize = 128;

/// The shortest and longest message expiry, in seconds (QUOTA, "MQTT5 message expiry": 0 is raised to 1).
pub const MESSAGE_EXPIRY_SECONDS: std::ops::RangeInclusive<u32> = 1..=604_800;

/// The shortest and longest keep-alive, in seconds (QUOTA, "Keep-alive"): IoT Core moves other values to the nearest of
/// these.
pub const KEEP_ALIVE_SECONDS: std::ops::RangeInclusive<u16> = 30..=1_200;

/// CONNECT packets a second that IoT Core takes for one client id (QUOTA, "Connect requests per second per client ID").
pub const CONNECTS_PER_SECOND_PER_CLIENT_ID: u32 = 1;

/// Publishes a second on one connection, in both directions together (QUOTA, "Publish requests per second per connection"). What
/// exceeds it is discarded without a word.
pub const PUBLISHES_PER_SECOND_PER_CONNECTION: u32 = 100;

/// Bytes a second on one connection, in both directions together (QUOTA, "Throughput per second per connection": 512 KB). What
/// exceeds it is delayed.
pub const BYTES_PER_SECOND_PER_CONNECTION: u32 = 512 * 1024;

/// The most publishes a second that all clients of an account send (QUOTA, "Inbound publish requests per second per account"): the
/// default, which can be raised; in small Regions it is a tenth.
pub const INBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT: u32 = 20_000;

/// The smallest maximum packet size that a client may ask for with MQTT 5, in bytes (QUOTA, "Minimum packet size").
pub const LEAST_PACKET_BYTES: u32 = 512;

/// The correlation data of one MQTT 5 publish, in bytes (QUOTA, "MQTT5 correlation data": 8 KB).
pub const CORRELATION_DATA_BYTES: usize = 8 * 1024;

/// The content type of one MQTT 5 publish, in bytes of UTF-8 (QUOTA, "MQTT5 content type").
pub const CONTENT_TYPE_BYTES: usize = 256;

/// MQTT 5 topic aliases of one connection (QUOTA, "MQTT5 topic aliases": the default, which can be raised). More end the
/// connection.
pub const TOPIC_ALIASES: u16 = 8;

/// The longest that a session is kept without its client, in seconds (QUOTA, "Persistent session expiry period": the default, which
/// can be raised to seven days).
pub const SESSION_EXPIRY_SECONDS: u32 = 3_600;

/// Stored messages a second that a client gets after it came back (DG, "MQTT", persistent sessions).
pub const STORED_PER_SECOND: u32 = 10;

/// Stored messages a second that each member of a shared subscription gets while it is connected (DG, "MQTT", persistent sessions).
pub const STORED_PER_SECOND_SHARED: u32 = 20;

/// Time for which an unacknowledged message of QoS 1 is sent again, in seconds: MQTT 3.1.1, and
/// MQTT 5 (QUOTA).
pub const REDELIVERY_SECONDS: (u64, u64) = (3_600, 960);

/// Retained messages a second on one topic (QUOTA, "Retained message inbound publish requests per second per topic").
pub const RETAINED_PER_SECOND_PER_TOPIC: u32 = 1;

/// Duration of a WebSocket connection, in seconds (QUOTA, "WebSocket connection duration").
pub const WEBSOCKET_SECONDS: u64 = 86_400;

/// Publishes a second to all subscribers of an account (QUOTA, "Outbound publish requests per second per account"): the default, which
/// can be raised; in small Regions it is a tenth.
pub const OUTBOUND_PUBLISHES_PER_SECOND_PER_ACCOUNT: u32 = 20_000;

/// CONNECT packets a second of an account (QUOTA, "Connect requests per second per account"): the default, which can be raised.
pub const CONNECTS_PER_SECOND_PER_ACCOUNT: u32 = 3_000;

/// Subscriptions a second of an account; each filter counts (QUOTA, "Subscriptions per second per account"): the default, which can
/// be raised.
pub const SUBSCRIPTIONS_PER_SECOND_PER_ACCOUNT: u32 = 3_000;

/// Messages a second that are kept for clients which are away (QUOTA, "Queued messages per second per account"): the default, which
/// can be raised.
pub const QUEUED_PER_SECOND_PER_ACCOUNT: u32 = 500;

/// Retained messages a second of an account (QUOTA, "Retained message inbound publish requests per second per account"): the default,
/// which can be raised.
pub const RETAINED_PER_SECOND_PER_ACCOUNT: u32 = 500;

/// Calls of GetRetainedMessage a second of an account (QUOTA, "GetRetainedMessage": the default, which can be raised; 50 in small
/// Regions).
pub const RETAINED_GETS_PER_SECOND_PER_ACCOUNT: u32 = 500;

/// Calls of ListRetainedMessages a second of an account (QUOTA, "ListRetainedMessages": the default, which can be raised).
pub const RETAINED_LISTS_PER_SECOND_PER_ACCOUNT: u32 = 10;

/// Calls of GetConnection, of ListSubscriptions and of DeleteConnection a second of an account, each (QUOTA: the default, which can be
/// raised).
pub const CONNECTION_CALLS_PER_SECOND_PER_ACCOUNT: u32 = 100;

/// The same of one client id (QUOTA), which cannot be raised.
pub const CONNECTION_CALLS_PER_SECOND_PER_CLIENT_ID: u32 = 1;

/// The longest IoT policy document, in characters, white space not counted (QUOTA, "Maximum policy document size"). It holds for named
/// policies and for each document of a custom authorizer.
pub const POLICY_CHARACTERS: usize = 2_048;

/// The longest session policy, in characters of its plain text (IAM user guide, "IAM and AWS STS quotas"). STS also bounds a packed form
/// whose size only STS knows.
pub const SESSION_POLICY_CHARACTERS: usize = 2_048;

/// The longest managed policy of IAM, in characters, white space not counted (IAM user guide, "IAM and AWS STS quotas").
pub const ROLE_POLICY_CHARACTERS: usize = 6_144;

/// The most documents that a custom authorizer may answer with (DG, "Defining your Lambda function").
pub const AUTHORIZER_DOCUMENTS: usize = 10;

/// The most filters that one connection may be subscribed to (QUOTA, "Subscriptions per connection"): the default, which can be
/// raised.
pub const SUBSCRIPTIONS_PER_CONNECTION: usize = 50;

/// The most filters of one SUBSCRIBE packet (QUOTA, "Maximum subscriptions per subscribe request").
pub const SUBSCRIPTIONS_PER_SUBSCRIBE: usize = 8;

/// Times that an authorizer may set, in seconds: the duration of a connection, and the time until
/// the next request (DG, "Defining your Lambda function").
pub const AUTHORIZER_SECONDS: std::ops::RangeInclusive<u64> = 300..=86_400;

/// The longest principal id that an authorizer may give, in letters and digits (DG, "Defining your Lambda function").
pub const PRINCIPAL_ID_CHARACTERS: usize = 128;

/// The longest token that a custom authorizer is handed (API reference, TestInvokeAuthorizer).
pub const TOKEN_CHARACTERS: usize = 6_144;
