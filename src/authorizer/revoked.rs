//! Subjects and tokens that were revoked before they expired.
//!
//! A list is asked when a client connects, and each time IoT Core asks again. Its answers are
//! remembered for a short time. A list that cannot be read lets nobody in, unless the configuration
//! says otherwise.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::token::Verified;
use crate::port::{RevocationList, RevokedEntry};

/// The time for one question. IoT Core waits 5 s for a custom authorizer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The most answers that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// A list of revoked subjects and tokens, with its remembered answers.
pub struct RevocationCheck {
    list: Arc<dyn RevocationList>,
    /// Time that an answer counts.
    remember: Duration,
    /// `true` where everybody counts as not revoked while the list cannot be read.
    admits_unread: bool,
    remembered: Mutex<HashMap<String, (Instant, Option<RevokedEntry>)>>,
}

impl fmt::Debug for RevocationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationCheck")
            .field("list", &self.list)
            .field("remember", &self.remember)
            .field("admits_unread", &self.admits_unread)
            .finish_non_exhaustive()
    }
}

/// Reason why a valid token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The list names it.
    #[error("revoked: the list names its {0}")]
    Revoked(&'static str),
    /// Nobody knows.
    #[error("the list of revoked subjects and tokens cannot be read: {0}")]
    Unreadable(String),
}

impl RevocationCheck {
    /// A check against a list.
    pub fn new(list: Arc<dyn RevocationList>, remember: Duration, admits_unread: bool) -> Self {
        Self {
            list,
            remember,
            admits_unread,
            remembered: Mutex::default(),
        }
    }

    /// Looks a verified token up: its subject, its principal, and its ids. Cancel safe.
    ///
    /// # Errors
    /// [`RevocationError`] when it is revoked, or nobody can say.
    pub async fn check(
        &self,
        verified: &Verified,
        principal: &str,
        now: i64,
    ) -> Result<(), RevocationError> {
        let ids = ids(verified, principal);
        let entries = match self.entries(&ids).await {
            Ok(entries) => entries,
            Err(why) if self.admits_unread => {
                tracing::warn!(error = %why, "revocation list not read, client admitted all the same");
                return Ok(());
            }
            Err(why) => return Err(RevocationError::Unreadable(why)),
        };
        let concerns = |entry: &&RevokedEntry| {
            let is_over = entry.expires.is_some_and(|expires| expires <= now);
            let is_older = match (entry.issued_before, verified.issued_at()) {
                (Some(before), Some(issued)) => issued <= before,
                // A token that does not say when it was made counts as old.
                _ => true,
            };
            !is_over && is_older
        };
        match entries.iter().find(concerns) {
            None => Ok(()),
            Some(entry) if entry.id.starts_with("token:") => Err(RevocationError::Revoked("id")),
            Some(_) => Err(RevocationError::Revoked("subject")),
        }
    }

    async fn entries(&self, ids: &[String]) -> Result<Vec<RevokedEntry>, String> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        {
            let remembered = self.remembered();
            for id in ids {
                match remembered.get(id) {
                    Some((at, entry)) if at.elapsed() < self.remember => {
                        found.extend(entry.clone());
                    }
                    _ => unknown.push(id.clone()),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(found);
        }
        let listed = timeout(ANSWER_TIMEOUT, self.list.find(&unknown))
            .await
            .unwrap_or_else(|_| Err(format!("no answer in {ANSWER_TIMEOUT:?}")))?;
        if !self.remember.is_zero() {
            let now = Instant::now();
            let mut remembered = self.remembered();
            if remembered.len() + unknown.len() > MAX_REMEMBERED {
                remembered.retain(|_, (at, _)| at.elapsed() < self.remember);
            }
            if remembered.len() + unknown.len() > MAX_REMEMBERED {
                remembered.clear();
            }
            for id in unknown {
                let entry = listed.iter().find(|entry| entry.id == id).cloned();
                remembered.insert(id, (now, entry));
            }
        }
        found.extend(listed);
        Ok(found)
    }

    fn remembered(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Option<RevokedEntry>)>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids under which a list may name a token. Amazon Cognito's tokens have `origin_jti` as well,
/// which is the same for all tokens of one sign-in (Amazon Cognito developer guide, "Understanding
/// the access token").
fn ids(verified: &Verified, principal: &str) -> Vec<String> {
    let text = |claim: &str| verified.claims.get(claim)?.as_str();
    let named = [
        ("subject", verified.subject()),
        ("subject", Some(principal)),
        ("token", text("jti")),
        ("token", text("origin_jti")),
    ];
    let mut ids: Vec<String> = Vec::new();
    for (kind, value) in named {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        let id = format!("{kind}:{value}");
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
