//! The claims that a valid token must have: its issuer, its audience, and what the configuration
//! asks for.

use std::time::Duration;

use serde_json::{Map, Value};

use super::token_error::TokenError;
use crate::policy::claim_path::ClaimPath;

/// Issuer, audience and other claims of a valid token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedClaims {
    /// The value of `iss`.
    pub issuer: Option<String>,
    /// Values of `aud` of which one must be there; of `client_id` where a token has no `aud`, as
    /// the access tokens of Amazon Cognito (developer guide, "Understanding the access token"). API
    /// Gateway's JWT authorizers have the same rule. Empty where it is not looked at.
    pub audiences: Vec<String>,
    /// Claims that must be there, with the texts that each may be, or have among others.
    pub required: Vec<(ClaimPath, Vec<String>)>,
    /// Difference of clocks, at most.
    pub leeway: Duration,
}

impl ExpectedClaims {
    /// Sets the claims that a token needs to be taken: issuer and audience in any case, others
    /// where they are missing.
    pub fn fill(&self, claims: &mut Map<String, Value>) {
        let named = [
            ("iss", self.issuer.as_ref()),
            ("aud", self.audiences.first()),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value.as_str().into());
            }
        }
        for (path, accepted) in &self.required {
            if let (None, Some(value)) = (path.find(claims), accepted.first()) {
                path.set(claims, value.as_str().into());
            }
        }
    }

    /// Checks the claims of a token whose signature is right.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        self.check_required(claims)
    }

    /// Checks `iss`, which is one text (RFC 7519, section 4.1.1).
    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        let Some(issuer) = &self.issuer else {
            return Ok(());
        };
        match claims.get("iss") {
            None | Some(Value::Null) => Err(TokenError::Missing("iss".into())),
            Some(Value::String(found)) if found == issuer => Ok(()),
            Some(other @ Value::String(_)) => Err(TokenError::Issuer(Some(other.clone()))),
            Some(_) => Err(TokenError::Type("iss".into(), wanted("iss"))),
        }
    }

    /// Checks `aud`, which is one text or a list of texts (RFC 7519, section 4.1.3), or `client_id`
    /// where there is none.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let is_expected = |value: &Value| {
            let text = value.as_str();
            text.is_some_and(|text| self.audiences.iter().any(|audience| audience == text))
        };
        match (claims.get("aud"), claims.get("client_id")) {
            (Some(one @ Value::String(_)), _) if is_expected(one) => Ok(()),
            (Some(Value::Array(all)), _) if all.iter().all(Value::is_string) => {
                match all.iter().any(is_expected) {
                    true => Ok(()),
                    false => Err(TokenError::Audience(claims.get("aud").cloned())),
                }
            }
            (Some(other @ Value::String(_)), _) => Err(TokenError::Audience(Some(other.clone()))),
            (Some(_), _) => Err(TokenError::Type("aud".into(), wanted("aud"))),
            (None, Some(client)) if is_expected(client) => Ok(()),
            (None, Some(client)) => Err(TokenError::Client(Some(client.clone()))),
            (None, None) => Err(TokenError::Missing("aud".into())),
        }
    }

    fn check_required(&self, claims: &Map<String, Value>) -> Result<(), TokenError> {
        for (path, accepted) in &self.required {
            let Some(found) = path.find(claims).filter(|found| !found.is_null()) else {
                return Err(TokenError::Missing(path.to_string()));
            };
            let fits = |value: &Value| match value {
                Value::String(text) => accepted.contains(text),
                Value::Bool(_) | Value::Number(_) => accepted.contains(&value.to_string()),
                _ => false,
            };
            let fits = match found {
                Value::Array(all) => all.iter().any(fits),
                one => fits(one),
            };
            if !fits {
                return Err(TokenError::Required(path.to_string(), found.clone()));
            }
        }
        Ok(())
    }
}

/// The type of a registered claim, in words.
pub(super) fn wanted(claim: &str) -> &'static str {
    match claim {
        "aud" => "text or a list of texts is wanted",
        _ => "text is wanted",
    }
}
