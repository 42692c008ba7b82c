//! The dev broker's wire format against the client library's: each reads the packets that the other
//! writes, and no bytes bring the broker down.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use bytes::{Bytes, BytesMut};
use eventcast::wire::decode::{self, decode};
use eventcast::wire::property::properties;
use eventcast::wire::{ProtocolVersion, ReasonCode, encode, frame};
use proptest::prelude::*;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{
    Connect, ConnectAuth, ConnectProperties, LastWill, LastWillProperties, Packet, Publish,
    PublishProperties, RetainForwardRule, Subscribe, SubscribeFilter, SubscribeProperties,
};

const LEVELS: [ProtocolVersion; 3] = [
    ProtocolVersion::V31,
    ProtocolVersion::V311,
    ProtocolVersion::V5,
];

/// Reads bytes that the library has written.
fn read<'a>(packet: &Packet, bytes: &'a mut BytesMut) -> decode::ClientPacket<'a> {
    packet.write(bytes, None).unwrap();
    let frame = frame(bytes, usize::MAX).unwrap().expect("a packet");
    assert_eq!(frame.end, bytes.len());
    decode(
        ProtocolVersion::V5,
        frame.header,
        &bytes[frame.begin..frame.end],
    )
    .unwrap()
}

/// Lets the library read bytes that were written here.
fn written(mut bytes: BytesMut) -> Packet {
    let packet = Packet::read(&mut bytes, None).unwrap();
    assert!(bytes.is_empty(), "it read all of it");
    packet
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9/é ]{0,20}"
}

fn topic() -> impl Strategy<Value = String> {
    "[a-z0-9/é]{1,20}"
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((text(), text()), 0..4)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        // Around the bounds of the length's width.
        (16_300_usize..16_500).prop_map(|size| vec![b'x'; size]),
    ]
}

type Parts = (
    Option<u8>,
    Option<u32>,
    Option<String>,
    Option<Vec<u8>>,
    Vec<(String, String)>,
    Option<String>,
);

fn publish_properties() -> impl Strategy<Value = PublishProperties> {
    let parts = (
        prop::option::of(0..=1_u8),
        prop::option::of(any::<u32>()),
        prop::option::of(topic()),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        pairs(),
        prop::option::of(text()),
    );
    parts.prop_map(
        |(format, expiry, response, correlation, user, content): Parts| PublishProperties {
            payload_format_indicator: format,
            message_expiry_interval: expiry,
            topic_alias: None,
            response_topic: response,
            correlation_data: correlation.map(Bytes::from),
            user_properties: user,
            subscription_identifiers: Vec::new(),
            content_type: content,
        },
    )
}

proptest! {
    /// A message that a client sends is read, forwarded, and read by another client as it was.
    #[test]
    fn messages(
        topic in topic(),
        payload in payload(),
        qos in 0..2_u8,
        retain: bool,
        again: bool,
        id in 1..=u16::MAX,
        told in publish_properties(),
        alias in prop::option::of(1..=u16::MAX),
    ) {
        let level = [QoS::AtMostOnce, QoS::AtLeastOnce][usize::from(qos)];
        let mut sent = Publish::new(topic.clone(), level, payload.clone(), Some(told.clone()));
        sent.retain = retain;
        sent.pkid = if qos > 0 { id } else { 0 };
        sent.properties.as_mut().unwrap().topic_alias = alias;
        let mut bytes = BytesMut::new();
        let decode::ClientPacket::Publish(read) = read(&Packet::Publish(sent.clone()), &mut bytes) else {
            panic!("a PUBLISH");
        };
        prop_assert_eq!(read.topic, &topic);
        prop_assert_eq!(read.payload, &payload[..]);
        prop_assert_eq!((read.qos, read.retain, read.id), (qos, retain, sent.pkid));
        prop_assert_eq!(read.properties.alias, alias);
        prop_assert_eq!(read.properties.expiry, told.message_expiry_interval);
        prop_assert_eq!(read.properties.content_type, told.content_type.as_deref());
        let size: usize = told.user_properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        prop_assert_eq!(read.properties.user_bytes, size);
        // On to a subscriber.
        let forwarded = read.properties.forwarded();
        let packet = encode::SubscriberPublish {
            topic: read.topic,
            qos,
            retain,
            again: again && qos > 0,
            id: read.id,
            expiry: read.properties.expiry,
            alias: read.properties.alias,
            // The library counts them wrongly; tests/dev_broker_general.rs reads them.
            subscription_ids: &[],
            properties: &forwarded,
            payload_bytes: payload.len(),
        };
        let mut out = BytesMut::new();
        packet.put(&mut out, ProtocolVersion::V5);
        out.extend_from_slice(&payload);
        prop_assert_eq!(out.len(), packet.bytes(ProtocolVersion::V5));
        let expected = PublishProperties {
            topic_alias: alias,
            ..told
        };
        let expected = (forwarded.len() + packet.expiry.map_or(0, |_| 5) + alias.map_or(0, |_| 3) > 0)
            .then_some(expected);
        let Packet::Publish(received) = written(out) else {
            panic!("a PUBLISH");
        };
        prop_assert_eq!(received.properties, expected);
        prop_assert_eq!((&received.topic[..], &received.payload[..]), (topic.as_bytes(), &payload[..]));
        prop_assert_eq!((received.qos, received.retain, received.pkid), (level, retain, sent.pkid));
        prop_assert_eq!(received.dup, packet.again);
        // The same for older clients, read back here.
        let mut out = BytesMut::new();
        packet.put(&mut out, ProtocolVersion::V311);
        out.extend_from_slice(&payload);
        prop_assert_eq!(out.len(), packet.bytes(ProtocolVersion::V311));
        let frame = frame(&out, usize::MAX).unwrap().unwrap();
        let again = decode(ProtocolVersion::V311, frame.header, &out[frame.begin..frame.end]).unwrap();
        let decode::ClientPacket::Publish(again) = again else {
            panic!("a PUBLISH");
        };
        prop_assert_eq!((again.topic, again.payload), (&*topic, &payload[..]));
    }

    #[test]
    fn connects(
        client_id in text(),
        clean: bool,
        keep_alive: u16,
        expiry in prop::option::of(any::<u32>()),
        maximum in prop::option::of(1..=u16::MAX),
        size in prop::option::of(1..=u32::MAX),
        user in prop::option::of((text(), text())),
        will in prop::option::of((topic(), payload(), 0..2_u8, any::<bool>(), any::<u32>(), pairs())),
    ) {
        let properties = ConnectProperties {
            session_expiry_interval: expiry,
            receive_maximum: maximum,
            max_packet_size: size,
            ..ConnectProperties::new()
        };
        let connect = Connect {
            keep_alive,
            client_id: client_id.clone(),
            clean_start: clean,
            properties: Some(properties),
        };
        let last_will = will.clone().map(|(topic, payload, qos, retain, delay, pairs)| LastWill {
            topic: Bytes::from(topic),
            message: Bytes::from(payload),
            qos: [QoS::AtMostOnce, QoS::AtLeastOnce][usize::from(qos)],
            retain,
            properties: Some(LastWillProperties {
                delay_interval: Some(delay),
                payload_format_indicator: None,
                message_expiry_interval: None,
                content_type: None,
                response_topic: None,
                correlation_data: None,
                user_properties: pairs,
            }),
        });
        let auth = user.clone().map_or(ConnectAuth::None, |(username, password)| {
            let password = Bytes::from(password);
            ConnectAuth::UsernamePassword { username, password }
        });
        let mut bytes = BytesMut::new();
        let packet = Packet::Connect(connect, last_will, auth);
        let decode::ClientPacket::Connect(read) = read(&packet, &mut bytes) else {
            panic!("a CONNECT");
        };
        prop_assert_eq!((read.level, read.clean, read.keep_alive), (ProtocolVersion::V5, clean, keep_alive));
        prop_assert_eq!(read.client_id, client_id);
        prop_assert_eq!(read.session_expiry, expiry);
        prop_assert_eq!(read.receive_maximum, maximum.unwrap_or(u16::MAX));
        prop_assert_eq!(read.packet_bytes, size);
        prop_assert_eq!(read.user_name, user.as_ref().map(|(name, _)| &**name));
        prop_assert_eq!(read.password, user.as_ref().map(|(_, password)| password.as_bytes()));
        match (read.will, will) {
            (None, None) => {}
            (Some(read), Some((topic, payload, qos, retain, delay, pairs))) => {
                prop_assert_eq!((read.topic, read.payload), (&*topic, &payload[..]));
                prop_assert_eq!((read.qos, read.retain, read.delay), (qos, retain, delay));
                let forwarded = read.properties.forwarded();
                prop_assert_eq!(properties_count(&forwarded), pairs.len());
            }
            (read, _) => panic!("{read:?}"),
        }
    }

    #[test]
    fn subscriptions(
        id in 1..=u16::MAX,
        subscription in prop::option::of(1..268_435_455_usize),
        filters in prop::collection::vec((topic(), 0..2_u8, any::<bool>(), any::<bool>(), 0..3_u8), 1..10),
    ) {
        let rules = [
            RetainForwardRule::OnEverySubscribe,
            RetainForwardRule::OnNewSubscribe,
            RetainForwardRule::Never,
        ];
        let filter = |(path, qos, no_local, retain, handling): &(String, u8, bool, bool, u8)| {
            let mut filter = SubscribeFilter::new(
                path.clone(),
                [QoS::AtMostOnce, QoS::AtLeastOnce][usize::from(*qos)],
            );
            filter.nolocal = *no_local;
            filter.preserve_retain = *retain;
            filter.retain_forward_rule = rules[usize::from(*handling)].clone();
            filter
        };
        let packet = Packet::Subscribe(Subscribe {
            pkid: id,
            filters: filters.iter().map(filter).collect(),
            properties: Some(SubscribeProperties { id: subscription, user_properties: Vec::new() }),
        });
        let mut bytes = BytesMut::new();
        let decode::ClientPacket::Subscribe(read) = read(&packet, &mut bytes) else {
            panic!("a SUBSCRIBE");
        };
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(read.subscription_id.map(|id| id as usize), subscription);
        let wishes: Vec<_> = read.wishes.iter().map(|wish| (
            wish.filter.to_owned(),
            wish.qos,
            wish.no_local,
            wish.retain_as_published,
            wish.retain_handling,
        )).collect();
        prop_assert_eq!(wishes, filters);
    }

    /// The library reads the broker's own packets as they were meant.
    #[test]
    fn answers(
        id in 1..=u16::MAX,
        why in prop::option::of("[ -~]{0,600}"),
        expiry in prop::option::of(any::<u32>()),
        aliases: u16,
        client_id in prop::option::of(topic()),
        keep_alive in prop::option::of(any::<u16>()),
        present: bool,
    ) {
        let why = why.as_deref();
        let mut out = BytesMut::new();
        let granted = encode::ConnackProperties {
            session_expiry: expiry,
            receive_maximum: Some(100),
            packet_bytes: Some(1_000),
            client_id: client_id.as_deref(),
            topic_aliases: aliases,
            keep_alive,
            subscription_ids: false,
            why: None,
        };
        encode::connected(&mut out, ProtocolVersion::V5, present, &granted);
        let Packet::ConnAck(connack) = written(out) else {
            panic!("a CONNACK");
        };
        prop_assert_eq!(connack.session_present, present);
        let told = connack.properties.unwrap();
        prop_assert_eq!(told.session_expiry_interval, expiry);
        prop_assert_eq!(told.assigned_client_identifier, client_id);
        prop_assert_eq!(told.server_keep_alive, keep_alive);
        prop_assert_eq!(told.topic_alias_max.unwrap_or(0), aliases);
        prop_assert_eq!((told.max_qos, told.subscription_identifiers_available), (Some(1), Some(0)));
        for reason in [ReasonCode::NotAuthorized, ReasonCode::QuotaExceeded] {
            let mut out = BytesMut::new();
            encode::refused(&mut out, ProtocolVersion::V5, reason, why);
            prop_assert!(matches!(written(out), Packet::ConnAck(_)));
            let mut out = BytesMut::new();
            encode::acknowledged(&mut out, ProtocolVersion::V5, id, reason, why);
            let Packet::PubAck(puback) = written(out) else {
                panic!("a PUBACK");
            };
            prop_assert_eq!(puback.pkid, id);
            prop_assert_eq!(puback.reason as u8 & 0x80, 0x80);
            // It is cut where it would be long.
            let told = puback.properties.and_then(|told| told.reason_string);
            prop_assert_eq!(told.as_deref(), why.map(|why| &why[..why.len().min(400)]));
            let mut out = BytesMut::new();
            encode::subscribed(&mut out, ProtocolVersion::V5, id, &[ReasonCode::Success, reason], why);
            let Packet::SubAck(suback) = written(out) else {
                panic!("a SUBACK");
            };
            prop_assert_eq!(suback.return_codes.len(), 2);
            let mut out = BytesMut::new();
            let answers = [ReasonCode::Success, ReasonCode::NotAuthorized];
            encode::unsubscribed(&mut out, ProtocolVersion::V5, id, &answers);
            prop_assert!(matches!(written(out), Packet::UnsubAck(_)));
            let mut out = BytesMut::new();
            encode::disconnected(&mut out, reason, why);
            prop_assert!(matches!(written(out), Packet::Disconnect(_)));
        }
    }

    /// Any bytes are a packet or a breach.
    #[test]
    fn any_bytes(header: u8, body in prop::collection::vec(any::<u8>(), 0..64)) {
        for level in LEVELS {
            let _ = decode(level, header, &body);
        }
        let _ = frame(&body, 1_000);
    }

    /// So are packets with a few bytes changed, which get deeper.
    #[test]
    fn nearly_packets(
        topic in topic(),
        told in publish_properties(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = BytesMut::new();
        let publish = Publish::new(topic, QoS::AtMostOnce, "payload", Some(told));
        Packet::Publish(publish).write(&mut bytes, None).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(Some(frame)) = frame(&bytes, 10_000) {
            for level in LEVELS {
                let _ = decode(level, frame.header, &bytes[frame.begin..frame.end]);
            }
        }
    }
}

fn properties_count(block: &[u8]) -> usize {
    properties(block).map(Result::unwrap).count()
}
