//! Fault injection between a client and a service.
//!
//! `POST /_dev/faults` with `{"action": "ReceiveMessage", "fault": "refuse", "rate": 0.1}` adds a
//! fault, `GET` returns all with their number of injections (`hits`), `DELETE` removes all. A fault
//! without an action applies to every call except the action named by `except`; `times` bounds the
//! injections. Operations of MQTT clients are actions too (`Connect`, `Publish`, `Subscribe`,
//! `Unsubscribe`, `Deliver`). Only a fault that names such an action applies to it, and `client`
//! and `topic` narrow the fault to one client and one topic or filter. Both also narrow calls of
//! the data plane, where `Publish` is called `HttpPublish`.
//!
//! A request for a fault that could never apply is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Kind of an injected fault.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// The service answers that it is not available, and does nothing.
    Refuse,
    /// The service throttles.
    Throttle,
    /// The call is done, but the answer is lost with the connection.
    Drop,
    /// The call is delayed.
    Delay,
    /// An MQTT message is sent twice.
    Duplicate,
    /// The connection breaks before the call is done.
    Disconnect,
    /// The call continues after its client has gone: a long poll still receives the next message.
    Linger,
}

/// Kinds of fault by name.
const KINDS: [(&str, FaultKind); 7] = [
    ("refuse", FaultKind::Refuse),
    ("throttle", FaultKind::Throttle),
    ("drop", FaultKind::Drop),
    ("delay", FaultKind::Delay),
    ("duplicate", FaultKind::Duplicate),
    ("disconnect", FaultKind::Disconnect),
    ("linger", FaultKind::Linger),
];

/// Action that can linger, since it waits.
const LINGERS: &str = "ReceiveMessage";

/// Members of a fault's JSON object.
const MEMBERS: [&str; 8] = [
    "action",
    "except",
    "client",
    "topic",
    "fault",
    "rate",
    "times",
    "milliseconds",
];

/// Operations of an MQTT client, with the kinds of fault that each can have.
const MQTT: [(&str, &[FaultKind]); 5] = {
    use FaultKind::{Delay, Disconnect, Drop, Duplicate, Refuse, Throttle};
    [
        ("Connect", &[Refuse, Throttle, Drop, Delay, Disconnect]),
        (
            "Publish",
            &[Refuse, Throttle, Drop, Delay, Duplicate, Disconnect],
        ),
        ("Subscribe", &[Refuse, Throttle, Drop, Disconnect]),
        ("Unsubscribe", &[Refuse, Throttle, Drop, Disconnect]),
        (
            "Deliver",
            &[Refuse, Throttle, Drop, Delay, Duplicate, Disconnect],
        ),
    ]
};

/// Actions of the services that faults can apply to.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyActions {
    /// Actions of SQS and EventBridge: they have no duplicates.
    pub(crate) messaging: Vec<&'static str>,
    /// Actions of IoT Core's control plane and data plane.
    pub(crate) iot: Vec<&'static str>,
}

impl FaultyActions {
    /// Parses a fault; the error names the mistake and what is accepted.
    pub(crate) fn fault(&self, body: &[u8]) -> Result<PlannedFault, String> {
        let members: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            format!("a fault is a JSON object such as {{\"action\": \"SendMessage\", \"fault\": \"refuse\"}}: {error}")
        })?;
        for name in members.keys() {
            if !MEMBERS.contains(&name.as_str()) {
                return Err(unknown("member", name, &MEMBERS));
            }
        }
        for action in ["action", "except"] {
            if let Some(name) = members.get(action).and_then(Value::as_str) {
                self.check_action(name)?;
            }
        }
        let word = members.get("fault").and_then(Value::as_str);
        let word = word.map(str::to_owned);
        let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        let Some(word) = word else {
            return Err(format!(
                "`fault` is missing\nhelp: it is one of {}",
                words.join(", ")
            ));
        };
        if !words.contains(&word.as_str()) {
            return Err(unknown("fault", &word, &words));
        }
        let fault: PlannedFault =
            serde_json::from_value(Value::Object(members)).map_err(|error| error.to_string())?;
        self.check(&fault, &word)?;
        Ok(fault)
    }

    fn check_action(&self, name: &str) -> Result<(), String> {
        let mqtt = MQTT.iter().map(|(action, _)| *action);
        let known = self.messaging.iter().chain(&self.iot).copied();
        let known: Vec<&str> = known.chain(mqtt).collect();
        match known.contains(&name) {
            true => Ok(()),
            false => Err(unknown("action", name, &known)),
        }
    }

    /// Refuses a fault that could never apply.
    fn check(&self, fault: &PlannedFault, word: &str) -> Result<(), String> {
        if !(0.0..=1.0).contains(&fault.rate) {
            let rate = fault.rate;
            return Err(format!(
                "`rate` is `{rate}`\nhelp: it is a number from 0 to 1"
            ));
        }
        if fault.fault == FaultKind::Delay && fault.milliseconds == 0 {
            return Err("a delay of no time changes nothing\nhelp: add `milliseconds`".into());
        }
        let Some(action) = fault.action.as_deref() else {
            if fault.client.is_some() || fault.topic.is_some() {
                return Err("a fault with `client` or `topic` hits nothing without an action\nhelp: add `action`, such as Publish".into());
            }
            return Ok(());
        };
        if fault.except.as_deref() == Some(action) {
            return Err(format!(
                "`action` and `except` are both `{action}`\nhelp: leave out one of them"
            ));
        }
        let kinds: Vec<&str> = match MQTT.iter().find(|(mqtt, _)| *mqtt == action) {
            Some((_, kinds)) => {
                let has = KINDS.iter().filter(|(_, kind)| kinds.contains(kind));
                has.map(|(word, _)| *word).collect()
            }
            None => {
                let twice = self.iot.contains(&action);
                let can = |kind: FaultKind| match kind {
                    FaultKind::Duplicate => twice,
                    FaultKind::Linger => action == LINGERS,
                    _ => true,
                };
                let has = KINDS.iter().filter(|(_, kind)| can(*kind));
                has.map(|(word, _)| *word).collect()
            }
        };
        if !kinds.contains(&word) {
            return Err(format!(
                "`{action}` has no fault `{word}`\nhelp: it can have {}",
                kinds.join(", ")
            ));
        }
        if self.messaging.contains(&action) && (fault.client.is_some() || fault.topic.is_some()) {
            return Err(format!(
                "`{action}` is about no MQTT client and no topic\nhelp: leave out `client` and `topic`"
            ));
        }
        Ok(())
    }
}

/// Builds the error for an unknown word, with the nearest known one.
fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|known| {
            let likeness = strsim::jaro_winkler(&word.to_lowercase(), &known.to_lowercase());
            (likeness, *known)
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut sorted = known.to_vec();
    sorted.sort_unstable();
    let all = sorted.join(", ");
    let word = word.escape_debug();
    match nearest {
        Some((_, near)) => {
            format!("unknown {what} `{word}`\nhelp: did you mean `{near}`? There are {all}")
        }
        None => format!("unknown {what} `{word}`\nhelp: there are {all}"),
    }
}

/// Injected fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedFault {
    /// Action that the fault applies to; every action by default.
    #[serde(default)]
    action: Option<String>,
    /// Action that the fault never applies to.
    #[serde(default)]
    except: Option<String>,
    /// MQTT client that the fault applies to; every client by default.
    #[serde(default)]
    client: Option<String>,
    /// Topic or filter that the fault applies to; every one by default.
    #[serde(default)]
    topic: Option<String>,
    fault: FaultKind,
    /// Probability, from 0 to 1.
    #[serde(default = "always")]
    rate: f64,
    /// Maximum number of injections.
    #[serde(default)]
    times: Option<u32>,
    /// Number of injections so far.
    #[serde(skip_deserializing)]
    hits: u64,
    /// Delay of an action, in milliseconds.
    #[serde(default)]
    milliseconds: u64,
}

fn always() -> f64 {
    1.0
}

/// Faults to inject; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannedFaults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    faults: Mutex<Vec<PlannedFault>>,
    /// `true` where there are any faults: a cheap check for frequent callers.
    any: AtomicBool,
}

impl PlannedFaults {
    pub(crate) fn add(&self, fault: PlannedFault) {
        self.lock().push(fault);
        self.0.any.store(true, Ordering::Relaxed);
    }

    /// Returns the current faults.
    pub(crate) fn list(&self) -> Vec<PlannedFault> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.0.any.store(false, Ordering::Relaxed);
    }

    /// Returns the fault for one call of an action, if any.
    pub(crate) fn strike(&self, action: &str) -> Option<(FaultKind, Duration)> {
        self.strike_call(action, None, None)
    }

    /// Returns the fault for one call of an action that concerns a client or a topic, if any.
    pub(crate) fn strike_call(
        &self,
        action: &str,
        client: Option<&str>,
        topic: Option<&str>,
    ) -> Option<(FaultKind, Duration)> {
        let is_about = |meant: &Option<String>, known| meant.is_none() || meant.as_deref() == known;
        self.find(|fault| {
            // A fault that names a client or a topic, but no action, applies to no call.
            let is_general = fault.client.is_none() && fault.topic.is_none();
            fault
                .action
                .as_deref()
                .map_or(is_general, |meant| meant == action)
                && fault.except.as_deref() != Some(action)
                && is_about(&fault.client, client)
                && is_about(&fault.topic, topic)
        })
    }

    /// Returns the fault for one action of an MQTT client, if any.
    pub(crate) fn strike_client(
        &self,
        action: &str,
        client: &str,
        topic: &str,
    ) -> Option<(FaultKind, Duration)> {
        if !self.0.any.load(Ordering::Relaxed) {
            return None;
        }
        self.find(|fault| {
            fault.action.as_deref() == Some(action)
                && fault.client.as_deref().is_none_or(|meant| meant == client)
                && fault.topic.as_deref().is_none_or(|meant| meant == topic)
        })
    }

    fn find(&self, is_meant: impl Fn(&PlannedFault) -> bool) -> Option<(FaultKind, Duration)> {
        let mut faults = self.lock();
        let struck = faults.iter_mut().find(|fault| {
            is_meant(fault) && fault.times != Some(0) && fastrand::f64() < fault.rate
        })?;
        if let Some(times) = &mut struck.times {
            *times -= 1;
        }
        struck.hits += 1;
        Some((struck.fault, Duration::from_millis(struck.milliseconds)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PlannedFault>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions() -> FaultyActions {
        FaultyActions {
            messaging: vec!["SendMessage", "ReceiveMessage", "PutEvents"],
            iot: vec!["CreatePolicy", "HttpPublish"],
        }
    }

    #[test]
    fn faults_that_can_strike_are_taken() {
        for fault in [
            r#"{"fault":"refuse"}"#,
            r#"{"fault":"drop","except":"ReceiveMessage","rate":0.5}"#,
            r#"{"action":"PutEvents","fault":"throttle","times":3}"#,
            r#"{"action":"CreatePolicy","fault":"duplicate"}"#,
            r#"{"action":"ReceiveMessage","fault":"linger"}"#,
            r#"{"action":"HttpPublish","topic":"t","fault":"disconnect"}"#,
            r#"{"action":"Deliver","client":"c","fault":"delay","milliseconds":5}"#,
        ] {
            actions().fault(fault.as_bytes()).unwrap();
        }
    }

    #[test]
    fn faults_that_never_strike_are_refused() {
        let refused = |fault: &str| actions().fault(fault.as_bytes()).unwrap_err();
        insta::assert_snapshot!(refused(r#"{"action":"SendMesage","fault":"refuse"}"#), @"
        unknown action `SendMesage`
        help: did you mean `SendMessage`? There are Connect, CreatePolicy, Deliver, HttpPublish, Publish, PutEvents, ReceiveMessage, SendMessage, Subscribe, Unsubscribe
        ");
        insta::assert_snapshot!(refused(r#"{"action":"SendMessage","fault":"refused"}"#), @"
        unknown fault `refused`
        help: did you mean `refuse`? There are delay, disconnect, drop, duplicate, linger, refuse, throttle
        ");
        insta::assert_snapshot!(refused(r#"{"acton":"SendMessage","fault":"refuse"}"#), @"
        unknown member `acton`
        help: did you mean `action`? There are action, client, except, fault, milliseconds, rate, times, topic
        ");
        for (fault, why) in [
            (
                r#"{"action":"Nope","fault":"refuse"}"#,
                "unknown action `Nope`",
            ),
            (
                r#"{"except":"sendmessage","fault":"refuse"}"#,
                "did you mean `SendMessage`?",
            ),
            (r#"{"action":"SendMessage"}"#, "`fault` is missing"),
            (
                r#"{"action":"SendMessage","fault":"duplicate"}"#,
                "`SendMessage` has no fault `duplicate`",
            ),
            (
                r#"{"action":"Subscribe","fault":"delay","milliseconds":5}"#,
                "`Subscribe` has no fault `delay`",
            ),
            (
                r#"{"action":"PutEvents","topic":"t","fault":"refuse"}"#,
                "no MQTT client",
            ),
            (r#"{"topic":"t","fault":"refuse"}"#, "without an action"),
            (r#"{"fault":"delay"}"#, "`milliseconds`"),
            (r#"{"fault":"drop","rate":1.5}"#, "`rate` is `1.5`"),
            (
                r#"{"action":"PutEvents","except":"PutEvents","fault":"drop"}"#,
                "both `PutEvents`",
            ),
            (r#"{"fault":"drop","times":-1}"#, "-1"),
            (r#"["drop"]"#, "a fault is a JSON object"),
            ("", "a fault is a JSON object"),
        ] {
            let told = refused(fault);
            assert!(told.contains(why), "{fault}: {told}");
        }
    }

    #[test]
    fn faults_strike_as_often_as_asked() {
        let faults = PlannedFaults::default();
        let fault = r#"{"action": "SendMessage", "fault": "refuse", "times": 2}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.strike("ReceiveMessage"), None);
        for _ in 0..2 {
            assert_eq!(
                faults.strike("SendMessage"),
                Some((FaultKind::Refuse, Duration::ZERO))
            );
        }
        assert_eq!(faults.strike("SendMessage"), None);
        faults.add(serde_json::from_str(r#"{"fault": "delay", "milliseconds": 5}"#).unwrap());
        assert_eq!(
            faults.strike("x"),
            Some((FaultKind::Delay, Duration::from_millis(5)))
        );
        assert_eq!(faults.strike_client("Publish", "a", "t"), None);
        let fault = r#"{"action": "Publish", "client": "a", "fault": "duplicate"}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.strike_client("Publish", "b", "t"), None);
        let struck = faults.strike_client("Publish", "a", "t");
        assert_eq!(struck, Some((FaultKind::Duplicate, Duration::ZERO)));
        let hits: Vec<u64> = faults.list().iter().map(|fault| fault.hits).collect();
        assert_eq!(hits, [2, 1, 1]);
        faults.clear();
        assert!(faults.list().is_empty());
        assert_eq!(faults.strike("x"), None);
        let fault = r#"{"action": "HttpPublish", "topic": "t", "fault": "throttle"}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.strike("HttpPublish"), None);
        assert_eq!(faults.strike_call("HttpPublish", None, Some("u")), None);
        let struck = faults.strike_call("HttpPublish", None, Some("t"));
        assert_eq!(struck, Some((FaultKind::Throttle, Duration::ZERO)));
    }
}
