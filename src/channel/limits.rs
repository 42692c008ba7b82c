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
