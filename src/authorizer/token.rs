//! Tokens: JSON Web Tokens (RFC 7519) that carry the identity of a client.
//!
//! A token is valid when one of the keys signed it with that key's own algorithm, it has not
//! expired and is valid already, its issuer and audience are those of the configuration, and each
//! of its claims occurs once. Its grants are decided elsewhere. Tokens never reach a log or a
//! message: errors name claims and times at most.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Header, Validation, dangerous, decode, decode_header, encode};
use serde_json::{Map, Value};

use super::claim_set::ClaimSet;
use super::expected::{ExpectedClaims, wanted};
use super::header;
use super::key::{Keys, TokenSigner, VerificationKey};
use super::signature::name;
use super::token_error::{MAX_TOKEN_CHARACTERS, TokenError};

/// Contents of a verified token.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// All its claims.
    pub claims: Map<String, Value>,
    /// End of its validity.
    pub expires: Timestamp,
    /// The algorithm of its signature.
    pub algorithm: &'static str,
    /// The id of the key that signed it, where that has one.
    pub key: Option<String>,
    /// The type that its header names, such as `JWT` or `at+jwt`.
    pub kind: Option<String>,
}

impl Verified {
    /// The subject.
    pub fn subject(&self) -> Option<&str> {
        self.claims.get("sub")?.as_str()
    }

    /// Moment when it was made, in seconds since 1970.
    pub fn issued_at(&self) -> Option<i64> {
        let issued = self.claims.get("iat")?;
        // The cast saturates.
        issued
            .as_i64()
            .or_else(|| issued.as_f64().map(|seconds| seconds as i64))
    }
}

impl fmt::Debug for Verified {
    /// Claims say who somebody is: they do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("expires", &self.expires)
            .field("algorithm", &self.algorithm)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Reads a token and verifies it. The clock is the system's.
///
/// # Errors
/// [`TokenError`] gives the reason why it is not valid.
pub fn verify(token: &str, keys: &Keys, expected: &ExpectedClaims) -> Result<Verified, TokenError> {
    let token = token.trim();
    if token.len() > MAX_TOKEN_CHARACTERS {
        return Err(TokenError::Long(token.len()));
    }
    if token.split('.').count() != 3 {
        return Err(TokenError::Form);
    }
    // The library takes `null` for a member that is not there.
    let written = header::read(token).ok_or(TokenError::Form)?;
    if written.is_critical() {
        return Err(TokenError::Critical);
    }
    let header = decode_header(token).map_err(|_| header_error(token, keys))?;
    let mut candidates = keys
        .candidates(header.alg, header.kid.as_deref())
        .peekable();
    if candidates.peek().is_none() {
        return Err(no_key(token, keys, &header));
    }
    let mut error = TokenError::Signature;
    for key in candidates {
        match verify_with(token, key, expected) {
            // Another key may be the right one.
            Err(TokenError::Signature) => {}
            Err(other) => error = other,
            Ok(verified) => {
                return Ok(Verified {
                    kind: written.kind(),
                    ..verified
                });
            }
        }
    }
    Err(error)
}

/// The key id that a token's header names. Nothing of it is verified: it only selects the keys to
/// look for.
pub(super) fn key_id(token: &str) -> Option<String> {
    let token = token.trim();
    if token.len() > MAX_TOKEN_CHARACTERS {
        return None;
    }
    header::read(token)?.key_id()
}

/// The issuer that a token names. Nothing of it is verified: it only selects the keys and the `iss`
/// to check it by.
pub(super) fn unverified_issuer(token: &str) -> Result<String, TokenError> {
    let token = token.trim();
    if token.len() > MAX_TOKEN_CHARACTERS {
        return Err(TokenError::Long(token.len()));
    }
    let set = dangerous::insecure_decode_claims::<ClaimSet>(token).map_err(|_| TokenError::Form)?;
    if let Some(repeated) = set.repeated {
        return Err(TokenError::Repeated(repeated));
    }
    match set.claims.get("iss") {
        None | Some(Value::Null) => Err(TokenError::Missing("iss".into())),
        Some(Value::String(issuer)) => Ok(issuer.clone()),
        Some(_) => Err(TokenError::Type("iss".into(), wanted("iss"))),
    }
}

fn no_key(token: &str, keys: &Keys, header: &Header) -> TokenError {
    if keys.candidates(header.alg, None).next().is_none() {
        return algorithm_error(token, keys);
    }
    TokenError::Key(match &header.kid {
        Some(id) => format!("its `kid` is `{id}`"),
        None => "it names none".into(),
    })
}

fn algorithm_error(token: &str, keys: &Keys) -> TokenError {
    let mut names: Vec<_> = keys.algorithms().map(name).collect();
    names.sort_unstable();
    names.dedup();
    TokenError::Algorithm {
        token: header::read(token).and_then(|header| header.algorithm()),
        keys: names,
    }
}

fn header_error(token: &str, keys: &Keys) -> TokenError {
    match header::read(token) {
        None => TokenError::Form,
        Some(header) => match header.fault() {
            Some(fault) => TokenError::Header(fault),
            // The library knows neither `none` nor anything else that is not an algorithm.
            None => algorithm_error(token, keys),
        },
    }
}

fn verify_with(
    token: &str,
    key: &VerificationKey,
    expected: &ExpectedClaims,
) -> Result<Verified, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = expected.leeway.as_secs();
    validation.validate_nbf = true;
    // Checked below: the library takes lists of issuers, and knows no stand-in for an audience.
    validation.iss = None;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp"]);
    let decoded = decode::<ClaimSet>(token, &key.key, &validation)
        .map_err(|error| token_error(&error, token))?;
    let claims = match decoded.claims {
        ClaimSet {
            repeated: Some(claim),
            ..
        } => return Err(TokenError::Repeated(claim)),
        ClaimSet { claims, .. } => claims,
    };
    let expires = time(&claims, "exp")?;
    expected.check(&claims)?;
    Ok(Verified {
        expires,
        claims,
        algorithm: name(key.algorithm),
        key: key.id.clone(),
        kind: None,
    })
}

/// Converts the library's error into ours; the values that it names are read from the token's
/// claims.
fn token_error(error: &Error, token: &str) -> TokenError {
    let claims =
        || dangerous::insecure_decode_claims::<Map<String, Value>>(token).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => {
            time(&claims(), "exp").map_or_else(|error| error, TokenError::Expired)
        }
        ErrorKind::ImmatureSignature => {
            time(&claims(), "nbf").map_or_else(|error| error, TokenError::Early)
        }
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            unfit(claim, claims().remove(claim.as_str()))
        }
        ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            match dangerous::insecure_decode_claims::<ClaimSet>(token) {
                Ok(ClaimSet {
                    repeated: Some(claim),
                    ..
                }) => TokenError::Repeated(claim),
                Ok(ClaimSet { claims, .. })
                    if claims.get("sub").is_some_and(|sub| !sub.is_string()) =>
                {
                    TokenError::Type("sub".into(), wanted("sub"))
                }
                Ok(ClaimSet { mut claims, .. }) => {
                    let mut times = ["exp", "nbf"].into_iter();
                    let odd =
                        times.find(|name| claims.get(*name).is_some_and(|it| !it.is_number()));
                    match odd {
                        Some(name) => unfit(name, claims.remove(name)),
                        None => TokenError::Other("its claims are not a JSON object".into()),
                    }
                }
                Err(_) => TokenError::Other("its claims are not a JSON object".into()),
            }
        }
        ErrorKind::Base64(_) | ErrorKind::InvalidToken => TokenError::Form,
        // None of them says more than the kind of fault.
        other => TokenError::Other(format!("it cannot be checked: {other:?}")),
    }
}

/// A claim that the library misses, or cannot read.
fn unfit(claim: &str, found: Option<Value>) -> TokenError {
    match found {
        None | Some(Value::Null) => TokenError::Missing(claim.into()),
        Some(value) if matches!(claim, "exp" | "nbf") => TokenError::NoTime(claim.into(), value),
        Some(_) => TokenError::Type(claim.into(), wanted(claim)),
    }
}

/// Nanoseconds since 1970 that are still a date of the calendar: a later value is a date in no
/// unit.
const LATEST_IN_ANY_UNIT: f64 = 253_402_300_799e9;

/// The time that a claim names.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Timestamp, TokenError> {
    let value = claims.get(name).cloned().unwrap_or_default();
    let seconds = value.as_f64().unwrap_or(f64::NAN);
    // The cast saturates, and what is out of range is none.
    match Timestamp::from_second(seconds as i64) {
        Ok(time) if seconds >= 0.0 => Ok(time),
        Err(_) if (0.0..=LATEST_IN_ANY_UNIT).contains(&seconds) => {
            Err(TokenError::Late(name.into(), value))
        }
        _ => Err(TokenError::NoTime(name.into(), value)),
    }
}

/// A token that was made, with all its claims. It has no `Debug`: it lets any bearer in.
pub struct Minted {
    /// The token.
    pub token: String,
    /// Its claims.
    pub claims: Map<String, Value>,
}

/// Makes a token of some claims, valid from `now` for `life`; `iat` and `exp` are set here.
///
/// # Errors
/// [`MintError`] when the time is out of range, or the key does not sign.
pub fn mint(
    mut claims: Map<String, Value>,
    mint: &TokenSigner,
    now: Timestamp,
    life: Duration,
) -> Result<Minted, MintError> {
    let life = SignedDuration::try_from(life).map_err(|_| MintError::Life)?;
    let expires = now.checked_add(life).map_err(|_| MintError::Life)?;
    claims.insert("iat".into(), now.as_second().into());
    claims.insert("exp".into(), expires.as_second().into());
    let mut header = Header::new(mint.algorithm);
    header.kid.clone_from(&mint.id);
    let token = encode(&header, &claims, &mint.key);
    let token = token.map_err(|error| MintError::Key(error.to_string()))?;
    Ok(Minted { token, claims })
}

/// Reason why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// It would be valid beyond all time.
    #[error("it would be valid for too long")]
    Life,
    /// The key does not sign.
    #[error("the key does not sign: {0}")]
    Key(String),
}
