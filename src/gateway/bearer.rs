//! The client's token, as requests carry it (RFC 6750, section 2.1).
//!
//! The gateway proves no signature: the broker's authorizer does, at CONNECT. The claims that are
//! read here without proof decide only the client id and the time at which a token is refused. A
//! token other than the one that the broker accepted is shown to the broker.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::channel::limits::TOKEN_CHARACTERS;

/// A token as shown.
#[derive(Clone)]
pub struct Bearer {
    text: Arc<str>,
    claims: Option<Arc<Map<String, Value>>>,
}

/// Digest that identifies a token without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub(super) [u8; 16]);

impl TokenHash {
    /// The hash of no token at all.
    pub const NONE: Self = Self([0; 16]);
}

/// Reason why a request's token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BearerError {
    /// There is none.
    #[error("no token: send `Authorization: Bearer TOKEN`")]
    Missing,
    /// The header is something else.
    #[error("the Authorization header is not `Bearer TOKEN`")]
    Malformed,
    /// IoT Core hands no such token to an authorizer.
    #[error("the token has more than 6,144 characters, which IoT Core hands to no authorizer")]
    Long,
    /// An expired token.
    #[error("the token has expired: fetch a new one")]
    Expired,
}

impl Bearer {
    /// Reads the value of an Authorization header.
    ///
    /// # Errors
    /// [`BearerError`] for text that is no bearer token.
    pub fn parse(header: &[u8]) -> Result<Self, BearerError> {
        let header = std::str::from_utf8(header).map_err(|_| BearerError::Malformed)?;
        let (scheme, token) = header.split_once(' ').ok_or(BearerError::Malformed)?;
        let token = token.trim_matches(' ');
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !scheme.eq_ignore_ascii_case("bearer")
            || token.is_empty()
            || !token.bytes().all(is_token)
        {
            return Err(BearerError::Malformed);
        }
        Self::of(token)
    }

    /// A token by itself, as a ticket holds it.
    ///
    /// # Errors
    /// [`BearerError::Long`].
    pub fn of(token: &str) -> Result<Self, BearerError> {
        if token.len() > TOKEN_CHARACTERS {
            return Err(BearerError::Long);
        }
        Ok(Self {
            text: token.into(),
            claims: claims(token).map(Arc::new),
        })
    }

    /// The token. Never log it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The token's claims, unproved; `None` where it is no JWT.
    pub fn claims(&self) -> Option<&Map<String, Value>> {
        self.claims.as_deref()
    }

    /// Its digest.
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 16];
        let whole = digest(&SHA256, self.text.as_bytes());
        if let Some(part) = whole.as_ref().first_chunk::<16>() {
            hash = *part;
        }
        TokenHash(hash)
    }

    /// Returns `true` where its own claims say that it has expired, `now` in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires().is_some_and(|expires| expires <= now)
    }

    /// Moment when it expires by its own claims, in seconds since 1970.
    pub fn expires(&self) -> Option<u64> {
        let seconds = self.claims()?.get("exp")?.as_f64()?;
        // A NumericDate may have a fraction (RFC 7519, section 2); negative ones become zero, huge
        // ones the largest.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturating"
        )]
        Some(seconds as u64)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// The claims of a JWT in its compact form (RFC 7519, section 3).
fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let parse = |header: &str| Bearer::parse(header.as_bytes()).map(|it| it.text().to_owned());
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(parse(good).as_deref(), Ok("a.b.c"), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic a",
            "Bearer a b",
            "Bearer a\u{e9}",
            "Bearer a,b",
        ] {
            assert_eq!(parse(bad), Err(BearerError::Malformed), "{bad}");
        }
        let long = format!("Bearer {}", "a".repeat(TOKEN_CHARACTERS + 1));
        assert_eq!(parse(&long), Err(BearerError::Long));
    }

    #[test]
    fn claims_are_read_without_proof() {
        let token = |claims: &str| {
            let text = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims));
            Bearer::of(&text).unwrap()
        };
        let known = token(r#"{"sub":"a","exp":1000.5}"#);
        assert_eq!(known.claims().unwrap()["sub"], "a");
        assert!(!known.is_expired(999) && known.is_expired(1_000));
        for odd in [
            r#"{"exp":"soon"}"#,
            r#"{"exp":null}"#,
            "{}",
            r#"{"exp":1e300}"#,
        ] {
            assert!(!token(odd).is_expired(1_000), "{odd}");
        }
        assert!(token(r#"{"exp":-5}"#).is_expired(0));
        for none in ["a", "a.b", "a.!!.c", "e30.W10.x", "e30.e30.x.y"] {
            assert!(Bearer::of(none).unwrap().claims().is_none(), "{none}");
        }
        assert_ne!(known.hash(), token("{}").hash());
        assert_eq!(format!("{known:?}"), "Bearer(…)");
    }
}
