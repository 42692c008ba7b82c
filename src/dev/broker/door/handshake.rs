//! From CONNECT to CONNACK: who is let in, and on what terms.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::admission::{No, admit, session_expiry};
use crate::dev::broker::connection::ending::Ending;
use crate::dev::broker::connection::permissions::Permissions;
use crate::dev::broker::connection::refresh::Refresh;
use crate::dev::broker::connection::transport::{Io, Output};
use crate::dev::broker::connection::{Clock, Connection, Parts, Terms};
use crate::dev::broker::excess::excess;
use crate::dev::broker::hub::holdings::MessageWeight;
use crate::dev::broker::hub::message::Message;
use crate::dev::broker::hub::session::{Link, Will};
use crate::dev::broker::hub::{Arrival, Hub};
use crate::dev::broker::observe::Rights;
use crate::port::{Authorizer, Identity, Presented};
use crate::wire::connect::Connect;
use crate::wire::decode::{Packet, decode};
use crate::wire::encode::{self, Granted};
use crate::wire::{Breach, Level, Reason, frame};

/// How long a client may take to say CONNECT.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that knocks.
pub(crate) struct Visitor {
    pub(crate) io: Io,
    pub(crate) presented: Presented,
    /// Who it is, where its WebSocket's address has told.
    pub(crate) identity: Option<Identity>,
    /// When its WebSocket ends.
    pub(crate) end: Option<Instant>,
}

/// Lets a client in, or tells it why not.
pub(crate) async fn greet(
    hub: &Arc<Hub>,
    authorizer: &Arc<dyn Authorizer>,
    mut visitor: Visitor,
) -> Option<Box<Connection>> {
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
    // The level is known from the packet itself; it stands in for what cannot be read.
    let connect = match decode(Level::V311, header, &body) {
        Ok(Packet::Connect(connect)) => connect,
        Ok(_) => {
            let breach = Breach::protocol("the first packet is not CONNECT");
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
            // What came behind CONNECT is handled as if it came later.
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

/// The first packet; `None` where the client leaves before.
async fn first_packet(
    hub: &Hub,
    io: &mut Io,
    arrived: &mut BytesMut,
) -> Result<Option<(u8, Bytes)>, Breach> {
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

async fn refuse_unread(hub: &Hub, visitor: &mut Visitor, breach: Breach) {
    let source = visitor.presented.source;
    let why = match breach.reason {
        Reason::TooLarge => {
            let most = hub.limits.packet_bytes;
            excess("a larger CONNECT", "packet-bytes", most, "")
        }
        _ => breach.what.into(),
    };
    hub.turn_away(&"".into(), source, &why);
    if breach.reason == Reason::UnsupportedVersion {
        let mut out = BytesMut::new();
        encode::refused(&mut out, Level::V311, breach.reason, None);
        say_goodbye(&mut visitor.io, &out).await;
    }
}

async fn say_goodbye(io: &mut Io, last: &[u8]) {
    let words = async {
        if io.write_all(last).await.is_ok() && io.shutdown().await.is_ok() {
            let mut part = [0; 256];
            while io.read(&mut part).await.is_ok_and(|count| count > 0) {}
        }
    };
    // Who does not close in time is cut off.
    let _ = timeout(Duration::from_secs(1), words).await;
}

/// CONNACK with a no; with a reason in words where the client wants it and takes it.
fn refusal(connect: &Connect<'_>, reason: Reason, why: &str) -> BytesMut {
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

/// A client is sent no packet that is larger than it takes, which CONNACK may be (MQTT 5.0, section 3.1.2.11.4).
fn fits(
    permissions: Permissions,
    connect: &Connect<'_>,
    granted: &Granted<'_>,
) -> Result<Permissions, No> {
    let mut out = BytesMut::new();
    encode::connected(&mut out, connect.level, false, granted);
    let most = connect
        .packet_bytes
        .map_or(usize::MAX, |most| most as usize);
    if out.len() > most {
        return Err(No {
            reason: None,
            why: "it takes no packet that is as large as CONNACK".into(),
        });
    }
    Ok(permissions)
}

/// What the client is told of its connection.
fn granted<'a>(hub: &Hub, connect: &Connect<'_>, client_id: &'a str) -> Granted<'a> {
    let limits = &hub.limits;
    let expiry = session_expiry(hub, connect);
    let keep_alive = limits
        .keep_alive
        .grant(connect.keep_alive, connect.level.is_v5());
    Granted {
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

/// The reason as AWS lists it for CONNACK, where only those are sent.
fn listed(hub: &Hub, reason: Reason) -> Reason {
    if !hub.rules.listed_reasons_only {
        return reason;
    }
    match reason {
        Reason::TooLarge => Reason::QuotaExceeded,
        Reason::Success
        | Reason::Unspecified
        | Reason::ClientIdInvalid
        | Reason::BadCredentials
        | Reason::NotAuthorized
        | Reason::TopicInvalid
        | Reason::QuotaExceeded
        | Reason::QosUnsupported => reason,
        _ => Reason::Unspecified,
    }
}

/// The connection of a client that is let in, with its CONNACK in the output.
fn welcome(
    hub: &Arc<Hub>,
    authorizer: &Arc<dyn Authorizer>,
    visitor: Visitor,
    connect: &Connect<'_>,
    permissions: Permissions,
    granted: &Granted<'_>,
) -> Connection {
    let limits = &hub.limits;
    let (level, now) = (connect.level, Instant::now());
    let is_v5 = level.is_v5();
    let expiry = session_expiry(hub, connect);
    let keep_alive = limits.keep_alive.grant(connect.keep_alive, is_v5);
    let identity = &permissions.identity;
    let client_id = Arc::clone(&permissions.client().id);
    let link = Arc::new(Link::new(
        unique_id().into(),
        Arc::clone(&identity.principal),
        Rights {
            client: permissions.client().clone(),
            access: Arc::clone(&identity.access),
        },
        visitor.presented.source,
        expiry == 0,
        keep_alive,
    ));
    let mut clock = Clock::new(now);
    clock.end = end(identity, visitor.end, now);
    clock.refresh = Refresh::new(Arc::clone(authorizer), visitor.presented, identity);
    let (session, session_present) = hub.arrive(Arrival {
        client_id: Arc::clone(&client_id),
        is_v5,
        clean: connect.clean,
        expiry,
        window: connect.receive_maximum.min(limits.unacknowledged_out),
        will: will(hub, connect),
        link: Arc::clone(&link),
    });
    let mut output = Output::default();
    encode::connected(output.packets(), level, session_present, granted);
    let terms = Terms {
        silence: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into()) * 3 / 2),
        packet_bytes: connect
            .packet_bytes
            .map_or(usize::MAX, |bytes| bytes as usize),
        aliases_out: usize::from(connect.topic_aliases.min(limits.topic_aliases)),
        problems: connect.problems,
        expiry,
    };
    let parts = Parts {
        session,
        link,
        level,
        permissions,
        io: visitor.io,
        output,
        terms,
        clock,
    };
    Connection::new(Arc::clone(hub), parts)
}

/// When the connection ends whatever happens, and how.
fn end(identity: &Identity, websocket: Option<Instant>, now: Instant) -> Option<(Instant, Ending)> {
    let expires = identity.disconnect_after.map(|after| {
        let why = "the authorizer's time for the connection is over";
        (now + after, Ending::Expired(why.into()))
    });
    let websocket = websocket.map(|end| (end, Ending::WebSocketLife));
    let ends = [expires, websocket].into_iter().flatten();
    ends.min_by_key(|(at, _)| *at)
}

fn will(hub: &Hub, connect: &Connect<'_>) -> Option<Will> {
    let will = connect.will.as_ref()?;
    let expiry = will.properties.expiry;
    Some(Will {
        message: Arc::new(Message {
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

/// A random UUID (RFC 9562, version 4) as text.
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
