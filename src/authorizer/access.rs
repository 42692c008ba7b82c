//! The authorizer of a broker in this process: it answers as IoT Core's custom authorizers do, through the port.
//!
//! The token is looked for where clients of IoT Core put it (`src/authorizer/presented_token.rs`).
//! Permissions come from the same documents that IoT Core would receive, so that a client here may
//! do what it may do there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::AuthorizerResponse;
use super::decide::TokenAuthority;
use super::presented_token;
use crate::access::{Documents, policies};
use crate::policy::context::{ClientPrincipal, Context};
use crate::policy::draft::Draft;
use crate::policy::scope::Scope;
use crate::port::{
    Authentication, AuthenticationFuture, AuthenticationRefusal, Authorizer, Identity, Presented,
};

/// Authorizer that lets in the bearers of valid tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    authority: Arc<TokenAuthority>,
    /// The name that tokens are looked for under.
    token_key: String,
}

impl Tokens {
    /// An authorizer that looks for tokens under a name, such as `token`.
    pub fn new(authority: Arc<TokenAuthority>, token_key: impl Into<String>) -> Self {
        Self {
            authority,
            token_key: token_key.into(),
        }
    }

    async fn decide(&self, presented: &Presented) -> Result<Authentication, AuthenticationRefusal> {
        let Some(token) = presented_token::find(presented, &self.token_key) else {
            return match presented.login {
                // Browsers may send it with CONNECT.
                None => Ok(Authentication::AtConnect),
                Some(_) => Err(AuthenticationRefusal::NothingShown(format!(
                    "no token: it is looked for as `{}` in the query string, a header or the user name's query, and as password",
                    self.token_key
                ))),
            };
        };
        let admission = self.authority.admit(&token).await.map_err(|rejection| {
            let why = rejection.to_string();
            match rejection.is_transient() {
                true => AuthenticationRefusal::Unavailable(why),
                false => AuthenticationRefusal::BadCredentials(why),
            }
        })?;
        let answer = admission.answer(Timestamp::now());
        let role = Some(admission.role());
        let access = granted(role, &admission.documents, self.authority.scope.clone())
            .map_err(|why| AuthenticationRefusal::Unavailable(why.to_owned()))?;
        Ok(Authentication::Known(identity(&answer, access)))
    }
}

/// Access by documents that were made for a role, at an endpoint with this scope.
///
/// # Errors
/// One line, where a document cannot be read.
pub fn granted(
    role: Option<Box<str>>,
    drafts: &[Draft],
    scope: Scope,
) -> Result<Documents, &'static str> {
    let mut context = Context::default();
    context.principal = Some(ClientPrincipal::CustomAuthorizer);
    Ok(Documents {
        role,
        policies: Arc::new(policies(drafts)?),
        scope,
        context,
        none: None,
    })
}

fn identity(answer: &AuthorizerResponse, access: Documents) -> Identity {
    Identity {
        principal: answer.principal_id.as_str().into(),
        access: Arc::new(access),
        refresh_after: Some(Duration::from_secs(answer.refresh_after_in_seconds)),
        disconnect_after: Some(Duration::from_secs(answer.disconnect_after_in_seconds)),
    }
}

impl Authorizer for Tokens {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a> {
        Box::pin(self.decide(presented))
    }
}
