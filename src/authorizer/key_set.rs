//! The keys of one issuer: those of files, and a set that is fetched from an address of the
//! configuration.
//!
//! The address is never a token's (`jku` and `iss` say nothing about where keys are). One fetch
//! runs at a time. A set is replaced as a whole; the last good one stays when a fetch fails. A key
//! id that is not in the set is a reason to fetch it, but not within 30 s of the last fetch: so
//! tokens with made-up ids cost the issuer one fetch in that time.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::key::Keys;
use crate::port::KeySetSource;

/// The age at which a set is fetched again: a key that the issuer takes back is accepted no longer
/// than this.
pub const KEY_SET_AGE: Duration = Duration::from_secs(15 * 60);

/// The time after a fetch in which ids that it did not bring are unknown without another one.
pub const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(30);

/// The time after a failed fetch before the next.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The time for one fetch. IoT Core waits 5 s for a custom authorizer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// The keys of one issuer.
#[derive(Clone, Debug)]
pub enum IssuerKeys {
    /// Keys that stay as they are.
    Fixed(Arc<Keys>),
    /// Keys with a set that is fetched.
    Fetched(Arc<FetchedKeys>),
}

impl IssuerKeys {
    /// The keys at hand.
    pub fn current(&self) -> Arc<Keys> {
        match self {
            Self::Fixed(keys) => Arc::clone(keys),
            Self::Fetched(keys) => keys.held().keys,
        }
    }

    /// Fetches the set where it is missing, old, or lacks the key with this id. Cancel safe.
    ///
    /// # Errors
    /// One line that says why there is no key at all.
    pub async fn prepare(&self, id: Option<&str>) -> Result<(), String> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Fetched(keys) => keys.prepare(id).await,
        }
    }
}

/// Keys of which some come from an address.
pub struct FetchedKeys {
    source: Box<dyn KeySetSource>,
    /// The keys of files.
    fixed: Keys,
    /// The algorithms of the set's keys that count; empty for all.
    algorithms: Vec<String>,
    held: RwLock<HeldKeys>,
    /// The last fetch. It is locked while one runs.
    last: Mutex<Option<FetchAttempt>>,
}

#[derive(Clone, Debug)]
struct HeldKeys {
    keys: Arc<Keys>,
    /// Moment when the set was fetched; `None` before the first time.
    fetched: Option<Instant>,
}

impl HeldKeys {
    fn is_old(&self) -> bool {
        self.fetched
            .is_none_or(|fetched| fetched.elapsed() >= KEY_SET_AGE)
    }

    fn lacks(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| !self.keys.knows(id))
    }
}

#[derive(Debug)]
struct FetchAttempt {
    at: Instant,
    failure: Option<String>,
}

impl fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedKeys")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl FetchedKeys {
    /// Keys of files, and a set from a source, of which keys of some algorithms count (of none
    /// means all).
    pub fn new(source: Box<dyn KeySetSource>, fixed: Keys, algorithms: Vec<String>) -> Self {
        Self {
            source,
            held: RwLock::new(HeldKeys {
                keys: Arc::new(fixed.clone()),
                fetched: None,
            }),
            fixed,
            algorithms,
            last: Mutex::new(None),
        }
    }

    fn held(&self) -> HeldKeys {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn prepare(&self, id: Option<&str>) -> Result<(), String> {
        // A key of a file needs no set.
        if id.is_some_and(|id| self.fixed.knows(id)) {
            return Ok(());
        }
        let held = self.held();
        if !held.is_old() && !held.lacks(id) {
            return Ok(());
        }
        let mut last = if held.fetched.is_some() && !held.lacks(id) {
            match self.last.try_lock() {
                Ok(last) => last,
                // Somebody else fetches; the set at hand serves meanwhile.
                Err(_) => return Ok(()),
            }
        } else {
            self.last.lock().await
        };
        // The holder of the lock before may have fetched the missing key.
        let held = self.held();
        if held.is_old() || held.lacks(id) {
            let pause = match &*last {
                Some(attempt) if attempt.failure.is_some() => RETRY_PAUSE,
                _ => UNKNOWN_KEY_PAUSE,
            };
            let is_due = last
                .as_ref()
                .is_none_or(|attempt| attempt.at.elapsed() >= pause);
            if is_due {
                let failure = self.fetch().await.err();
                if let Some(why) = &failure {
                    tracing::warn!(source = ?self.source, error = %why, "key set not fetched");
                }
                *last = Some(FetchAttempt {
                    at: Instant::now(),
                    failure,
                });
            }
        }
        match &*last {
            Some(FetchAttempt {
                failure: Some(why), ..
            }) if self.held().keys.is_empty() => Err(why.clone()),
            _ => Ok(()),
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let text = timeout(FETCH_TIMEOUT, self.source.fetch())
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {FETCH_TIMEOUT:?}")))?;
        let set = Keys::parse(&text).map_err(|error| error.to_string())?;
        let set = set.only(&self.algorithms);
        if set.is_empty() {
            let named = self.algorithms.join(", ");
            return Err(format!("a key set without a key for {named}"));
        }
        let mut keys = self.fixed.clone();
        keys.extend(set);
        let fetched = HeldKeys {
            keys: Arc::new(keys),
            fetched: Some(Instant::now()),
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = fetched;
        tracing::debug!(source = ?self.source, "key set fetched");
        Ok(())
    }
}
