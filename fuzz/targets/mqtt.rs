//! Any bytes through the dev broker's wire format: packets lie within the bytes that have come, and
//! messages that go on to subscribers can be read.

#![no_main]

use bytes::BytesMut;
use eventcast::wire::answer::answer;
use eventcast::wire::decode::{ClientPacket, decode};
use eventcast::wire::{ProtocolVersion, encode, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for level in [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5] {
        let mut rest = input;
        while let Ok(Some(found)) = frame(rest, 64 * 1024) {
            let body = &rest[found.begin..found.end];
            rest = &rest[found.end..];
            // As a client reads it: bytes that no broker sends must give nothing but a refusal.
            let _ = answer(found.header, body);
            let Ok(ClientPacket::Publish(publish)) = decode(level, found.header, body) else {
                continue;
            };
            let forwarded = publish.properties.forwarded();
            let packet = encode::SubscriberPublish {
                topic: publish.topic,
                qos: publish.qos.min(1),
                retain: publish.retain,
                again: publish.qos > 0 && found.header & 0b1000 != 0,
                id: publish.id.max(1),
                expiry: publish.properties.expiry,
                alias: publish.properties.alias,
                subscription_ids: &[],
                properties: &forwarded,
                payload_bytes: publish.payload.len(),
            };
            let mut out = BytesMut::new();
            packet.put(&mut out, ProtocolVersion::V5);
            out.extend_from_slice(publish.payload);
            let again = frame(&out, usize::MAX).unwrap().unwrap();
            let body = &out[again.begin..again.end];
            assert!(decode(ProtocolVersion::V5, again.header, body).is_ok());
        }
    }
});
