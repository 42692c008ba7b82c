//! The packets that a broker sends.

use bytes::{BufMut, BytesMut};

use super::property::id;
use super::{ProtocolVersion, ReasonCode, kind};

/// Properties of CONNACK, which an MQTT 5 client receives (section 3.2.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// Session expiry interval, in seconds, where it is not as requested.
    pub session_expiry: Option<u32>,
    /// The most messages of QoS 1 that the broker takes at once.
    pub receive_maximum: Option<u16>,
    /// The largest packet that the broker takes.
    pub packet_bytes: Option<u32>,
    /// The client's id, where it had none.
    pub client_id: Option<&'a str>,
    /// The most topic aliases that the broker takes.
    pub topic_aliases: u16,
    /// The keep-alive to use, in seconds, where it is not as requested.
    pub keep_alive: Option<u16>,
    /// Indicates that subscriptions may have identifiers.
    pub subscription_ids: bool,
    /// Reason string of a refusal.
    pub why: Option<&'a str>,
}

/// CONNACK that accepts the connection.
pub fn connected(
    out: &mut BytesMut,
    level: ProtocolVersion,
    session_present: bool,
    granted: &ConnackProperties<'_>,
) {
    connack(out, level, session_present, ReasonCode::Success, granted);
}

/// CONNACK that refuses the connection, with the reason.
pub fn refused(out: &mut BytesMut, level: ProtocolVersion, reason: ReasonCode, why: Option<&str>) {
    let granted = ConnackProperties {
        why,
        ..ConnackProperties::default()
    };
    connack(out, level, false, reason, &granted);
}

fn connack(
    out: &mut BytesMut,
    level: ProtocolVersion,
    session_present: bool,
    reason: ReasonCode,
    granted: &ConnackProperties<'_>,
) {
    let present = u8::from(session_present && level != ProtocolVersion::V31);
    if !level.is_v5() {
        out.put_slice(&[kind::CONNACK << 4, 2, present, return_code(reason)]);
        return;
    }
    let mut block = Vec::new();
    if reason == ReasonCode::Success {
        let number = |block: &mut Vec<u8>, id, bytes: &[u8]| {
            block.put_u8(id);
            block.put_slice(bytes);
        };
        if let Some(seconds) = granted.session_expiry {
            number(&mut block, id::SESSION_EXPIRY, &seconds.to_be_bytes());
        }
        if let Some(maximum) = granted.receive_maximum {
            number(&mut block, id::RECEIVE_MAXIMUM, &maximum.to_be_bytes());
        }
        number(&mut block, id::MAXIMUM_QOS, &[1]);
        if let Some(bytes) = granted.packet_bytes {
            number(&mut block, id::MAXIMUM_PACKET_SIZE, &bytes.to_be_bytes());
        }
        if let Some(client_id) = granted.client_id {
            text(&mut block, id::ASSIGNED_CLIENT_ID, client_id);
        }
        if granted.topic_aliases > 0 {
            let maximum = granted.topic_aliases.to_be_bytes();
            number(&mut block, id::TOPIC_ALIAS_MAXIMUM, &maximum);
        }
        if let Some(seconds) = granted.keep_alive {
            number(&mut block, id::SERVER_KEEP_ALIVE, &seconds.to_be_bytes());
        }
        if !granted.subscription_ids {
            number(&mut block, id::SUBSCRIPTION_IDS_AVAILABLE, &[0]);
        }
    }
    if let Some(why) = granted.why {
        text(&mut block, id::REASON_STRING, why);
    }
    head(out, kind::CONNACK << 4, 2 + properties_bytes(block.len()));
    out.put_slice(&[present, reason.code()]);
    properties(out, &block);
}

/// Return code of MQTT 3.1.1 for a reason (section 3.2.2.3 of that version).
fn return_code(reason: ReasonCode) -> u8 {
    match reason {
        ReasonCode::Success => 0,
        ReasonCode::UnsupportedVersion => 1,
        ReasonCode::ClientIdInvalid => 2,
        ReasonCode::BadCredentials => 4,
        ReasonCode::NotAuthorized => 5,
        _ => 3,
    }
}

/// PUBACK.
pub fn acknowledged(
    out: &mut BytesMut,
    level: ProtocolVersion,
    id: u16,
    reason: ReasonCode,
    why: Option<&str>,
) {
    if !level.is_v5() || reason == ReasonCode::Success {
        out.put_slice(&[kind::PUBACK << 4, 2]);
        out.put_u16(id);
        return;
    }
    let mut block = Vec::new();
    if let Some(why) = why {
        text(&mut block, id::REASON_STRING, why);
    }
    head(out, kind::PUBACK << 4, 3 + properties_bytes(block.len()));
    out.put_u16(id);
    out.put_u8(reason.code());
    properties(out, &block);
}

/// SUBACK; an answer for each filter.
pub fn subscribed(
    out: &mut BytesMut,
    level: ProtocolVersion,
    id: u16,
    answers: &[ReasonCode],
    why: Option<&str>,
) {
    answer(out, level, kind::SUBACK, id, answers, why);
}

/// UNSUBACK; an answer for each filter, which only an MQTT 5 client receives.
pub fn unsubscribed(out: &mut BytesMut, level: ProtocolVersion, id: u16, answers: &[ReasonCode]) {
    if level.is_v5() {
        answer(out, level, kind::UNSUBACK, id, answers, None);
    } else {
        out.put_slice(&[kind::UNSUBACK << 4, 2]);
        out.put_u16(id);
    }
}

fn answer(
    out: &mut BytesMut,
    level: ProtocolVersion,
    kind: u8,
    id: u16,
    answers: &[ReasonCode],
    why: Option<&str>,
) {
    let mut block = Vec::new();
    if let Some(why) = why {
        text(&mut block, id::REASON_STRING, why);
    }
    let properties_bytes = if level.is_v5() {
        properties_bytes(block.len())
    } else {
        0
    };
    head(out, kind << 4, 2 + properties_bytes + answers.len());
    out.put_u16(id);
    if level.is_v5() {
        properties(out, &block);
    }
    for answer in answers {
        // Older clients know one failure.
        let failed = answer.is_failure() && !level.is_v5();
        out.put_u8(if failed {
            ReasonCode::Unspecified.code()
        } else {
            answer.code()
        });
    }
}

/// PINGRESP.
pub fn pong(out: &mut BytesMut) {
    out.put_slice(&[kind::PINGRESP << 4, 0]);
}

/// DISCONNECT, which only MQTT 5 knows from a broker.
pub fn disconnected(out: &mut BytesMut, reason: ReasonCode, why: Option<&str>) {
    let mut block = Vec::new();
    if let Some(why) = why {
        text(&mut block, id::REASON_STRING, why);
    }
    head(
        out,
        kind::DISCONNECT << 4,
        1 + properties_bytes(block.len()),
    );
    out.put_u8(reason.code());
    properties(out, &block);
}

/// A message on its way to one subscriber. It is marked as a duplicate where it is sent again on one connection; after a new one
/// IoT Core gives it another identifier and no mark (developer guide, "MQTT").
#[derive(Clone, Copy, Debug)]
pub struct SubscriberPublish<'a> {
    /// Topic; empty where the alias is known.
    pub topic: &'a str,
    /// 0 or 1.
    pub qos: u8,
    /// Retain flag: it is a retained message.
    pub retain: bool,
    /// DUP flag: it was sent to its client before.
    pub again: bool,
    /// The packet identifier; for QoS 1.
    pub id: u16,
    /// Rest of the message expiry interval, in seconds.
    pub expiry: Option<u32>,
    /// The topic's alias.
    pub alias: Option<u16>,
    /// Identifiers of the subscriptions that match.
    pub subscription_ids: &'a [u32],
    /// Properties as the publisher sent them.
    pub properties: &'a [u8],
    /// Bytes of the payload, which follows.
    pub payload_bytes: usize,
}

impl SubscriberPublish<'_> {
    fn properties_bytes(&self) -> usize {
        let ids = self.subscription_ids.iter();
        let ids: usize = ids.map(|id| 1 + variable_bytes(*id as usize)).sum();
        let expiry = self.expiry.map_or(0, |_| 5);
        let alias = self.alias.map_or(0, |_| 3);
        expiry + alias + ids + self.properties.len()
    }

    fn body_bytes(&self, level: ProtocolVersion) -> usize {
        let id = if self.qos > 0 { 2 } else { 0 };
        let block = if level.is_v5() {
            properties_bytes(self.properties_bytes())
        } else {
            0
        };
        2 + self.topic.len() + id + block + self.payload_bytes
    }

    /// Size of the whole packet.
    pub fn bytes(&self, level: ProtocolVersion) -> usize {
        let body = self.body_bytes(level);
        1 + variable_bytes(body) + body
    }

    /// Writes all but the payload.
    pub fn put(&self, out: &mut BytesMut, level: ProtocolVersion) {
        let flags = (u8::from(self.again) << 3) | (self.qos << 1) | u8::from(self.retain);
        head(out, (kind::PUBLISH << 4) | flags, self.body_bytes(level));
        out.put_u16(length(self.topic));
        out.put_slice(self.topic.as_bytes());
        if self.qos > 0 {
            out.put_u16(self.id);
        }
        if !level.is_v5() {
            return;
        }
        variable(out, self.properties_bytes());
        if let Some(seconds) = self.expiry {
            out.put_u8(id::MESSAGE_EXPIRY);
            out.put_u32(seconds);
        }
        if let Some(alias) = self.alias {
            out.put_u8(id::TOPIC_ALIAS);
            out.put_u16(alias);
        }
        for subscription in self.subscription_ids {
            out.put_u8(id::SUBSCRIPTION_ID);
            variable(out, *subscription as usize);
        }
        out.put_slice(self.properties);
    }
}

pub(super) fn head(out: &mut BytesMut, header: u8, body_bytes: usize) {
    out.reserve(5 + body_bytes.min(1_024));
    out.put_u8(header);
    variable(out, body_bytes);
}

pub(super) fn variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7F).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.put_u8(byte);
            return;
        }
        out.put_u8(byte | 0x80);
    }
}

fn variable_bytes(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

pub(super) fn properties_bytes(block: usize) -> usize {
    variable_bytes(block) + block
}

pub(super) fn properties(out: &mut BytesMut, block: &[u8]) {
    variable(out, block.len());
    out.put_slice(block);
}

/// The longest text of the broker's own: a packet with one must not be large.
const TEXT_BYTES: usize = 400;

fn text(block: &mut Vec<u8>, id: u8, value: &str) {
    let value = value
        .get(..value.floor_char_boundary(TEXT_BYTES))
        .unwrap_or_default();
    block.put_u8(id);
    block.put_u16(length(value));
    block.put_slice(value.as_bytes());
}

/// The length that precedes a text. Topics came with such a length.
fn length(value: &str) -> u16 {
    u16::try_from(value.len()).unwrap_or(u16::MAX)
}
