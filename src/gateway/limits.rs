//! Bounds on what clients may ask for. Each can be switched off by itself, and none depends on
//! another.
//!
//! A rate is counted for a principal where a session proves its owner: a session is sealed once the
//! broker has accepted a token. A request for a new session proves nothing yet, and counts for the
//! address that it comes from: nobody can use up another's share.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::channel::limits::SUBSCRIPTIONS_PER_CONNECTION;

/// The bounds; `None` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Channels of one session.
    pub channels: Option<usize>,
    /// Sessions of one principal with an open connection at this task.
    pub sessions_per_principal: Option<usize>,
    /// Requests a second of one principal's sessions; for as many seconds, twice as many at once.
    pub requests_per_second: Option<u32>,
    /// New sessions a second from one address; ten times as many at once.
    pub sessions_per_second: Option<u32>,
    /// Sessions with an open connection at this task.
    pub sessions: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1_024,
            channels: Some(SUBSCRIPTIONS_PER_CONNECTION),
            sessions_per_principal: Some(20),
            // A session has 100 messages a second at the most (IoT Core's for a connection): one
            // poll each.
            requests_per_second: Some(100),
            sessions_per_second: Some(50),
            sessions: Some(20_000),
        }
    }
}

/// Names of the limits, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitName {
    /// [`Limits::sessions_per_principal`].
    SessionsPerPrincipal,
    /// [`Limits::requests_per_second`].
    RequestsPerSecond,
    /// [`Limits::sessions_per_second`].
    SessionsPerSecond,
    /// [`Limits::sessions`].
    Sessions,
}

impl LimitName {
    /// The limit's name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionsPerPrincipal => "sessions_per_principal",
            Self::RequestsPerSecond => "requests_per_second",
            Self::SessionsPerSecond => "sessions_per_second",
            Self::Sessions => "sessions",
        }
    }
}

/// The keys that one rate is counted for at a time. Those that have their full share back are
/// forgotten first.
const MAX_KEYS: usize = 100_000;

#[derive(Clone, Copy, Debug)]
struct RateBucket {
    tokens: f64,
    at: Instant,
}

/// A rate for each of many keys, each with a bucket of tokens.
#[derive(Debug)]
pub(super) struct KeyedRate<K> {
    per_second: Option<f64>,
    burst: f64,
    buckets: Mutex<HashMap<K, RateBucket>>,
}

impl<K: Eq + Hash> KeyedRate<K> {
    /// So many a second, and so many times that at once; `None` for no limit.
    pub(super) fn new(per_second: Option<u32>, burst: u32) -> Self {
        Self {
            per_second: per_second.map(f64::from),
            burst: f64::from(burst) * f64::from(per_second.unwrap_or(0)),
            buckets: Mutex::default(),
        }
    }

    /// Takes one of a key's share; the time after which there is one, where there is none now.
    pub(super) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let Some(rate) = self.per_second else {
            return Ok(());
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &RateBucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.tokens + since * rate).min(self.burst)
        };
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| filled(bucket) < self.burst);
        }
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            return Err(Duration::from_secs(1));
        }
        let bucket = buckets.entry(key).or_insert(RateBucket {
            tokens: self.burst,
            at: now,
        });
        let tokens = filled(bucket);
        bucket.at = now;
        if tokens < 1.0 {
            bucket.tokens = tokens;
            return Err(Duration::from_secs_f64((1.0 - tokens) / rate));
        }
        bucket.tokens = tokens - 1.0;
        Ok(())
    }
}

/// Rates of a gateway.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) principals: KeyedRate<Box<str>>,
    pub(super) addresses: KeyedRate<IpAddr>,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            principals: KeyedRate::new(limits.requests_per_second, 2),
            addresses: KeyedRate::new(limits.sessions_per_second, 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_each_keys_own_and_come_back() {
        let rate = KeyedRate::new(Some(10), 2);
        let now = Instant::now();
        for _ in 0..20 {
            assert_eq!(rate.take("a", now), Ok(()));
        }
        assert_eq!(rate.take("a", now), Err(Duration::from_millis(100)));
        assert_eq!(rate.take("b", now), Ok(()));
        let later = now + Duration::from_millis(100);
        assert_eq!(rate.take("a", later), Ok(()));
        assert!(rate.take("a", later).is_err());
    }

    #[test]
    fn a_limit_can_be_off() {
        let rate = KeyedRate::new(None, 2);
        let now = Instant::now();
        for _ in 0..10_000 {
            assert_eq!(rate.take(1, now), Ok(()));
        }
        assert!(rate.buckets.lock().unwrap().is_empty());
    }

    #[test]
    fn keys_are_bounded() {
        let rate = KeyedRate::new(Some(1), 1);
        let now = Instant::now();
        for key in 0..MAX_KEYS {
            assert_eq!(rate.take(key, now), Ok(()));
        }
        assert!(
            rate.take(MAX_KEYS, now).is_err(),
            "all have used a part of their share"
        );
        let later = now + Duration::from_secs(1);
        assert_eq!(rate.take(MAX_KEYS, later), Ok(()));
        assert_eq!(rate.buckets.lock().unwrap().len(), 1);
    }
}
