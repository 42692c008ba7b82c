//! Asking the authorizer again for a connection that lasts.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::port::{Answer, Authentication, Authorizer, Identity, Presented};

/// When an identity is to be asked for again, and the question while it is open.
pub(crate) struct Refresh {
    authorizer: Arc<dyn Authorizer>,
    presented: Arc<Presented>,
    at: Option<Instant>,
    asking: Option<Answer<'static>>,
}

impl Refresh {
    /// `None` for an identity that needs no refresh.
    pub(crate) fn new(
        authorizer: Arc<dyn Authorizer>,
        presented: Presented,
        identity: &Identity,
    ) -> Option<Self> {
        identity.refresh_after.map(|after| Self {
            authorizer,
            presented: Arc::new(presented),
            at: Some(Instant::now() + after),
            asking: None,
        })
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
                self.at = identity.refresh_after.map(|after| now + after);
                Ok(identity)
            }
            Ok(Authentication::AtConnect) => Err("the authorizer knows the client no more".into()),
            Err(refusal) => Err(refusal.to_string().into()),
        })
    }
}
