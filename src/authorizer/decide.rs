//! The decision: token -> verified claims -> role -> grants -> policy documents.
//!
//! A token that is not believed, names no role there is, or carries claims that the role does not fit, lets nobody in: there is no
//! half of a grant. The clock for what is left of a token is handed in; whether it has expired, the token's own check tells.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::Answer;
use super::key::Keys;
use super::token::{Expected, TokenError, Verified, verify};
use crate::policy::draft::Draft;
use crate::policy::generate::{Form, GenerateError, generate};
use crate::policy::grant::{GrantError, Grants};
use crate::policy::role::Role;
use crate::policy::scope::Scope;

/// Everything that decides on a token.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Whose signatures are believed.
    pub keys: Keys,
    /// Whose tokens, and for whom.
    pub expected: Expected,
    /// The claim that names the role.
    pub role_claim: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The first level of every topic, where there is one.
    pub environment: Option<String>,
    /// The Region and account in documents.
    pub scope: Scope,
    /// After which time to be asked again.
    pub refresh: Duration,
}

/// Who is let in, and with what.
#[derive(Clone)]
pub struct Admission {
    /// What the token says.
    pub verified: Verified,
    /// The role's name.
    pub role: Box<str>,
    /// What it may do.
    pub grants: Grants,
    /// The same as policy documents.
    pub documents: Vec<Draft>,
    /// What somebody should know about them, a line each.
    pub notes: Vec<String>,
    refresh: Duration,
}

impl fmt::Debug for Admission {
    /// Grants name people's channels: they do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("verified", &self.verified)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The token is not believed.
    #[error("the token is not believed: {0}")]
    Token(#[from] TokenError),
    /// It names no role.
    #[error("the claim `{0}`, which names the role, is {1}")]
    NoRole(String, &'static str),
    /// It names a role that does not exist.
    #[error("the role `{0}` does not exist")]
    UnknownRole(String),
    /// Its claims do not fit the role.
    #[error("the claims do not fit the role `{role}`: {}", joined(.errors))]
    Claims {
        /// The role.
        role: Box<str>,
        /// Each entry of it that the claims do not fit.
        errors: Vec<GrantError>,
    },
    /// IoT Core takes no such documents.
    #[error("the grants are too many: {0}")]
    Room(#[from] GenerateError),
}

/// A role may have an entry twice, to subscribe and to publish.
fn each_once(errors: Vec<GrantError>) -> Vec<GrantError> {
    let mut once: Vec<GrantError> = Vec::new();
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    once
}

fn joined(errors: &[GrantError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

impl Authority {
    /// Decides on a token.
    ///
    /// # Errors
    /// [`Rejection`] says why nobody is let in with it.
    pub fn decide(&self, token: &str) -> Result<Admission, Rejection> {
        let verified = verify(token, &self.keys, &self.expected)?;
        let role = self.role(&verified)?;
        let claims = Value::Object(verified.claims.clone());
        let grants = Grants::of(role, &claims, self.environment.as_deref());
        let grants = grants.map_err(|errors| Rejection::Claims {
            role: role.name.clone(),
            errors: each_once(errors),
        })?;
        let generated = generate(&grants, &self.scope, Form::Authorizer, None)?;
        Ok(Admission {
            verified,
            role: role.name.clone(),
            grants,
            documents: generated.documents,
            notes: generated.notes,
            refresh: self.refresh,
        })
    }

    fn role(&self, verified: &Verified) -> Result<&Role, Rejection> {
        let missing = |what| Rejection::NoRole(self.role_claim.clone(), what);
        let name = match verified.claims.get(&self.role_claim) {
            Some(Value::String(name)) => name,
            None | Some(Value::Null) => return Err(missing("missing")),
            Some(Value::Array(_)) => return Err(missing("a list; a client has one role")),
            Some(_) => return Err(missing("no text")),
        };
        let known = self.roles.iter().find(|role| *role.name == **name);
        known.ok_or_else(|| Rejection::UnknownRole(name.clone()))
    }
}

impl Admission {
    /// What a custom authorizer answers.
    pub fn answer(&self, now: Timestamp) -> Answer {
        Answer::admitted(
            self.grants.principal.as_str(),
            self.verified.expires,
            now,
            self.refresh,
            self.documents.clone(),
        )
    }
}
