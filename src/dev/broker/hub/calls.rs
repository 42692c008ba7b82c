//! Rate limits of the data plane's calls on connections and retained messages: for the account, and
//! for one client id ("AWS IoT Core endpoints and quotas", "AWS IoT Core API rate limits").
//! `Publish` counts as a message instead.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::rate::{SharedRate, WindowCounter};
use crate::dev::broker::limits::BrokerLimits;

/// Number of client ids above which expired entries are removed.
const LOOK: usize = 1_024;

#[derive(Debug)]
pub(crate) struct ApiRateLimits {
    get_retained: SharedRate,
    list_retained: SharedRate,
    get_connection: ApiCall,
    list_subscriptions: ApiCall,
    delete_connection: ApiCall,
}

/// Rate limits of a call that names a client id.
#[derive(Debug)]
struct ApiCall {
    account: SharedRate,
    per_client: Option<u32>,
    clients: Mutex<FxHashMap<Box<str>, (Instant, WindowCounter)>>,
}

impl ApiRateLimits {
    pub(crate) fn new(limits: &BrokerLimits) -> Self {
        let kind = || ApiCall {
            account: SharedRate::new(limits.account_connection_calls),
            per_client: limits.connection_calls_per_second_per_client_id,
            clients: Mutex::default(),
        };
        Self {
            get_retained: SharedRate::new(limits.account_retained_gets),
            list_retained: SharedRate::new(limits.account_retained_lists),
            get_connection: kind(),
            list_subscriptions: kind(),
            delete_connection: kind(),
        }
    }

    /// Returns `true` where the rate limits admit a call, by its name in AWS's model. Other calls
    /// have no limit here.
    pub(crate) fn take(&self, action: &str, client_id: Option<&str>, now: Instant) -> bool {
        let kind = match action {
            "GetRetainedMessage" => return self.get_retained.take(now),
            "ListRetainedMessages" => return self.list_retained.take(now),
            "GetConnection" => &self.get_connection,
            "ListSubscriptions" => &self.list_subscriptions,
            "DeleteConnection" => &self.delete_connection,
            _ => return true,
        };
        kind.take(client_id.unwrap_or_default(), now)
    }
}

impl ApiCall {
    fn take(&self, client_id: &str, now: Instant) -> bool {
        let Some(limit) = self.per_client else {
            return self.account.take(now);
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= LOOK {
            clients
                .retain(|_, (at, _)| now.saturating_duration_since(*at) < Duration::from_secs(1));
        }
        let known = clients.get_mut(client_id);
        let mut rate = known.map_or_else(|| WindowCounter::new(Some(limit)), |(_, rate)| *rate);
        // A call that the account's limit refuses does not count for the client.
        let may = rate.take(now, 1) && self.account.take(now);
        if may {
            clients.insert(client_id.into(), (now, rate));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_call_has_its_rates() {
        let calls = ApiRateLimits::new(&BrokerLimits {
            account_connection_calls: Some(3),
            account_retained_lists: Some(1),
            ..BrokerLimits::iot_core()
        });
        let now = Instant::now();
        let take = |action, client, now| calls.take(action, Some(client), now);
        // Each call allows one per second for a client id, and three in total.
        for action in ["GetConnection", "ListSubscriptions", "DeleteConnection"] {
            assert!(take(action, "a", now) && take(action, "b", now));
            assert!(!take(action, "a", now + Duration::from_millis(999)));
            assert!(take(action, "c", now));
            assert!(!take(action, "d", now));
            assert!(take(action, "d", now + Duration::from_secs(1)));
            assert!(take(action, "a", now + Duration::from_secs(1)));
        }
        assert!(calls.take("ListRetainedMessages", None, now));
        assert!(!calls.take("ListRetainedMessages", None, now));
        assert!(calls.take("GetRetainedMessage", None, now));
        assert!((0..1_000).all(|_| calls.take("HttpPublish", None, now)));
    }

    #[tokio::test(start_paused = true)]
    async fn client_ids_are_forgotten() {
        let calls = ApiRateLimits::new(&BrokerLimits {
            account_connection_calls: None,
            ..BrokerLimits::iot_core()
        });
        let mut now = Instant::now();
        for n in 0..10_000 {
            now += Duration::from_millis(1);
            assert!(calls.take("GetConnection", Some(&n.to_string()), now));
        }
        assert!(calls.get_connection.clients.lock().unwrap().len() <= LOOK);
    }
}
