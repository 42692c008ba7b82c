//! Faults on request: what goes wrong between a client and a service.
//!
//! `POST /_dev/faults` with `{"action": "ReceiveMessage", "fault": "refuse", "rate": 0.1}` adds one, `GET` tells all with how often each
//! has struck (`hits`), `DELETE` removes all. Without an action it hits every one but the one named by `except`; `times` bounds how often. What happens to MQTT clients has actions too
//! (`Connect`, `Publish`, `Subscribe`, `Unsubscribe`, `Deliver`), which only a fault that names one hits, and can be narrowed to one
//! `client` and one `topic` or filter. So can calls of the data plane, where `Publish` is called `HttpPublish`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The service answers that it is not available, and does nothing.
    Refuse,
    /// The service throttles.
    Throttle,
    /// It is done, but the answer is lost with the connection.
    Drop,
    /// It is done late.
    Delay,
    /// It is done twice; for MQTT messages.
    Duplicate,
    /// The connection breaks before it is done; for MQTT clients.
    Disconnect,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Which action it hits; every one without.
    #[serde(default)]
    action: Option<String>,
    /// Which action it never hits.
    #[serde(default)]
    except: Option<String>,
    /// Which MQTT client it hits; every one without.
    #[serde(default)]
    client: Option<String>,
    /// Which topic or filter it hits; every one without.
    #[serde(default)]
    topic: Option<String>,
    fault: Kind,
    /// How likely it is, from 0 to 1.
    #[serde(default = "always")]
    rate: f64,
    /// How often at most.
    #[serde(default)]
    times: Option<u32>,
    /// How often it has struck.
    #[serde(skip_deserializing)]
    hits: u64,
    /// For how long an action is delayed.
    #[serde(default)]
    milliseconds: u64,
}

fn always() -> f64 {
    1.0
}

/// The faults that were asked for; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    faults: Mutex<Vec<Fault>>,
    /// Whether there are any, for who asks often.
    any: AtomicBool,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(fault);
        self.0.any.store(true, Ordering::Relaxed);
    }

    /// All of them, as they are now.
    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.0.any.store(false, Ordering::Relaxed);
    }

    /// What goes wrong with one call of an action.
    pub(crate) fn strike(&self, action: &str) -> Option<(Kind, Duration)> {
        self.strike_call(action, None, None)
    }

    /// What goes wrong with one call of an action that is about a client or a topic.
    pub(crate) fn strike_call(
        &self,
        action: &str,
        client: Option<&str>,
        topic: Option<&str>,
    ) -> Option<(Kind, Duration)> {
        let is_about = |meant: &Option<String>, known| meant.is_none() || meant.as_deref() == known;
        self.find(|fault| {
            // What names a client or a topic but no action is meant for nobody.
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

    /// What goes wrong with one action of an MQTT client.
    pub(crate) fn strike_client(
        &self,
        action: &str,
        client: &str,
        topic: &str,
    ) -> Option<(Kind, Duration)> {
        if !self.0.any.load(Ordering::Relaxed) {
            return None;
        }
        self.find(|fault| {
            fault.action.as_deref() == Some(action)
                && fault.client.as_deref().is_none_or(|meant| meant == client)
                && fault.topic.as_deref().is_none_or(|meant| meant == topic)
        })
    }

    fn find(&self, is_meant: impl Fn(&Fault) -> bool) -> Option<(Kind, Duration)> {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_as_often_as_asked() {
        let faults = Faults::default();
        let fault = r#"{"action": "SendMessage", "fault": "refuse", "times": 2}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.strike("ReceiveMessage"), None);
        for _ in 0..2 {
            assert_eq!(
                faults.strike("SendMessage"),
                Some((Kind::Refuse, Duration::ZERO))
            );
        }
        assert_eq!(faults.strike("SendMessage"), None);
        faults.add(serde_json::from_str(r#"{"fault": "delay", "milliseconds": 5}"#).unwrap());
        assert_eq!(
            faults.strike("x"),
            Some((Kind::Delay, Duration::from_millis(5)))
        );
        assert_eq!(faults.strike_client("Publish", "a", "t"), None);
        let fault = r#"{"action": "Publish", "client": "a", "fault": "duplicate"}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        assert_eq!(faults.strike_client("Publish", "b", "t"), None);
        let struck = faults.strike_client("Publish", "a", "t");
        assert_eq!(struck, Some((Kind::Duplicate, Duration::ZERO)));
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
        assert_eq!(struck, Some((Kind::Throttle, Duration::ZERO)));
    }
}
