//! Faults on request: what goes wrong between a client and a service.
//!
//! `POST /_dev/faults` with `{"action": "ReceiveMessage", "fault": "refuse", "rate": 0.1}` adds one, `DELETE` removes all. Without an
//! action it hits every one but the one named by `except`; `times` bounds how often. What happens to MQTT clients has actions too
//! (`Connect`, `Publish`, `Subscribe`, `Unsubscribe`, `Deliver`), and can be narrowed to one `client` and one `topic` or filter.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
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
pub(super) struct Fault {
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
    /// For how long an action is delayed.
    #[serde(default)]
    milliseconds: u64,
}

fn always() -> f64 {
    1.0
}

/// The faults that were asked for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Mutex<Vec<Fault>>,
    /// Whether there are any, for who asks often.
    any: AtomicBool,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.lock().push(fault);
        self.any.store(true, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }

    /// What goes wrong with one call of an action.
    pub(super) fn strike(&self, action: &str) -> Option<(Kind, Duration)> {
        self.strike_client(action, "", "")
    }

    /// What goes wrong with one action of an MQTT client.
    pub(super) fn strike_client(
        &self,
        action: &str,
        client: &str,
        topic: &str,
    ) -> Option<(Kind, Duration)> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut faults = self.lock();
        let struck = faults.iter_mut().find(|fault| {
            let meant = fault.action.as_deref().is_none_or(|meant| meant == action);
            let meant = meant
                && fault.client.as_deref().is_none_or(|meant| meant == client)
                && fault.topic.as_deref().is_none_or(|meant| meant == topic);
            let spared = fault.except.as_deref() == Some(action);
            meant && !spared && fault.times != Some(0) && fastrand::f64() < fault.rate
        })?;
        if let Some(times) = &mut struck.times {
            *times -= 1;
        }
        Some((struck.fault, Duration::from_millis(struck.milliseconds)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
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
        faults.clear();
        assert_eq!(faults.strike("x"), None);
    }
}
