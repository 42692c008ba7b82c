//! The authorizer of a broker in this process: it answers as IoT Core's custom authorizers do, through the port.
//!
//! The token is looked for where clients of IoT Core put it (developer guide, "Connecting to AWS IoT Core by using custom
//! authentication"): in the WebSocket's query string or a header, under the name that the configuration gives it, in the query
//! that follows the MQTT user name, or as the MQTT password. What is granted is asked of the same documents that IoT Core would
//! be handed, so that a client here may do what it may do there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::answer::Answer as Answered;
use super::decide::Authority;
use crate::access::{Documents, policies};
use crate::policy::context::{Context, Principal};
use crate::policy::draft::Draft;
use crate::policy::scope::Scope;
use crate::port::{Answer, Authentication, Authorizer, Identity, Presented, Refusal};

/// Lets in whom tokens let in.
#[derive(Clone, Debug)]
pub struct Tokens {
    authority: Arc<Authority>,
    /// The name that tokens are looked for under.
    token_key: String,
}

impl Tokens {
    /// An authorizer that looks for tokens under a name, such as `token`.
    pub fn new(authority: Arc<Authority>, token_key: impl Into<String>) -> Self {
        Self {
            authority,
            token_key: token_key.into(),
        }
    }

    fn decide(&self, presented: &Presented) -> Result<Authentication, Refusal> {
        let Some(token) = self.token(presented) else {
            return match presented.login {
                // Browsers may send it with CONNECT.
                None => Ok(Authentication::AtConnect),
                Some(_) => Err(Refusal::NothingShown(format!(
                    "no token: it is looked for as `{}` in the query string, a header or the user name's query, and as password",
                    self.token_key
                ))),
            };
        };
        let admission = self
            .authority
            .decide(&token)
            .map_err(|rejection| Refusal::BadCredentials(rejection.to_string()))?;
        let answer = admission.answer(Timestamp::now());
        let role = Some(admission.role.clone());
        let access = granted(role, &admission.documents, self.authority.scope.clone())
            .map_err(|why| Refusal::Unavailable(why.to_owned()))?;
        Ok(Authentication::Known(identity(&answer, access)))
    }

    fn token(&self, presented: &Presented) -> Option<String> {
        let upgrade = presented.upgrade.as_ref();
        let login = presented.login.as_ref();
        let in_query = || {
            let query = upgrade?.query.as_deref()?;
            self.of_query(query)
        };
        let in_header = || {
            let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(&self.token_key);
            upgrade?
                .headers
                .iter()
                .find(named)
                .map(|(_, value)| value.clone())
        };
        let in_user_name = || {
            let (_, query) = login?.user_name.as_deref()?.split_once('?')?;
            self.of_query(query)
        };
        let in_password = || {
            let password = login?.password.as_deref()?;
            std::str::from_utf8(password).ok().map(str::to_owned)
        };
        let found = in_query()
            .or_else(in_header)
            .or_else(in_user_name)
            .or_else(in_password);
        found.filter(|token| !token.is_empty())
    }

    fn of_query(&self, query: &str) -> Option<String> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == self.token_key)?;
        let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
        Some(decoded.ok()?.into_owned())
    }
}

/// What documents that were made for a role grant, at an endpoint with this scope.
///
/// # Errors
/// When a document cannot be read.
pub fn granted(
    role: Option<Box<str>>,
    drafts: &[Draft],
    scope: Scope,
) -> Result<Documents, &'static str> {
    let mut context = Context::default();
    context.principal = Some(Principal::CustomAuthorizer);
    Ok(Documents {
        role,
        policies: Arc::new(policies(drafts)?),
        scope,
        context,
        none: None,
    })
}

fn identity(answer: &Answered, access: Documents) -> Identity {
    Identity {
        principal: answer.principal_id.as_str().into(),
        access: Arc::new(access),
        refresh_after: Some(Duration::from_secs(answer.refresh_after_in_seconds)),
        disconnect_after: Some(Duration::from_secs(answer.disconnect_after_in_seconds)),
    }
}

impl Authorizer for Tokens {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> Answer<'a> {
        Box::pin(async { self.decide(presented) })
    }
}
