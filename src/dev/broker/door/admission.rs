//! Admission of a client: the order of the checks, and the reason code for each refusal.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::handshake::PendingConnection;
use crate::dev::broker::connection::permissions::ConnectionPermissions;
use crate::dev::broker::excess::excess;
use crate::dev::broker::hub::SessionHub;
use crate::dev::broker::names::{self, PublishOrigin, TopicRejection};
use crate::dev::faults::FaultKind;
use crate::port::{Authentication, Authorizer, ClientAction, RequestingClient};
use crate::port::{AuthenticationRefusal, Presented, PresentedLogin};
use crate::wire::connect::ConnectPacket;
use crate::wire::{ProtocolVersion, ReasonCode};

/// Refusal of a CONNECT: the reason code for the client, and the reason in words.
pub(super) struct ConnectRefusal {
    /// Reason code of CONNACK; `None` where the connection closes without one.
    pub(super) reason: Option<ReasonCode>,
    pub(super) why: Box<str>,
}

fn no(reason: ReasonCode, why: impl Into<Box<str>>) -> ConnectRefusal {
    ConnectRefusal {
        reason: Some(reason),
        why: why.into(),
    }
}

fn throttled(whose: &str, limit: &str, most: Option<u32>) -> Box<str> {
    let sent = format!("one more CONNECT {whose} in this second");
    let advice = "wait before connecting again";
    excess(&sent, limit, most.unwrap_or_default(), advice)
}

/// Decides on a CONNECT and returns the client's permissions.
pub(super) async fn admit(
    hub: &Arc<SessionHub>,
    authorizer: &Arc<dyn Authorizer>,
    visitor: &mut PendingConnection,
    connect: &ConnectPacket<'_>,
    client_id: &Arc<str>,
) -> Result<ConnectionPermissions, ConnectRefusal> {
    check(hub, connect)?;
    strike(hub, client_id).await?;
    let now = Instant::now();
    if !hub.ledger().may_connect(client_id, now) {
        let limits = &hub.limits;
        let most = limits.connects_per_second_per_client_id;
        let why = throttled("of this client id", "connects-per-second", most);
        return Err(no(ReasonCode::QuotaExceeded, why));
    }
    if !hub.account.connects.take(now) {
        let most = hub.limits.account_connects;
        let why = throttled("of all clients", "account-connects", most);
        return Err(no(ReasonCode::QuotaExceeded, why));
    }
    visitor.presented.login = Some(PresentedLogin {
        client_id: connect.client_id.to_owned(),
        user_name: connect.user_name.map(str::to_owned),
        password: connect.password.map(Bytes::copy_from_slice),
    });
    let identity = match visitor.identity.take() {
        Some(identity) => identity,
        None => match authorizer.authenticate(&visitor.presented).await {
            Ok(Authentication::Known(identity)) => identity,
            Ok(Authentication::AtConnect) => {
                return Err(no(ReasonCode::BadCredentials, "nobody knows the client"));
            }
            Err(
                AuthenticationRefusal::BadCredentials(why)
                | AuthenticationRefusal::NothingShown(why),
            ) => {
                return Err(no(ReasonCode::BadCredentials, why));
            }
            Err(AuthenticationRefusal::Unavailable(why)) => {
                return Err(no(ReasonCode::Unspecified, why));
            }
        },
    };
    let client = RequestingClient {
        id: Arc::clone(client_id),
        source: visitor.presented.source.ip(),
        domain_name: domain_name(&visitor.presented),
    };
    let permissions = ConnectionPermissions::new(identity, client);
    authorize(&permissions, hub, connect).inspect_err(|_| {
        let principal = &permissions.identity.principal;
        hub.tell_connect_failed(client_id, principal, visitor.presented.source);
    })?;
    Ok(permissions)
}

/// Returns the host that the client asked for, by SNI or by its HTTP request.
fn domain_name(presented: &Presented) -> Option<Arc<str>> {
    let tls = presented.tls.as_ref();
    if let Some(name) = tls.and_then(|tls| tls.server_name.as_deref()) {
        return Some(name.into());
    }
    let headers = &presented.upgrade.as_ref()?.headers;
    let (_, host) = headers.iter().find(|(name, _)| name == "host")?;
    let name = host.rsplit_once(':').map_or(&**host, |(name, _)| name);
    Some(name.into())
}

/// Checks a CONNECT by itself, without the authorizer and the sessions.
fn check(hub: &SessionHub, connect: &ConnectPacket<'_>) -> Result<(), ConnectRefusal> {
    let limits = &hub.limits;
    if connect.extended {
        let why = "extended authentication is not spoken here";
        return Err(no(ReasonCode::BadMethod, why));
    }
    let id = connect.client_id;
    if id.is_empty() && !connect.clean && !connect.level.is_v5() {
        let why = "an empty client id, and a session that is to be kept";
        return Err(no(ReasonCode::ClientIdInvalid, why));
    }
    if id.is_empty() && connect.level == ProtocolVersion::V31 {
        let why = "an empty client id, which MQTT 3.1 does not know";
        return Err(no(ReasonCode::ClientIdInvalid, why));
    }
    if let Some(most) = limits.client_id_bytes.filter(|most| id.len() > *most) {
        let sent = format!("a client id of {} bytes", id.len());
        let why = excess(&sent, "client-id-bytes", most, "");
        return Err(no(ReasonCode::ClientIdInvalid, why));
    }
    if hub.rules.reserved_topics && id.starts_with('$') {
        return Err(no(
            ReasonCode::ClientIdInvalid,
            "the client id begins with `$`",
        ));
    }
    if let (Some(asked), Some(least)) = (connect.packet_bytes, limits.least_packet_bytes)
        && asked < least
    {
        let sent = format!("a Maximum Packet Size of {asked} bytes");
        let why = excess(&sent, "least-packet-bytes", least, "ask for more");
        return Err(no(ReasonCode::QuotaExceeded, why));
    }
    check_will(hub, connect)
}

fn check_will(hub: &SessionHub, connect: &ConnectPacket<'_>) -> Result<(), ConnectRefusal> {
    let Some(will) = &connect.will else {
        return Ok(());
    };
    // MQTT 3 has no reason code for a wrong will: the connection closes.
    let wrong = |reason, why: Box<str>| {
        Err(ConnectRefusal {
            reason: connect.level.is_v5().then_some(reason),
            why,
        })
    };
    if will.qos == 2 {
        return wrong(ReasonCode::QosUnsupported, "a will with QoS 2".into());
    }
    if let Err(
        TopicRejection::Wrong(why)
        | TopicRejection::Refused(why)
        | TopicRejection::Reserved(why)
        | TopicRejection::Beyond(why),
    ) = names::topic(will.topic, PublishOrigin::Mqtt, &hub.limits, &hub.rules)
    {
        return wrong(ReasonCode::TopicInvalid, format!("the will: {why}").into());
    }
    let size = will.payload.len();
    if let Some(most) = hub.limits.payload_bytes.filter(|most| size > *most) {
        let sent = format!("a will of {size} bytes");
        let why = excess(&sent, "payload-bytes", most, "");
        return wrong(ReasonCode::TooLarge, why);
    }
    Ok(())
}

/// Applies injected faults.
async fn strike(hub: &SessionHub, client_id: &str) -> Result<(), ConnectRefusal> {
    let asked = "a fault that was asked for";
    match hub.faults.strike_client("Connect", client_id, "") {
        Some((FaultKind::Refuse, _)) => Err(no(ReasonCode::Unspecified, asked)),
        Some((FaultKind::Throttle, _)) => Err(no(ReasonCode::QuotaExceeded, asked)),
        Some((FaultKind::Drop | FaultKind::Disconnect, _)) => Err(ConnectRefusal {
            reason: None,
            why: asked.into(),
        }),
        Some((FaultKind::Delay, time)) => {
            sleep(time).await;
            Ok(())
        }
        Some((FaultKind::Duplicate | FaultKind::Linger, _)) | None => Ok(()),
    }
}

/// Asks the policy for the permission to connect and to leave the will.
fn authorize(
    permissions: &ConnectionPermissions,
    hub: &SessionHub,
    connect: &ConnectPacket<'_>,
) -> Result<(), ConnectRefusal> {
    let will = connect.will.as_ref();
    let connects = ClientAction::Connect {
        persistent: session_expiry(hub, connect) > 0,
        will: will.map(|will| will.topic),
    };
    // IoT Core sends no answer to MQTT 3 (aws-iot-device-sdk-js-v2#101,
    // aws-iot-device-sdk-cpp-v2#167, aws-crt-cpp#96).
    let answers = connect.level.is_v5() || hub.rules.answer_v3_refusals;
    let check = |action| {
        let result = permissions.check(action);
        result.map_err(|why| ConnectRefusal {
            reason: answers.then_some(ReasonCode::NotAuthorized),
            why,
        })
    };
    check(connects)?;
    if let Some(will) = will {
        check(ClientAction::Publish(will.topic))?;
        if will.retain {
            check(ClientAction::RetainPublish(will.topic))?;
        }
    }
    Ok(())
}

/// Returns the Session Expiry Interval that is granted, in seconds.
pub(super) fn session_expiry(hub: &SessionHub, connect: &ConnectPacket<'_>) -> u32 {
    let most = hub.limits.session_expiry_seconds;
    match (connect.level.is_v5(), connect.clean) {
        (true, _) => connect.session_expiry.unwrap_or(0).min(most),
        (false, true) => 0,
        (false, false) => most,
    }
}
