//! Authorizer of a broker without roles: every client may do everything.

use std::sync::Arc;

use crate::port::{
    Access, Action, Answer, Authentication, Authorizer, Client, Decision, Identity, Presented,
};

/// Authorizer that allows every client everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Access for AllowAll {
    fn decide(&self, _: &Client, _: Action<'_>) -> Decision {
        Decision::Allowed
    }
}

impl Authorizer for AllowAll {
    fn authenticate<'a>(&'a self, _: &'a Presented) -> Answer<'a> {
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
