//! The decision: token -> issuer -> verified claims -> roles -> grants -> policy documents.
//!
//! A token that is not valid, names no role there is, was revoked, or carries claims that a role
//! does not fit, lets nobody in: there is no half of a grant.
//!
//! [`TokenAuthority::admit`] is the whole decision, with keys that are fetched and the list of
//! revoked tokens; [`TokenAuthority::decide`] is the part of it that needs neither.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::AuthorizerResponse;
use super::issuer::TrustedIssuer;
use super::revoked::{RevocationCheck, RevocationError};
use super::token::{Verified, key_id, unverified_issuer, verify};
use super::token_error::TokenError;
use crate::policy::draft::Draft;
use crate::policy::generate::{DocumentForm, GenerateError, generate};
use crate::policy::grant::{GrantError, Grants, MergeError};
use crate::policy::role::Role;
use crate::policy::role_claim::RoleClaimError;
use crate::policy::scope::Scope;

/// Everything that decides on a token.
#[derive(Clone, Debug)]
pub struct TokenAuthority {
    /// The issuers of tokens. Several differ in their `iss`.
    pub issuers: Vec<TrustedIssuer>,
    /// The list of revoked subjects and tokens.
    pub revoked: Option<Arc<RevocationCheck>>,
    /// The roles.
    pub roles: Vec<Role>,
    /// The first level of every topic, where there is one.
    pub environment: Option<String>,
    /// The Region and account in documents.
    pub scope: Scope,
    /// Time after which the authorizer is asked again.
    pub refresh: Duration,
}

/// A verified token, and the issuer whose keys verified it.
#[derive(Clone, Debug)]
pub struct BelievedToken<'a> {
    /// Its claims.
    pub verified: Verified,
    /// Its issuer.
    pub issuer: &'a TrustedIssuer,
}

/// A client that is let in, and its permissions.
#[derive(Clone)]
pub struct AdmittedClient {
    /// The token's claims, and the end of its validity.
    pub verified: Verified,
    /// The issuer's name in the configuration, where there are several.
    pub issuer: Option<Box<str>>,
    /// The roles' names; several where all that a token names count.
    pub roles: Vec<Box<str>>,
    /// Permissions of the client.
    pub grants: Grants,
    /// The same as policy documents.
    pub documents: Vec<Draft>,
    /// Notes on them for a person, a line each.
    pub notes: Vec<String>,
    refresh: Duration,
}

impl fmt::Debug for AdmittedClient {
    /// Grants name people's channels: they do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("verified", &self.verified)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// Reason why a token lets nobody in.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The token is not valid.
    #[error("the token is not believed: {0}")]
    Token(#[from] TokenError),
    /// The keys that could verify it are missing.
    #[error("the issuer's key set cannot be fetched: {0}")]
    KeySet(String),
    /// It was revoked, or nobody can say.
    #[error(transparent)]
    Revoked(#[from] RevocationError),
    /// It names no role.
    #[error(transparent)]
    Role(#[from] RoleClaimError),
    /// Its claims do not fit the role.
    #[error("the claims do not fit the role `{role}`: {}", joined(.errors))]
    Claims {
        /// The role.
        role: Box<str>,
        /// Each entry of it that the claims do not fit.
        errors: Vec<GrantError>,
    },
    /// Its roles make two principals of it.
    #[error("its roles bind it to two principals, `{0}` and `{1}`; a client has one")]
    Principals(String, String),
    /// IoT Core takes no such documents.
    #[error("the grants are too many: {0}")]
    Room(#[from] GenerateError),
}

impl Rejection {
    /// Returns `true` where the same token may be let in later: something that is asked did not
    /// answer.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::KeySet(_) | Self::Revoked(RevocationError::Unreadable(_))
        )
    }
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

impl TokenAuthority {
    /// Decides on a token. Fetches its issuer's key set where that is needed, and asks the list of
    /// revoked tokens. Cancel safe.
    ///
    /// # Errors
    /// [`Rejection`] says why nobody is let in with it.
    pub async fn admit(&self, token: &str) -> Result<AdmittedClient, Rejection> {
        let believed = self.believe(token).await?;
        let admission = self.grant(believed)?;
        self.check_revoked(&admission).await?;
        Ok(admission)
    }

    /// Decides on a token by the keys at hand; the list of revoked tokens is not asked.
    ///
    /// # Errors
    /// [`Rejection`] says why nobody is let in with it.
    pub fn decide(&self, token: &str) -> Result<AdmittedClient, Rejection> {
        let issuer = self.issuer(token)?;
        self.grant(Self::verified(issuer, token)?)
    }

    /// Reads a token and checks that it is its issuer's; keys are fetched where that is needed.
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Rejection::Token`] and [`Rejection::KeySet`].
    pub async fn believe(&self, token: &str) -> Result<BelievedToken<'_>, Rejection> {
        let issuer = self.issuer(token)?;
        let key = key_id(token);
        let prepared = issuer.keys.prepare(key.as_deref()).await;
        prepared.map_err(Rejection::KeySet)?;
        Self::verified(issuer, token)
    }

    /// Makes grants and documents for a verified token.
    ///
    /// # Errors
    /// [`Rejection`] when it names no role, or its claims do not fit one.
    pub fn grant(&self, believed: BelievedToken<'_>) -> Result<AdmittedClient, Rejection> {
        let BelievedToken { verified, issuer } = believed;
        let roles = issuer
            .role_claim
            .roles(&verified.claims, &self.roles, |role| &role.name)?;
        let claims = Value::Object(verified.claims.clone());
        let merged = Grants::of_roles(roles.iter().copied(), &claims, self.environment.as_deref());
        let merged = merged.map_err(|error| match error {
            MergeError::Claims { role, errors } => Rejection::Claims {
                role: role.name.clone(),
                errors: each_once(errors),
            },
            MergeError::Principals(one, other) => {
                Rejection::Principals(one.to_string(), other.to_string())
            }
        })?;
        // The claim never gives an empty list.
        let Some(grants) = merged else {
            let claim = issuer.role_claim.path.to_string();
            return Err(RoleClaimError::Absent(claim, "empty").into());
        };
        let generated = generate(&grants, &self.scope, DocumentForm::Authorizer, None)?;
        Ok(AdmittedClient {
            verified,
            issuer: issuer.name.clone(),
            roles: roles.iter().map(|role| role.name.clone()).collect(),
            grants,
            documents: generated.documents,
            notes: generated.notes,
            refresh: self.refresh,
        })
    }

    /// Looks up whether a token was revoked. Cancel safe.
    ///
    /// # Errors
    /// [`Rejection::Revoked`] when it was, or nobody can say.
    pub async fn check_revoked(&self, admission: &AdmittedClient) -> Result<(), Rejection> {
        let Some(revoked) = &self.revoked else {
            return Ok(());
        };
        let now = Timestamp::now().as_second();
        let principal = admission.grants.principal.as_str();
        revoked.check(&admission.verified, principal, now).await?;
        Ok(())
    }

    fn verified<'a>(
        issuer: &'a TrustedIssuer,
        token: &str,
    ) -> Result<BelievedToken<'a>, Rejection> {
        let verified = verify(token, &issuer.keys.current(), &issuer.expected)?;
        Ok(BelievedToken { verified, issuer })
    }

    /// The issuer whose keys count for a token: of several the one whose `iss` it names, before
    /// anything of it is verified.
    fn issuer(&self, token: &str) -> Result<&TrustedIssuer, TokenError> {
        if let [only] = self.issuers.as_slice() {
            return Ok(only);
        }
        let named = unverified_issuer(token)?;
        let is_named = |issuer: &&TrustedIssuer| issuer.expected.issuer.as_ref() == Some(&named);
        let issuer = self.issuers.iter().find(is_named);
        issuer.ok_or_else(|| TokenError::Issuer(Some(named.into())))
    }
}

impl AdmittedClient {
    /// The roles' names, with a comma between several.
    pub fn role(&self) -> Box<str> {
        self.roles.join(",").into()
    }

    /// Answer of a custom authorizer.
    pub fn answer(&self, now: Timestamp) -> AuthorizerResponse {
        AuthorizerResponse::admitted(
            self.grants.principal.as_str(),
            self.verified.expires,
            now,
            self.refresh,
            self.documents.clone(),
        )
    }
}
