//! Asking the authorizer again for a connection that lasts: when its identity says so, and when what its certificate grants has
//! changed.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::ending::DisconnectReason;
use crate::port::{Answer, Authentication, Authorizer, Identity, Presented};

/// When an identity is to be asked for again, and the question while it is open.
pub(crate) struct IdentityRefresh {
    authorizer: Arc<dyn Authorizer>,
    presented: Arc<Presented>,
    at: Option<Instant>,
    asking: Option<Answer<'static>>,
    /// Whether something may have changed since the last answer.
    changed: bool,
    /// Whether a change came while it was being asked.
    again: bool,
}

impl IdentityRefresh {
    /// `None` for an identity that needs no refresh. Who has shown a certificate is asked for again at once: a change that came
    /// between the answer and the session would not find its connection.
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

    /// Something has changed: asks as soon as it can.
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

    /// What becomes of a connection whose identity is not given again: it was taken away, or its time is over.
    pub(crate) fn ending(&self, why: Box<str>) -> DisconnectReason {
        if self.changed {
            DisconnectReason::Forbidden(why)
        } else {
            DisconnectReason::Expired(why)
        }
    }

    /// When it is to be asked again; `None` while it is being asked, or never again.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.at.filter(|_| self.asking.is_none())
    }

    /// Asks when it is time. Ready with another identity, or with why there is none; pending for as long as nothing changes.
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
