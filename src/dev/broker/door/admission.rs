//! Whether a client is let in: the order of checks is here, and what it is told of each.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::handshake::Visitor;
use crate::dev::broker::connection::permissions::Permissions;
use crate::dev::broker::excess::excess;
use crate::dev::broker::hub::Hub;
use crate::dev::broker::names::{self, Unfit, Way};
use crate::dev::faults::Kind;
use crate::port::{Action, Authentication, Authorizer, Client};
use crate::port::{Presented, PresentedLogin, Refusal};
use crate::wire::connect::Connect;
use crate::wire::{Level, Reason};

/// Why a client is not let in: what it is told, and why.
pub(super) struct No {
    /// `None` where the connection just closes.
    pub(super) reason: Option<Reason>,
    pub(super) why: Box<str>,
}

fn no(reason: Reason, why: impl Into<Box<str>>) -> No {
    No {
        reason: Some(reason),
        why: why.into(),
    }
}

fn throttled(whose: &str, limit: &str, most: Option<u32>) -> Box<str> {
    let sent = format!("one more CONNECT {whose} in this second");
    let advice = "wait before connecting again";
    excess(&sent, limit, most.unwrap_or_default(), advice)
}

/// Decides, and gives the client's permissions.
pub(super) async fn admit(
    hub: &Arc<Hub>,
    authorizer: &Arc<dyn Authorizer>,
    visitor: &mut Visitor,
    connect: &Connect<'_>,
    client_id: &Arc<str>,
) -> Result<Permissions, No> {
    check(hub, connect)?;
    strike(hub, client_id).await?;
    let now = Instant::now();
    if !hub.ledger().may_connect(client_id, now) {
        let limits = &hub.limits;
        let most = limits.connects_per_second_per_client_id;
        let why = throttled("of this client id", "connects-per-second", most);
        return Err(no(Reason::QuotaExceeded, why));
    }
    if !hub.account.connects.take(now) {
        let most = hub.limits.account_connects;
        let why = throttled("of all clients", "account-connects", most);
        return Err(no(Reason::QuotaExceeded, why));
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
                return Err(no(Reason::BadCredentials, "nobody knows the client"));
            }
            Err(Refusal::BadCredentials(why) | Refusal::NothingShown(why)) => {
                return Err(no(Reason::BadCredentials, why));
            }
            Err(Refusal::Unavailable(why)) => return Err(no(Reason::Unspecified, why)),
        },
    };
    let client = Client {
        id: Arc::clone(client_id),
        source: visitor.presented.source.ip(),
        domain_name: domain_name(&visitor.presented),
    };
    let permissions = Permissions::new(identity, client);
    authorize(&permissions, hub, connect).inspect_err(|_| {
        let principal = &permissions.identity.principal;
        hub.tell_connect_failed(client_id, principal, visitor.presented.source);
    })?;
    Ok(permissions)
}

/// The host that the client asked for, by SNI or by its HTTP request.
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

/// What can be said of a CONNECT by itself.
fn check(hub: &Hub, connect: &Connect<'_>) -> Result<(), No> {
    let limits = &hub.limits;
    if connect.extended {
        let why = "extended authentication is not spoken here";
        return Err(no(Reason::BadMethod, why));
    }
    let id = connect.client_id;
    if id.is_empty() && !connect.clean && !connect.level.is_v5() {
        let why = "an empty client id, and a session that is to be kept";
        return Err(no(Reason::ClientIdInvalid, why));
    }
    if id.is_empty() && connect.level == Level::V31 {
        let why = "an empty client id, which MQTT 3.1 does not know";
        return Err(no(Reason::ClientIdInvalid, why));
    }
    if let Some(most) = limits.client_id_bytes.filter(|most| id.len() > *most) {
        let sent = format!("a client id of {} bytes", id.len());
        let why = excess(&sent, "client-id-bytes", most, "");
        return Err(no(Reason::ClientIdInvalid, why));
    }
    if hub.rules.reserved_topics && id.starts_with('$') {
        return Err(no(Reason::ClientIdInvalid, "the client id begins with `$`"));
    }
    if let (Some(asked), Some(least)) = (connect.packet_bytes, limits.least_packet_bytes)
        && asked < least
    {
        let sent = format!("a Maximum Packet Size of {asked} bytes");
        let why = excess(&sent, "least-packet-bytes", least, "ask for more");
        return Err(no(Reason::QuotaExceeded, why));
    }
    check_will(hub, connect)
}

fn check_will(hub: &Hub, connect: &Connect<'_>) -> Result<(), No> {
    let Some(will) = &connect.will else {
        return Ok(());
    };
    // MQTT 3 has no word for what is wrong with a will: the connection closes.
    let wrong = |reason, why: Box<str>| {
        Err(No {
            reason: connect.level.is_v5().then_some(reason),
            why,
        })
    };
    if will.qos == 2 {
        return wrong(Reason::QosUnsupported, "a will with QoS 2".into());
    }
    if let Err(
        Unfit::Wrong(why) | Unfit::Refused(why) | Unfit::Reserved(why) | Unfit::Beyond(why),
    ) = names::topic(will.topic, Way::Mqtt, &hub.limits, &hub.rules)
    {
        return wrong(Reason::TopicInvalid, format!("the will: {why}").into());
    }
    let size = will.payload.len();
    if let Some(most) = hub.limits.payload_bytes.filter(|most| size > *most) {
        let sent = format!("a will of {size} bytes");
        let why = excess(&sent, "payload-bytes", most, "");
        return wrong(Reason::TooLarge, why);
    }
    Ok(())
}

/// Faults that were asked for.
async fn strike(hub: &Hub, client_id: &str) -> Result<(), No> {
    let asked = "a fault that was asked for";
    match hub.faults.strike_client("Connect", client_id, "") {
        Some((Kind::Refuse, _)) => Err(no(Reason::Unspecified, asked)),
        Some((Kind::Throttle, _)) => Err(no(Reason::QuotaExceeded, asked)),
        Some((Kind::Drop | Kind::Disconnect, _)) => Err(No {
            reason: None,
            why: asked.into(),
        }),
        Some((Kind::Delay, time)) => {
            sleep(time).await;
            Ok(())
        }
        Some((Kind::Duplicate | Kind::Linger, _)) | None => Ok(()),
    }
}

/// Whether the client may connect, and leave its will.
fn authorize(permissions: &Permissions, hub: &Hub, connect: &Connect<'_>) -> Result<(), No> {
    let will = connect.will.as_ref();
    let connects = Action::Connect {
        persistent: session_expiry(hub, connect) > 0,
        will: will.map(|will| will.topic),
    };
    // MQTT 3 is not answered (aws-iot-device-sdk-js-v2#101, aws-iot-device-sdk-cpp-v2#167, aws-crt-cpp#96).
    let answers = connect.level.is_v5() || hub.rules.answer_v3_refusals;
    let check = |action| {
        let result = permissions.check(action);
        result.map_err(|why| No {
            reason: answers.then_some(Reason::NotAuthorized),
            why,
        })
    };
    check(connects)?;
    if let Some(will) = will {
        check(Action::Publish(will.topic))?;
        if will.retain {
            check(Action::RetainPublish(will.topic))?;
        }
    }
    Ok(())
}

/// How long the session outlives its connection, in seconds.
pub(super) fn session_expiry(hub: &Hub, connect: &Connect<'_>) -> u32 {
    let most = hub.limits.session_expiry_seconds;
    match (connect.level.is_v5(), connect.clean) {
        (true, _) => connect.session_expiry.unwrap_or(0).min(most),
        (false, true) => 0,
        (false, false) => most,
    }
}
