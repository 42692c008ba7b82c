//! Diagnosis of delivery: whether a client is connected, has subscribed, may subscribe, and may
//! receive; and the change that would help.
//!
//! A message is delivered when all of these hold, and IoT Core reports none of them. The policy
//! evaluator decides, on the policies of the connection as it is now.

use serde::Serialize;

use super::ledger::EventStore;
use super::names::channel_of;
use crate::channel::filter::Filter;
use crate::config::Config;
use crate::dev::broker::Broker;
use crate::dev::broker::control::ConnectionFacts;
use crate::dev::broker::observe::BrokerEvent;
use crate::policy::ask::Ask;
use crate::policy::context::ClientPrincipal;
use crate::policy::query_report::QueryReport;
use crate::policy::role::RoleEntry;
use crate::policy::simulate::Simulation;
use crate::port::Grounds;

/// Number of the latest denials that are searched for a refused connect.
const LATEST: usize = 10;

/// Maximum number of a client's filters in the text.
const NAMED: usize = 5;

/// Diagnosis of one client and one topic.
#[derive(Debug, Serialize)]
pub(super) struct DeliveryDiagnosis {
    /// The client id.
    pub client: String,
    /// The topic.
    pub topic: String,
    /// The channel of the topic.
    pub channel: Option<String>,
    /// The role of the client's token.
    pub role: Option<Box<str>>,
    /// `true` where the client receives a message that is published to the topic now.
    pub heard: bool,
    /// Summary in one line.
    pub says: String,
    /// The checks, in the order in which they are made.
    pub checks: Vec<DiagnosisCheck>,
    /// Changes that would let the message through.
    pub advice: Vec<String>,
}

/// Check of a diagnosis.
#[derive(Debug, Serialize)]
pub(super) struct DiagnosisCheck {
    /// Subject of the check.
    pub what: &'static str,
    /// Result; `None` when the check was impossible.
    pub holds: Option<bool>,
    /// Reasons, a line each.
    pub words: Vec<String>,
}

/// State of the client that the checks need.
pub(super) struct KnownClient<'k> {
    pub(super) client: &'k str,
    pub(super) connection: Option<ConnectionFacts>,
    pub(super) subscriptions: Vec<(String, u8)>,
    pub(super) grounds: Option<Grounds>,
    /// `true` where the client may do everything, without policies.
    pub(super) is_free: bool,
    /// Reason of the last refusal, if there was one.
    pub(super) refused: Option<String>,
    /// Connections that were refused before their client id was known; this client may be among
    /// them.
    pub(super) strangers: Option<String>,
}

impl<'k> KnownClient<'k> {
    pub(super) fn of(client: &'k str, broker: &Broker, ledger: &EventStore) -> Self {
        // The last connection counts where there is none now: a forbidden subscription ends a
        // connection.
        let rights = broker.rights(client).or_else(|| ledger.rights(client));
        let (_, denials) = ledger.of_client(client, LATEST);
        let refused = denials.into_iter().find_map(|denial| match denial.what {
            BrokerEvent::Refused { why } => Some(why.into_string()),
            _ => None,
        });
        let grounds = rights
            .as_ref()
            .and_then(|rights| rights.access.grounds(&rights.client));
        Self {
            client,
            connection: broker.connection(client),
            subscriptions: broker.subscriptions(client).unwrap_or_default(),
            is_free: rights.is_some() && grounds.is_none(),
            grounds,
            refused,
            strangers: ledger.strangers(),
        }
    }

    fn is_connected(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.is_connected)
    }

    fn matching(&self, topic: &str) -> Vec<&(String, u8)> {
        let matches =
            |filter: &str| Filter::parse(filter).is_ok_and(|filter| filter.matches(topic));
        let filters = self.subscriptions.iter();
        filters.filter(|(filter, _)| matches(filter)).collect()
    }
}

/// Results of the checks.
#[derive(Clone, Copy)]
struct DiagnosisFindings {
    is_connected: bool,
    has_subscribed: bool,
    may_subscribe: bool,
    may_receive: bool,
}

impl DiagnosisFindings {
    fn may(self) -> bool {
        self.may_subscribe && self.may_receive
    }

    fn hears(self) -> bool {
        self.is_connected && self.has_subscribed && self.may_receive
    }
}

/// Diagnoses the delivery of a topic to a client.
pub(super) fn hear(known: &KnownClient<'_>, topic: &Filter, config: &Config) -> DeliveryDiagnosis {
    let name = topic.as_str();
    let grounds = known.grounds.as_ref();
    let subscribe = grounds.map(|grounds| {
        // Any matching filter counts, and the topic's own comes first.
        let ways = simulation(grounds).hear(topic).filters.into_iter();
        let filter = ways.map(|way| way.filter).next();
        decide(
            grounds,
            &Ask::Subscribe(filter.unwrap_or_else(|| topic.clone())),
        )
    });
    let receive = grounds.map(|grounds| decide(grounds, &Ask::Receive(topic.clone())));
    let may = |decided: &Option<(bool, Vec<String>)>| match decided {
        Some((may, _)) => *may,
        None => known.is_free,
    };
    let found = DiagnosisFindings {
        is_connected: known.is_connected(),
        has_subscribed: !known.matching(name).is_empty(),
        may_subscribe: may(&subscribe),
        may_receive: may(&receive),
    };
    DeliveryDiagnosis {
        client: known.client.to_owned(),
        topic: name.to_owned(),
        channel: channel_of(name, config),
        role: grounds.and_then(|grounds| grounds.role.clone()),
        heard: found.hears(),
        says: says(known, name, found),
        checks: vec![
            connected(known),
            subscribed(known, name),
            permitted(
                "may it subscribe to a filter that matches (iot:Subscribe)?",
                subscribe,
                known,
            ),
            permitted(
                "may it receive messages there (iot:Receive)?",
                receive,
                known,
            ),
        ],
        advice: advice(known, name, config, found),
    }
}

fn permitted(
    what: &'static str,
    decided: Option<(bool, Vec<String>)>,
    known: &KnownClient<'_>,
) -> DiagnosisCheck {
    let (holds, words) = match decided {
        Some((holds, words)) => (Some(holds), words),
        None => (
            known.is_free.then_some(true),
            vec![no_policies(known).to_owned()],
        ),
    };
    DiagnosisCheck { what, holds, words }
}

fn simulation(grounds: &Grounds) -> Simulation<'_> {
    Simulation {
        documents: &grounds.policies.documents,
        scope: &grounds.scope,
        context: &grounds.context,
    }
}

fn decide(grounds: &Grounds, ask: &Ask) -> (bool, Vec<String>) {
    let told = QueryReport::new(ask, simulation(grounds).ask(ask), &grounds.policies);
    let mut words = Vec::new();
    // Writing to memory does not fail.
    let _ = told.write_grounds("", &mut words);
    let words = String::from_utf8_lossy(&words);
    (told.allowed, words.lines().map(str::to_owned).collect())
}

fn no_policies(known: &KnownClient<'_>) -> &'static str {
    if known.is_free {
        "there are no policies for it: it may do everything"
    } else {
        "policies come with a connection's token or certificate, and no connection is remembered"
    }
}

fn connected(known: &KnownClient<'_>) -> DiagnosisCheck {
    let mut words = Vec::new();
    words.push(match (&known.connection, &known.refused) {
        (Some(connection), _) if connection.is_connected => {
            let principal = connection.principal.as_deref().unwrap_or_default();
            format!("it is connected as `{principal}`")
        }
        (_, Some(why)) => format!("it was not let in: {why}"),
        (Some(connection), None) => match connection.disconnect_reason {
            Some(reason) => {
                let why = connection.disconnect_why.as_ref();
                let why = why.map_or_else(String::new, |why| format!(", {why}"));
                format!("its connection ended: {reason}{why}")
            }
            None => "it has a session, but no connection".to_owned(),
        },
        (None, None) => "no client of this id has been here".to_owned(),
    });
    if known.connection.is_none() && known.refused.is_none() {
        words.extend(known.strangers.clone());
    }
    DiagnosisCheck {
        what: "is it connected?",
        holds: Some(known.is_connected()),
        words,
    }
}

fn subscribed(known: &KnownClient<'_>, topic: &str) -> DiagnosisCheck {
    let matching = known.matching(topic);
    let mut words: Vec<String> = matching
        .iter()
        .map(|(filter, qos)| format!("`{filter}` matches, QoS {qos}"))
        .collect();
    if words.is_empty() {
        let filters = &known.subscriptions;
        words.push(match filters.len() {
            0 => "it has subscribed to nothing".to_owned(),
            count => {
                let named = filters.iter().take(NAMED);
                let named: Vec<String> = named.map(|(filter, _)| format!("`{filter}`")).collect();
                let more = if count > NAMED { ", …" } else { "" };
                format!("none of its filters matches: {}{more}", named.join(", "))
            }
        });
    }
    let parent = format!("{topic}/#");
    if known
        .subscriptions
        .iter()
        .any(|(filter, _)| *filter == parent)
    {
        words.push(format!(
            "on IoT Core `{parent}` does not match `{topic}` itself"
        ));
    }
    DiagnosisCheck {
        what: "has it subscribed?",
        holds: Some(!matching.is_empty()),
        words,
    }
}

fn says(known: &KnownClient<'_>, topic: &str, found: DiagnosisFindings) -> String {
    let client = known.client;
    let why = match (found.is_connected, found.has_subscribed) {
        _ if found.hears() => return format!("`{client}` receives `{topic}`"),
        (false, _) if found.may() || known.grounds.is_none() => "it is not connected",
        (false, _) => "it is not connected, and by its last policies it may not",
        (true, true) => "it has subscribed, but may not receive messages there",
        (true, false) if found.may() => "it may, but it has not subscribed",
        (true, false) if !found.may_subscribe => "it may not subscribe to it",
        (true, false) => "it has not subscribed, and may not receive messages there",
    };
    format!("`{client}` does not receive `{topic}`: {why}")
}

fn advice(
    known: &KnownClient<'_>,
    topic: &str,
    config: &Config,
    found: DiagnosisFindings,
) -> Vec<String> {
    let mut advice = Vec::new();
    let principal = known.grounds.as_ref();
    let principal = principal.and_then(|grounds| grounds.context.principal);
    if !found.is_connected {
        advice.push(how_to_connect(principal).into());
        if known.grounds.is_none() {
            return advice;
        }
    } else if found.may() && !found.has_subscribed {
        advice.push(format!("subscribe to `{topic}`"));
    }
    if !found.may() {
        let role = known.grounds.as_ref();
        let role = role.and_then(|grounds| grounds.role.as_deref());
        let role = role.and_then(|name| config.roles.iter().find(|role| *role.name == *name));
        match role {
            Some(role) => advice.extend(by_role(&role.name, &role.subscribe, topic, config)),
            None => advice.push(format!(
                "allow iot:Subscribe on topicfilter/{topic} and iot:Receive on topic/{topic} in its policy"
            )),
        }
        advice.push(when_it_counts(principal).into());
    }
    advice
}

fn how_to_connect(principal: Option<ClientPrincipal>) -> &'static str {
    match principal {
        Some(ClientPrincipal::Certificate) => {
            "connect it: iot:Connect must be allowed on its client id by a policy of its certificate"
        }
        Some(ClientPrincipal::Iam) => {
            "connect it: iot:Connect must be allowed on its client id by a policy of its key"
        }
        _ => "connect it: a client id must begin with the principal of its token",
    }
}

/// Returns the time from which changed policies apply.
fn when_it_counts(principal: Option<ClientPrincipal>) -> &'static str {
    match principal {
        Some(ClientPrincipal::Certificate) => {
            "put it into force with eventcast policy apply: here at once, on AWS after 6 to 8 minutes"
        }
        Some(ClientPrincipal::Iam) => {
            "then start eventcast dev again: it reads the files of --aws-policy when it starts"
        }
        _ => "then let it connect again: policies come with the connection's token",
    }
}

/// Advice on a role: the topic that it must grant, or the channel that the token must name.
fn by_role(role: &str, entries: &[RoleEntry], topic: &str, config: &Config) -> Option<String> {
    let Some(channel) = channel_of(topic, config) else {
        return Some(format!("add `{topic}` to `subscribe` of role `{role}`"));
    };
    let (kind, id) = channel.split_once(':')?;
    let of_kind = |entry: &&RoleEntry| entry.kind().is_some_and(|named| named.name() == kind);
    Some(match entries.iter().find(of_kind) {
        Some(entry) => {
            format!("role `{role}` grants `{entry}`: the token's claim does not contain `{id}`")
        }
        None => format!(
            "role `{role}` grants no channel `{kind}`: add one such as `{kind}:{{claims.{kind}s[*]}}` to its `subscribe`"
        ),
    })
}

#[cfg(test)]
mod tests;
