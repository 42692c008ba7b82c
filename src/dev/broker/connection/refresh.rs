//! Repeated authentication of a long connection: at the time that its identity names, and when the
//! permissions of its certificate change.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::ending::DisconnectReason;
use crate::port::{Authentication, AuthenticationFuture, Authorizer, Identity, Presented};

/// Schedule of the next authentication of a client, and the pending one.
pub(crate) struct IdentityRefresh {
    authorizer: Arc<dyn Authorizer>,
    presented: Arc<Presented>,
    at: Option<Instant>,
    asking: Option<AuthenticationFuture<'static>>,
    /// `true` where something may have changed since the last answer.
    changed: bool,
    /// `true` where a change arrived while an authentication was pending.
    again: bool,
}

impl IdentityRefresh {
    /// Creates a schedule; `None` for an identity that needs no refresh. A client with a
    /// certificate is authenticated again at once, since a change between the first answer and the
    /// creation of the session would find no connection.
    pub(crate) fn new(
        authorizer: Arc<dyn Authorizer>,
        presented: Presented,
        identity: &Identity,
    ) -> Option<Self> {
        let now = Instant::now();
        let changed = has_certificate(&presented);
        let at = if changed {
            Some(now)
        } else {
            identity.refresh_after.map(|after| now + after)
        };
        at.map(|at| Self {
            authorizer,
            presented: Arc::new(presented),
            at: Some(at),
            asking: None,
            changed,
            again: false,
        })
    }

    /// Schedules a new authentication as soon as possible, since something has changed.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if !has_certificate(&self.presented) {
            return;
        }
        if self.asking.is_some() {
            self.again = true;
        } else {
            self.at = Some(now);
            self.changed = true;
        }
    }

    /// Returns the reason for the end of a connection whose authentication is not renewed: access
    /// was withdrawn, or has expired.
    pub(crate) fn ending(&self, why: Box<str>) -> DisconnectReason {
        if self.changed {
            DisconnectReason::Forbidden(why)
        } else {
            DisconnectReason::Expired(why)
        }
    }

    /// Returns the time of the next authentication; `None` while one is pending, or where no more
    /// is due.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at.filter(|_| self.asking.is_none())
    }

    /// Starts the authentication when it is due. Ready with a new identity, or with the reason why
    /// there is none; pending while nothing changes.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<Result<Identity, Box<str>>> {
        if self.asking.is_none() {
            if self.at.is_none_or(|at| at > now) {
                return Poll::Pending;
            }
            let (authorizer, presented) =
                (Arc::clone(&self.authorizer), Arc::clone(&self.presented));
            self.asking = Some(Box::pin(async move {
                authorizer.authenticate(&presented).await
            }));
        }
        let Some(asking) = &mut self.asking else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = asking.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.asking = None;
        Poll::Ready(match answer {
            Ok(Authentication::Known(identity)) => {
                self.changed = std::mem::take(&mut self.again);
                self.at = if self.changed {
                    Some(now)
                } else {
                    identity.refresh_after.map(|after| now + after)
                };
                Ok(identity)
            }
            Ok(Authentication::AtConnect) => Err("the authorizer knows the client no more".into()),
            Err(refusal) => Err(refusal.to_string().into()),
        })
    }
}

fn has_certificate(presented: &Presented) -> bool {
    let tls = presented.tls.as_ref();
    tls.is_some_and(|tls| tls.certificate.is_some())
}
