//! Tokens: JSON Web Tokens (RFC 7519) that carry who a client is.
//!
//! A token is believed when one of the keys signed it with that key's own algorithm, it has not expired and is valid already,
//! and it was made by and for whom the configuration names. What it grants is decided elsewhere. Tokens never reach a log or
//! a message: errors tell claims, and times, at most.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Header, Validation, dangerous, decode, decode_header, encode};
use serde_json::{Map, Value};

use super::key::{Key, Keys, Mint};

/// Whose tokens, and for whom, are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be, or name among others.
    pub audience: Option<String>,
    /// How far clocks may be apart.
    pub leeway: Duration,
}

/// What a believed token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// All its claims.
    pub claims: Map<String, Value>,
    /// Until when it is valid.
    pub expires: Timestamp,
    /// The algorithm of its signature.
    pub algorithm: &'static str,
    /// The id of the key that signed it, where that has one.
    pub key: Option<String>,
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

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token at all.
    #[error("not a token: three parts in base64url with dots between them are wanted")]
    Form,
    /// Its algorithm is none that is taken, or of no key: `none` among them.
    #[error("signed with an algorithm that is not taken; taken are RS256, ES256 and EdDSA")]
    Algorithm,
    /// Nobody who is believed could have signed it.
    #[error("no key is known for it: {0}")]
    Key(String),
    /// Somebody else signed it, or it was changed.
    #[error("the signature is not right: another key signed it, or it was changed")]
    Signature,
    /// It asks for something that has to be understood and is not.
    #[error("its header has `crit`, and nothing of that is understood")]
    Critical,
    /// It has expired.
    #[error("it expired at {0}")]
    Expired(Time),
    /// It is not valid yet.
    #[error("it is not valid before {0}")]
    Early(Time),
    /// A claim is missing that tokens must have.
    #[error("the claim `{0}` is missing")]
    Missing(String),
    /// A claim is not of its type.
    #[error("the claim `{0}` is not what it should be: {1}")]
    Type(String, &'static str),
    /// Somebody else made it.
    #[error("made by another issuer: {}", told(.0))]
    Issuer(Option<Value>),
    /// It was made for somebody else.
    #[error("made for another audience: {}", told(.0))]
    Audience(Option<Value>),
    /// Something else is wrong with it.
    #[error("{0}")]
    Other(String),
}

/// A time that a token names, or that it names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(Option<Timestamp>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => time.fmt(f),
            None => f.write_str("a time that is none"),
        }
    }
}

fn told(claim: &Option<Value>) -> String {
    claim
        .as_ref()
        .map_or_else(|| "it names none".into(), |claim| format!("`{claim}`"))
}

/// Reads a token and says whether it is believed. The clock is the system's.
///
/// # Errors
/// [`TokenError`] says why it is not.
pub fn verify(token: &str, keys: &Keys, expected: &Expected) -> Result<Verified, TokenError> {
    let token = token.trim();
    if token.split('.').count() != 3 {
        return Err(TokenError::Form);
    }
    let header = decode_header(token).map_err(|error| header_error(&error))?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let mut candidates = keys
        .candidates(header.alg, header.kid.as_deref())
        .peekable();
    if candidates.peek().is_none() {
        return Err(no_key(keys, &header));
    }
    let mut error = TokenError::Signature;
    for key in candidates {
        match verify_with(token, key, expected) {
            // Another key may be the right one.
            Err(TokenError::Signature) => {}
            Err(other) => error = other,
            Ok(verified) => return Ok(verified),
        }
    }
    Err(error)
}

fn no_key(keys: &Keys, header: &Header) -> TokenError {
    if keys.candidates(header.alg, None).next().is_none() {
        return TokenError::Algorithm;
    }
    TokenError::Key(match &header.kid {
        Some(id) => format!("its `kid` is `{id}`"),
        None => "it names none".into(),
    })
}

fn verify_with(token: &str, key: &Key, expected: &Expected) -> Result<Verified, TokenError> {
    let mut validation = Validation::new(key.algorithm);
    validation.leeway = expected.leeway.as_secs();
    validation.validate_nbf = true;
    let mut required = vec!["exp"];
    match &expected.issuer {
        Some(issuer) => {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        None => validation.iss = None,
    }
    match &expected.audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    validation.set_required_spec_claims(&required);
    let decoded = decode::<Map<String, Value>>(token, &key.key, &validation)
        .map_err(|error| token_error(&error, token))?;
    let claims = decoded.claims;
    let expires = time(&claims, "exp").0;
    Ok(Verified {
        expires: expires.ok_or_else(|| {
            TokenError::Type("exp".into(), "seconds since 1970 as a number are wanted")
        })?,
        claims,
        algorithm: name(key.algorithm),
        key: key.id.clone(),
    })
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "another",
    }
}

fn header_error(error: &Error) -> TokenError {
    match error.kind() {
        // The library knows no algorithm `none`, nor anything else that is not an algorithm.
        ErrorKind::Json(error) if error.to_string().contains("variant") => TokenError::Algorithm,
        _ => TokenError::Form,
    }
}

/// What is wrong, in our words; what it names is read from the token's claims.
fn token_error(error: &Error, token: &str) -> TokenError {
    let claims =
        || dangerous::insecure_decode_claims::<Map<String, Value>>(token).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        ErrorKind::ExpiredSignature => TokenError::Expired(time(&claims(), "exp")),
        ErrorKind::ImmatureSignature => TokenError::Early(time(&claims(), "nbf")),
        ErrorKind::InvalidIssuer => TokenError::Issuer(claims().remove("iss")),
        ErrorKind::InvalidAudience => TokenError::Audience(claims().remove("aud")),
        ErrorKind::MissingRequiredClaim(claim) => match claims().get(claim.as_str()) {
            None | Some(Value::Null) => TokenError::Missing(claim.clone()),
            Some(_) => TokenError::Type(claim.clone(), wanted(claim)),
        },
        ErrorKind::InvalidClaimFormat(claim) => TokenError::Type(claim.clone(), wanted(claim)),
        ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            TokenError::Other("its claims are no JSON object".into())
        }
        ErrorKind::Base64(_) | ErrorKind::InvalidToken => TokenError::Form,
        // None of them tells more than what kind of thing went wrong.
        other => TokenError::Other(format!("it cannot be checked: {other:?}")),
    }
}

fn wanted(claim: &str) -> &'static str {
    match claim {
        "exp" | "nbf" => "seconds since 1970 as a number are wanted",
        _ => "text is wanted",
    }
}

fn time(claims: &Map<String, Value>, name: &str) -> Time {
    let seconds = claims.get(name).and_then(Value::as_f64);
    // The cast saturates, and what is out of range is none.
    Time(seconds.and_then(|seconds| Timestamp::from_second(seconds as i64).ok()))
}

/// A token that was made, with all its claims. It has no `Debug`: it lets in whoever has it.
pub struct Minted {
    /// The token.
    pub token: String,
    /// What it says.
    pub claims: Map<String, Value>,
}

/// Makes a token of some claims, valid from `now` for `life`; `iat` and `exp` are set here.
///
/// # Errors
/// [`MintError`] when the time is out of range, or the key does not sign.
pub fn mint(
    mut claims: Map<String, Value>,
    mint: &Mint,
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

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// It would be valid beyond all time.
    #[error("it would be valid for too long")]
    Life,
    /// The key does not sign.
    #[error("the key does not sign: {0}")]
    Key(String),
}
