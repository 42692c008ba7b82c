//! The packets that a subscriber of MQTT 5 sends.
//!
//! PUBACK is written by [`encode::acknowledged`](super::encode::acknowledged), as brokers write it.

use bytes::{BufMut, BytesMut};

use super::encode::{head, properties, properties_bytes};
use super::kind;
use super::property::id;

/// CONNECT (section 3.1), without a will.
#[derive(Clone, Copy, Debug)]
pub struct ConnectRequest<'a> {
    /// `true` where a session that exists is forgotten.
    pub clean_start: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// The client id.
    pub client_id: &'a str,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password.
    pub password: Option<&'a [u8]>,
    /// Time that the session outlives the connection, in seconds.
    pub session_expiry: u32,
    /// Number of messages that of QoS 1 may be unacknowledged.
    pub receive_maximum: u16,
    /// The largest packet that is taken.
    pub packet_bytes: u32,
    /// User properties.
    pub user_properties: &'a [(&'a str, &'a str)],
}

/// A text or bytes that are longer than MQTT's 65,535 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is longer than 65,535 bytes")]
pub struct TooLong;

fn binary(out: &mut impl BufMut, bytes: &[u8]) -> Result<(), TooLong> {
    out.put_u16(u16::try_from(bytes.len()).map_err(|_| TooLong)?);
    out.put_slice(bytes);
    Ok(())
}

/// Writes CONNECT.
///
/// # Errors
/// [`TooLong`] for a text that MQTT cannot carry.
pub fn connect(out: &mut BytesMut, request: &ConnectRequest<'_>) -> Result<(), TooLong> {
    let mut block = Vec::with_capacity(32);
    block.put_u8(id::SESSION_EXPIRY);
    block.put_u32(request.session_expiry);
    block.put_u8(id::RECEIVE_MAXIMUM);
    block.put_u16(request.receive_maximum);
    block.put_u8(id::MAXIMUM_PACKET_SIZE);
    block.put_u32(request.packet_bytes);
    for (name, value) in request.user_properties {
        block.put_u8(id::USER_PROPERTY);
        binary(&mut block, name.as_bytes())?;
        binary(&mut block, value.as_bytes())?;
    }
    let mut rest = Vec::with_capacity(256);
    binary(&mut rest, request.client_id.as_bytes())?;
    let mut flags = u8::from(request.clean_start) << 1;
    if let Some(name) = request.user_name {
        flags |= 0x80;
        binary(&mut rest, name.as_bytes())?;
    }
    if let Some(password) = request.password {
        flags |= 0x40;
        binary(&mut rest, password)?;
    }
    // Protocol name, level, flags and keep-alive take ten bytes.
    let bytes = 10 + properties_bytes(block.len()) + rest.len();
    head(out, kind::CONNECT << 4, bytes);
    out.put_slice(&[0, 4, b'M', b'Q', b'T', b'T', 5, flags]);
    out.put_u16(request.keep_alive);
    properties(out, &block);
    out.put_slice(&rest);
    Ok(())
}

/// Writes SUBSCRIBE with one set of options for all filters (section 3.8.3.1).
///
/// # Errors
/// [`TooLong`] for a filter that MQTT cannot carry.
pub fn subscribe<'f>(
    out: &mut BytesMut,
    id: u16,
    filters: impl IntoIterator<Item = &'f str>,
    options: u8,
) -> Result<(), TooLong> {
    let mut rest = Vec::with_capacity(256);
    for filter in filters {
        binary(&mut rest, filter.as_bytes())?;
        rest.put_u8(options);
    }
    with_id(out, kind::SUBSCRIBE << 4 | 0b0010, id, &rest);
    Ok(())
}

/// Writes UNSUBSCRIBE.
///
/// # Errors
/// [`TooLong`] for a filter that MQTT cannot carry.
pub fn unsubscribe<'f>(
    out: &mut BytesMut,
    id: u16,
    filters: impl IntoIterator<Item = &'f str>,
) -> Result<(), TooLong> {
    let mut rest = Vec::with_capacity(256);
    for filter in filters {
        binary(&mut rest, filter.as_bytes())?;
    }
    with_id(out, kind::UNSUBSCRIBE << 4 | 0b0010, id, &rest);
    Ok(())
}

fn with_id(out: &mut BytesMut, header: u8, id: u16, rest: &[u8]) {
    head(out, header, 3 + rest.len());
    out.put_u16(id);
    properties(out, &[]);
    out.put_slice(rest);
}

/// Writes PINGREQ.
pub fn ping(out: &mut BytesMut) {
    out.put_slice(&[kind::PINGREQ << 4, 0]);
}

/// Writes a normal DISCONNECT; `session_expiry` replaces the value of CONNECT, where it is given.
pub fn disconnect(out: &mut BytesMut, session_expiry: Option<u32>) {
    let Some(seconds) = session_expiry else {
        out.put_slice(&[kind::DISCONNECT << 4, 0]);
        return;
    };
    out.put_slice(&[kind::DISCONNECT << 4, 7, 0, 5, id::SESSION_EXPIRY]);
    out.put_u32(seconds);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::{ClientPacket, decode};
    use crate::wire::{ProtocolVersion, frame};

    #[track_caller]
    fn read(bytes: &[u8]) -> ClientPacket<'_> {
        let found = frame(bytes, 100_000).unwrap().unwrap();
        assert_eq!(found.end, bytes.len());
        decode(
            ProtocolVersion::V5,
            found.header,
            &bytes[found.begin..found.end],
        )
        .unwrap()
    }

    const REQUEST: ConnectRequest<'static> = ConnectRequest {
        clean_start: false,
        keep_alive: 60,
        client_id: "ann-1",
        user_name: Some("?x"),
        password: Some(b"token"),
        session_expiry: 300,
        receive_maximum: 100,
        packet_bytes: 149_504,
        user_properties: &[("eventcast", "gateway")],
    };

    #[test]
    fn what_is_written_is_what_a_broker_reads() {
        let mut out = BytesMut::new();
        connect(&mut out, &REQUEST).unwrap();
        let ClientPacket::Connect(read_back) = read(&out) else {
            panic!("it is a CONNECT");
        };
        assert_eq!(read_back.client_id, "ann-1");
        assert_eq!(read_back.user_name, Some("?x"));
        assert_eq!(read_back.password, Some(&b"token"[..]));
        assert_eq!(read_back.session_expiry, Some(300));
        assert_eq!(read_back.receive_maximum, 100);
        assert_eq!(read_back.packet_bytes, Some(149_504));
        assert!(!read_back.clean);
        out.clear();
        subscribe(&mut out, 3, ["a/b", "c"], 0x21).unwrap();
        let ClientPacket::Subscribe(read_back) = read(&out) else {
            panic!("it is a SUBSCRIBE");
        };
        assert_eq!(read_back.wishes.len(), 2);
        assert_eq!(
            (read_back.wishes[1].qos, read_back.wishes[1].retain_handling),
            (1, 2)
        );
        let mut out = BytesMut::new();
        unsubscribe(&mut out, 4, ["a/b"]).unwrap();
        assert!(matches!(
            read(&out),
            ClientPacket::Unsubscribe { id: 4, .. }
        ));
        out.clear();
        ping(&mut out);
        assert_eq!(read(&out), ClientPacket::Ping);
        for expiry in [None, Some(0)] {
            out.clear();
            disconnect(&mut out, expiry);
            let expected = ClientPacket::Disconnect {
                reason: 0,
                session_expiry: expiry,
            };
            assert_eq!(read(&out), expected);
        }
    }

    #[test]
    fn what_mqtt_cannot_carry_is_refused() {
        let long = "x".repeat(65_536);
        let mut out = BytesMut::new();
        let request = ConnectRequest {
            password: Some(long.as_bytes()),
            ..REQUEST
        };
        assert_eq!(connect(&mut out, &request), Err(TooLong));
        assert_eq!(subscribe(&mut out, 1, [&*long], 1), Err(TooLong));
        assert!(out.is_empty());
    }
}
