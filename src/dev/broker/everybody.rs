//! Authorizer of a broker without roles: every client may do everything.

use std::sync::Arc;

use crate::port::{
    AccessDecision, Authentication, AuthenticationFuture, Authorizer, ClientAccess, ClientAction,
    Identity, Presented, RequestingClient,
};

/// Authorizer that allows every client everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl ClientAccess for AllowAll {
    fn decide(&self, _: &RequestingClient, _: ClientAction<'_>) -> AccessDecision {
        AccessDecision::Allowed
    }
}

impl Authorizer for AllowAll {
    fn authenticate<'a>(&'a self, _: &'a Presented) -> AuthenticationFuture<'a> {
        Box::pin(async {
            Ok(Authentication::Known(Identity {
                principal: "everybody".into(),
                access: Arc::new(Self),
                refresh_after: None,
                disconnect_after: None,
            }))
        })
    }
}
