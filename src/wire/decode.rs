//! The packets that a client sends.
//!
//! They borrow from the bytes that have arrived. Policies and quotas are not applied here.

use smallvec::SmallVec;

use super::connect::{ConnectPacket, connect};
use super::property::{PropertyKind, id, properties};
use super::read::PacketReader;
use super::{ProtocolError, ProtocolVersion, kind};

/// A packet from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPacket<'a> {
    /// CONNECT.
    Connect(Box<ConnectPacket<'a>>),
    /// PUBLISH.
    Publish(PublishPacket<'a>),
    /// PUBACK: the client has a message that was sent with QoS 1.
    PubAck {
        /// The packet identifier.
        id: u16,
        /// MQTT 5's reason code; 0 for older clients.
        reason: u8,
    },
    /// SUBSCRIBE.
    Subscribe(SubscribePacket<'a>),
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// The packet identifier.
        id: u16,
        /// The filters as sent.
        filters: Vec<&'a str>,
    },
    /// PINGREQ.
    Ping,
    /// DISCONNECT.
    Disconnect {
        /// MQTT 5's reason code; 0 for older clients.
        reason: u8,
        /// New session expiry interval, in seconds, where the client changes it.
        session_expiry: Option<u32>,
    },
}

/// The properties of a message that concern the broker, and all of them as they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageProperties<'a> {
    /// Message expiry interval, in seconds.
    pub expiry: Option<u32>,
    /// The topic's alias.
    pub alias: Option<u16>,
    /// Payload format indicator: the sender declares the payload to be UTF-8.
    pub is_text: bool,
    /// Bytes of all user properties, names and values.
    pub user_bytes: usize,
    /// Bytes of the correlation data.
    pub correlation_bytes: usize,
    /// Content type.
    pub content_type: Option<&'a str>,
    /// Topic for a response.
    pub response_topic: Option<&'a str>,
    /// The block as sent.
    pub block: &'a [u8],
}

impl MessageProperties<'_> {
    /// Properties for subscribers: all but those that the broker writes itself.
    pub fn forwarded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.block.len());
        for property in properties(self.block).map_while(Result::ok) {
            let own = matches!(
                property.id,
                id::MESSAGE_EXPIRY | id::TOPIC_ALIAS | id::WILL_DELAY
            );
            if !own {
                out.extend_from_slice(property.raw);
            }
        }
        out
    }
}

/// PUBLISH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishPacket<'a> {
    /// Topic; empty where the alias replaces it.
    pub topic: &'a str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Retain flag: the message is kept for later subscribers.
    pub retain: bool,
    /// The packet identifier; 0 with QoS 0.
    pub id: u16,
    /// Payload.
    pub payload: &'a [u8],
    /// Its properties.
    pub properties: MessageProperties<'a>,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribePacket<'a> {
    /// The packet identifier.
    pub id: u16,
    /// The subscription identifier.
    pub subscription_id: Option<u32>,
    /// Requested filters.
    pub wishes: SmallVec<[SubscribeFilter<'a>; 8]>,
}

/// One filter with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// The filter as sent.
    pub filter: &'a str,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Indicates that the client's own messages are left out.
    pub no_local: bool,
    /// Indicates that messages keep their retain flag.
    pub retain_as_published: bool,
    /// Sending of retained messages: 0 always, 1 to a new subscription, 2 never.
    pub retain_handling: u8,
}

/// Reads one packet's body, by the first byte of the packet.
///
/// # Errors
/// The rule that the packet breaks.
pub fn decode(
    level: ProtocolVersion,
    header: u8,
    body: &[u8],
) -> Result<ClientPacket<'_>, ProtocolError> {
    let (kind, flags) = (header >> 4, header & 0x0F);
    let mut rest = PacketReader(body);
    let wanted = match kind {
        kind::PUBLISH => flags,
        kind::SUBSCRIBE | kind::UNSUBSCRIBE | kind::PUBREL => 0b0010,
        _ => 0,
    };
    // MQTT 3.1 lets SUBSCRIBE and UNSUBSCRIBE be marked as duplicates.
    let odd = if level == ProtocolVersion::V31 {
        0b1000
    } else {
        0
    };
    if flags != wanted && flags != wanted | odd {
        return Err(ProtocolError::malformed("flags that must not be set"));
    }
    match kind {
        kind::CONNECT => connect(&mut rest).map(|connect| ClientPacket::Connect(Box::new(connect))),
        kind::PUBLISH => publish(level, flags, rest).map(ClientPacket::Publish),
        kind::PUBACK => acknowledged(level, rest),
        kind::SUBSCRIBE => subscribe(level, rest).map(ClientPacket::Subscribe),
        kind::UNSUBSCRIBE => unsubscribe(level, rest),
        kind::PINGREQ if body.is_empty() => Ok(ClientPacket::Ping),
        kind::DISCONNECT => disconnect(level, rest),
        kind::PINGREQ => Err(ProtocolError::malformed("a PINGREQ with a body")),
        kind::PUBREC | kind::PUBREL | kind::PUBCOMP => Err(ProtocolError::protocol(
            "a packet of QoS 2, which is not spoken here",
        )),
        kind::AUTH if level.is_v5() => Err(ProtocolError::protocol(
            "an AUTH packet: extended authentication is not spoken here",
        )),
        kind::CONNACK | kind::SUBACK | kind::UNSUBACK | kind::PINGRESP => {
            Err(ProtocolError::protocol("a packet that only a broker sends"))
        }
        _ => Err(ProtocolError::malformed(
            "a packet of a type that does not exist",
        )),
    }
}

pub(super) const MISPLACED: ProtocolError =
    ProtocolError::protocol("a property that this packet must not have");

/// A topic has no wildcards (section 3.3.2.1). It is not one that is "correctly formed, but not accepted" (0x90).
pub(super) fn topic(topic: &str) -> Result<&str, ProtocolError> {
    if memchr::memchr2(b'+', b'#', topic.as_bytes()).is_some() {
        return Err(ProtocolError::protocol("a topic with a wildcard"));
    }
    Ok(topic)
}

/// A filter has at least one character (section 4.7.3).
fn filter<'a>(rest: &mut PacketReader<'a>) -> Result<&'a str, ProtocolError> {
    match rest.text()? {
        "" => Err(ProtocolError::malformed("an empty filter")),
        filter => Ok(filter),
    }
}

impl<'a> MessageProperties<'a> {
    pub(super) fn take(&mut self, property: &PropertyKind<'a>) -> Result<(), ProtocolError> {
        match property.id {
            id::MESSAGE_EXPIRY => self.expiry = Some(property.value.number()),
            id::TOPIC_ALIAS => {
                self.alias = Some(u16::try_from(property.value.number()).unwrap_or(0));
            }
            id::USER_PROPERTY => {
                // Less the identifier and the lengths of name and value.
                self.user_bytes += property.raw.len().saturating_sub(5);
            }
            id::CORRELATION_DATA => {
                self.correlation_bytes = property.raw.len().saturating_sub(3);
            }
            id::PAYLOAD_FORMAT => self.is_text = property.value.number() == 1,
            id::CONTENT_TYPE => self.content_type = Some(property.value.text()),
            id::RESPONSE_TOPIC => self.response_topic = Some(topic(property.value.text())?),
            _ => return Err(MISPLACED),
        }
        Ok(())
    }
}

pub(super) fn publish(
    level: ProtocolVersion,
    flags: u8,
    mut rest: PacketReader<'_>,
) -> Result<PublishPacket<'_>, ProtocolError> {
    let (duplicate, qos, retain) = (flags & 0b1000 != 0, (flags >> 1) & 0b11, flags & 1 != 0);
    if qos == 3 {
        return Err(ProtocolError::malformed("a message with QoS 3"));
    }
    if duplicate && qos == 0 && level != ProtocolVersion::V31 {
        return Err(ProtocolError::malformed(
            "a message with QoS 0 that is a duplicate",
        ));
    }
    let topic = topic(rest.text()?)?;
    let id = if qos > 0 { identifier(&mut rest)? } else { 0 };
    let mut found = MessageProperties::default();
    if level.is_v5() {
        found.block = rest.properties()?;
        for property in properties(found.block) {
            found.take(&property?)?;
        }
    }
    if topic.is_empty() && found.alias.is_none() {
        return Err(ProtocolError::protocol("a message without a topic"));
    }
    Ok(PublishPacket {
        topic,
        qos,
        retain,
        id,
        payload: rest.0,
        properties: found,
    })
}

pub(super) fn identifier(rest: &mut PacketReader<'_>) -> Result<u16, ProtocolError> {
    match rest.two()? {
        0 => Err(ProtocolError::protocol("a packet identifier of zero")),
        id => Ok(id),
    }
}

fn acknowledged(
    level: ProtocolVersion,
    mut rest: PacketReader<'_>,
) -> Result<ClientPacket<'_>, ProtocolError> {
    let id = identifier(&mut rest)?;
    let mut reason = 0;
    if level.is_v5() && !rest.is_empty() {
        reason = rest.byte()?;
        only(&mut rest, &[id::REASON_STRING, id::USER_PROPERTY], |_| {})?;
    }
    end(rest)?;
    Ok(ClientPacket::PubAck { id, reason })
}

/// Reads a block of properties that may be left out at the end of a packet.
pub(super) fn only(
    rest: &mut PacketReader<'_>,
    allowed: &[u8],
    mut with: impl FnMut(&PropertyKind<'_>),
) -> Result<(), ProtocolError> {
    if rest.is_empty() {
        return Ok(());
    }
    for property in properties(rest.properties()?) {
        let property = property?;
        if !allowed.contains(&property.id) {
            return Err(MISPLACED);
        }
        with(&property);
    }
    Ok(())
}

fn subscribe(
    level: ProtocolVersion,
    mut rest: PacketReader<'_>,
) -> Result<SubscribePacket<'_>, ProtocolError> {
    let id = identifier(&mut rest)?;
    let mut subscription_id = None;
    if level.is_v5() {
        only(&mut rest, &[id::SUBSCRIPTION_ID, id::USER_PROPERTY], |it| {
            if it.id == id::SUBSCRIPTION_ID {
                subscription_id = Some(it.value.number());
            }
        })?;
    }
    if subscription_id == Some(0) {
        return Err(ProtocolError::protocol("a subscription identifier of zero"));
    }
    let mut wishes = SmallVec::new();
    while !rest.is_empty() {
        wishes.push(wish(level, &mut rest)?);
    }
    if wishes.is_empty() {
        return Err(ProtocolError::protocol("a SUBSCRIBE without a filter"));
    }
    Ok(SubscribePacket {
        id,
        subscription_id,
        wishes,
    })
}

fn wish<'a>(
    level: ProtocolVersion,
    rest: &mut PacketReader<'a>,
) -> Result<SubscribeFilter<'a>, ProtocolError> {
    let filter = filter(rest)?;
    let options = rest.byte()?;
    let wish = SubscribeFilter {
        filter,
        qos: options & 0b11,
        no_local: options & 0b100 != 0,
        retain_as_published: options & 0b1000 != 0,
        retain_handling: (options >> 4) & 0b11,
    };
    let reserved = if level.is_v5() { 0xC0 } else { 0xFC };
    if wish.qos == 3 || options & reserved != 0 {
        return Err(ProtocolError::malformed(
            "options of a subscription that do not exist",
        ));
    }
    if wish.retain_handling == 3 {
        return Err(ProtocolError::protocol(
            "a retain handling that does not exist",
        ));
    }
    if wish.no_local && filter.starts_with("$share/") {
        return Err(ProtocolError::protocol("no-local on a shared subscription"));
    }
    Ok(wish)
}

fn unsubscribe(
    level: ProtocolVersion,
    mut rest: PacketReader<'_>,
) -> Result<ClientPacket<'_>, ProtocolError> {
    let id = identifier(&mut rest)?;
    if level.is_v5() {
        only(&mut rest, &[id::USER_PROPERTY], |_| {})?;
    }
    let mut filters = Vec::new();
    while !rest.is_empty() {
        filters.push(filter(&mut rest)?);
    }
    if filters.is_empty() {
        return Err(ProtocolError::protocol("an UNSUBSCRIBE without a filter"));
    }
    Ok(ClientPacket::Unsubscribe { id, filters })
}

fn disconnect(
    level: ProtocolVersion,
    mut rest: PacketReader<'_>,
) -> Result<ClientPacket<'_>, ProtocolError> {
    let (mut reason, mut session_expiry) = (0, None);
    if level.is_v5() && !rest.is_empty() {
        reason = rest.byte()?;
        let allowed = [id::SESSION_EXPIRY, id::REASON_STRING, id::USER_PROPERTY];
        only(&mut rest, &allowed, |property| {
            if property.id == id::SESSION_EXPIRY {
                session_expiry = Some(property.value.number());
            }
        })?;
    }
    end(rest)?;
    Ok(ClientPacket::Disconnect {
        reason,
        session_expiry,
    })
}

pub(super) fn end(rest: PacketReader<'_>) -> Result<(), ProtocolError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(ProtocolError::malformed("the packet goes on after its end"))
    }
}
