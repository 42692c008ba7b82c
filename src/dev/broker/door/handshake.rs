//! Handshake from CONNECT to CONNACK: admission of a client, and its parameters.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::admission::{ConnectRefusal, admit, session_expiry};
use crate::dev::broker::connection::ending::DisconnectReason;
use crate::dev::broker::connection::permissions::ConnectionPermissions;
use crate::dev::broker::connection::refresh::IdentityRefresh;
use crate::dev::broker::connection::transport::{BoxedStream, WriteBuffer};
use crate::dev::broker::connection::{
    ClientConnection, ConnectionDeadlines, ConnectionParts, NegotiatedParameters,
};
use crate::dev::broker::excess::excess;
use crate::dev::broker::hub::holdings::MessageWeight;
use crate::dev::broker::hub::message::PublishedMessage;
use crate::dev::broker::hub::session::{ConnectionHandle, SessionWill};
use crate::dev::broker::hub::{AcceptedConnect, SessionHub};
use crate::dev::broker::observe::ClientRights;
use crate::port::{Authorizer, Identity, Presented};
use crate::wire::connect::ConnectPacket;
use crate::wire::decode::{ClientPacket, decode};
use crate::wire::encode::{self, ConnackProperties};
use crate::wire::{ProtocolError, ProtocolVersion, ReasonCode, frame};

/// Timeout for the CONNECT packet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connection before its CONNECT.
pub(crate) struct PendingConnection {
    pub(crate) io: BoxedStream,
    pub(crate) presented: Presented,
    /// Identity, where the WebSocket's URL has already proved it.
    pub(crate) identity: Option<Identity>,
    /// Time at which the WebSocket ends.
    pub(crate) end: Option<Instant>,
}

/// Reads CONNECT and answers with CONNACK: admits the client, or refuses it with a reason.
pub(crate) async fn greet(
    hub: &Arc<SessionHub>,
    authorizer: &Arc<dyn Authorizer>,
    mut visitor: PendingConnection,
) -> Option<Box<ClientConnection>> {
    let mut arrived = BytesMut::new();
    let first = timeout(PATIENCE, first_packet(hub, &mut visitor.io, &mut arrived)).await;
    let (header, body) = match first {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None)) | Err(_) => return None,
        Ok(Err(breach)) => {
            refuse_unread(hub, &mut visitor, breach).await;
            return None;
        }
    };
    // The version is part of the packet itself; this one is a placeholder while CONNECT is unread.
    let connect = match decode(ProtocolVersion::V311, header, &body) {
        Ok(ClientPacket::Connect(connect)) => connect,
        Ok(_) => {
            let breach = ProtocolError::protocol("the first packet is not CONNECT");
            refuse_unread(hub, &mut visitor, breach).await;
            return None;
        }
        Err(breach) => {
            refuse_unread(hub, &mut visitor, breach).await;
            return None;
        }
    };
    let client_id: Arc<str> = match connect.client_id {
        "" => unique_id().into(),
        client_id => client_id.into(),
    };
    let admitted = admit(hub, authorizer, &mut visitor, &connect, &client_id).await;
    let granted = granted(hub, &connect, &client_id);
    match admitted.and_then(|permissions| fits(permissions, &connect, &granted)) {
        Ok(permissions) => {
            hub.vacate(&client_id).await;
            let mut connection = welcome(hub, authorizer, visitor, &connect, permissions, &granted);
            // Bytes that arrived behind CONNECT are handled as if they arrived later.
            if !arrived.is_empty() {
                connection.take_in(&arrived, Instant::now());
            }
            Some(Box::new(connection))
        }
        Err(no) => {
            hub.turn_away(&client_id, visitor.presented.source, &no.why);
            if let Some(reason) = no.reason {
                let out = refusal(&connect, listed(hub, reason), &no.why);
                say_goodbye(&mut visitor.io, &out).await;
            }
            None
        }
    }
}

/// Returns the first packet; `None` where the client leaves before.
async fn first_packet(
    hub: &SessionHub,
    io: &mut BoxedStream,
    arrived: &mut BytesMut,
) -> Result<Option<(u8, Bytes)>, ProtocolError> {
    let largest = hub.limits.packet_bytes as usize;
    loop {
        if let Some(found) = frame(arrived, largest)? {
            let mut packet = arrived.split_to(found.end);
            packet.advance(found.begin);
            return Ok(Some((found.header, packet.freeze())));
        }
        arrived.reserve(512);
        match io.read_buf(arrived).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

async fn refuse_unread(hub: &SessionHub, visitor: &mut PendingConnection, breach: ProtocolError) {
    let source = visitor.presented.source;
    let why = match breach.reason {
        ReasonCode::TooLarge => {
            let most = hub.limits.packet_bytes;
            excess("a larger CONNECT", "packet-bytes", most, "")
        }
        _ => breach.what.into(),
    };
    hub.turn_away(&"".into(), source, &why);
    if breach.reason == ReasonCode::UnsupportedVersion {
        let mut out = BytesMut::new();
        encode::refused(&mut out, ProtocolVersion::V311, breach.reason, None);
        say_goodbye(&mut visitor.io, &out).await;
    }
}

async fn say_goodbye(io: &mut BoxedStream, last: &[u8]) {
    let words = async {
        if io.write_all(last).await.is_ok() && io.shutdown().await.is_ok() {
            let mut part = [0; 256];
            while io.read(&mut part).await.is_ok_and(|count| count > 0) {}
        }
    };
    // A peer that does not close in time is cut off.
    let _ = timeout(Duration::from_secs(1), words).await;
}

/// Builds a refusing CONNACK, with a Reason String where the client asks for it and has room for
/// it.
fn refusal(connect: &ConnectPacket<'_>, reason: ReasonCode, why: &str) -> BytesMut {
    let most = connect
        .packet_bytes
        .map_or(usize::MAX, |most| most as usize);
    let mut out = BytesMut::new();
    for why in [connect.problems.then_some(why), None] {
        out.clear();
        encode::refused(&mut out, connect.level, reason, why);
        if out.len() <= most {
            return out;
        }
    }
    BytesMut::new()
}

/// Checks that CONNACK fits the client's Maximum Packet Size; a larger packet is never sent (MQTT
/// 5.0, section 3.1.2.11.4).
fn fits(
    permissions: ConnectionPermissions,
    connect: &ConnectPacket<'_>,
    granted: &ConnackProperties<'_>,
) -> Result<ConnectionPermissions, ConnectRefusal> {
    let mut out = BytesMut::new();
    encode::connected(&mut out, connect.level, false, granted);
    let most = connect
        .packet_bytes
        .map_or(usize::MAX, |most| most as usize);
    if out.len() > most {
        return Err(ConnectRefusal {
            reason: None,
            why: "it takes no packet that is as large as CONNACK".into(),
        });
    }
    Ok(permissions)
}

/// Returns the CONNACK properties of an accepted connection.
fn granted<'a>(
    hub: &SessionHub,
    connect: &ConnectPacket<'_>,
    client_id: &'a str,
) -> ConnackProperties<'a> {
    let limits = &hub.limits;
    let expiry = session_expiry(hub, connect);
    let keep_alive = limits
        .keep_alive
        .grant(connect.keep_alive, connect.level.is_v5());
    ConnackProperties {
        session_expiry: (connect.session_expiry.unwrap_or(0) != expiry).then_some(expiry),
        receive_maximum: Some(limits.unacknowledged_in),
        packet_bytes: Some(limits.packet_bytes),
        client_id: connect.client_id.is_empty().then_some(client_id),
        topic_aliases: limits.topic_aliases,
        keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
        subscription_ids: hub.rules.subscription_ids,
        why: None,
    }
}

/// Returns the reason code as AWS lists it for CONNACK, where only listed ones are sent.
fn listed(hub: &SessionHub, reason: ReasonCode) -> ReasonCode {
    if !hub.rules.listed_reasons_only {
        return reason;
    }
    match reason {
        ReasonCode::TooLarge => ReasonCode::QuotaExceeded,
        ReasonCode::Success
        | ReasonCode::Unspecified
        | ReasonCode::ClientIdInvalid
        | ReasonCode::BadCredentials
        | ReasonCode::NotAuthorized
        | ReasonCode::TopicInvalid
        | ReasonCode::QuotaExceeded
        | ReasonCode::QosUnsupported => reason,
        _ => ReasonCode::Unspecified,
    }
}

/// Creates the connection of an admitted client, with CONNACK in its output.
fn welcome(
    hub: &Arc<SessionHub>,
    authorizer: &Arc<dyn Authorizer>,
    visitor: PendingConnection,
    connect: &ConnectPacket<'_>,
    permissions: ConnectionPermissions,
    granted: &ConnackProperties<'_>,
) -> ClientConnection {
    let limits = &hub.limits;
    let (level, now) = (connect.level, Instant::now());
    let is_v5 = level.is_v5();
    let expiry = session_expiry(hub, connect);
    let keep_alive = limits.keep_alive.grant(connect.keep_alive, is_v5);
    let identity = &permissions.identity;
    let client_id = Arc::clone(&permissions.client().id);
    let link = Arc::new(ConnectionHandle::new(
        unique_id().into(),
        Arc::clone(&identity.principal),
        ClientRights {
            client: permissions.client().clone(),
            access: Arc::clone(&identity.access),
        },
        visitor.presented.source,
        expiry == 0,
        keep_alive,
    ));
    let mut clock = ConnectionDeadlines::new(now);
    clock.end = end(identity, visitor.end, now);
    clock.refresh = IdentityRefresh::new(Arc::clone(authorizer), visitor.presented, identity);
    let (session, session_present) = hub.arrive(AcceptedConnect {
        client_id: Arc::clone(&client_id),
        is_v5,
        clean: connect.clean,
        expiry,
        window: connect.receive_maximum.min(limits.unacknowledged_out),
        will: will(hub, connect),
        link: Arc::clone(&link),
    });
    let mut output = WriteBuffer::default();
    encode::connected(output.packets(), level, session_present, granted);
    let terms = NegotiatedParameters {
        silence: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into()) * 3 / 2),
        packet_bytes: connect
            .packet_bytes
            .map_or(usize::MAX, |bytes| bytes as usize),
        aliases_out: usize::from(connect.topic_aliases.min(limits.topic_aliases)),
        problems: connect.problems,
        expiry,
    };
    let parts = ConnectionParts {
        session,
        link,
        level,
        permissions,
        io: visitor.io,
        output,
        terms,
        clock,
    };
    ClientConnection::new(Arc::clone(hub), parts)
}

/// Returns the time at which the connection ends in any case, and the reason.
fn end(
    identity: &Identity,
    websocket: Option<Instant>,
    now: Instant,
) -> Option<(Instant, DisconnectReason)> {
    let expires = identity.disconnect_after.map(|after| {
        let why = "the authorizer's time for the connection is over";
        (now + after, DisconnectReason::Expired(why.into()))
    });
    let websocket = websocket.map(|end| (end, DisconnectReason::WebSocketLife));
    let ends = [expires, websocket].into_iter().flatten();
    ends.min_by_key(|(at, _)| *at)
}

fn will(hub: &SessionHub, connect: &ConnectPacket<'_>) -> Option<SessionWill> {
    let will = connect.will.as_ref()?;
    let expiry = will.properties.expiry;
    Some(SessionWill {
        message: Arc::new(PublishedMessage {
            topic: will.topic.into(),
            payload: Bytes::copy_from_slice(will.payload),
            properties: will.properties.forwarded().into(),
            qos: will.qos,
            retain: will.retain,
            expires: None,
            publisher: 0,
            at: SystemTime::now(),
            weight: MessageWeight::default(),
        }),
        expiry: expiry.map(|seconds| hub.limits.message_expiry(seconds)),
        delay: will.delay,
    })
}

/// Returns a random UUID (RFC 9562, version 4) as text.
fn unique_id() -> String {
    let random = fastrand::u128(..) & !(0xF000 << 64) & !(0xC000 << 48);
    let id = random | (0x4000 << 64) | (0x8000 << 48);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xFFFF,
        (id >> 64) & 0xFFFF,
        (id >> 48) & 0xFFFF,
        id & 0xFFFF_FFFF_FFFF
    )
}
