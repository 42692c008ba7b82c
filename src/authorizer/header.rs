//! The header of a token that the library refuses, read for the reason alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::claim_set::ClaimSet;

/// The most bytes of a header that are looked at.
const HEADER_BYTES: usize = 8_192;

/// A header as JSON. Nothing in it is trusted: it is for messages.
pub(super) struct UncheckedHeader(ClaimSet);

/// Reads the header of a token, unless it is not an object.
pub(super) fn read(token: &str) -> Option<UncheckedHeader> {
    let (header, _) = token.split_once('.')?;
    if header.len() > HEADER_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(header).ok()?;
    serde_json::from_slice(&bytes).ok().map(UncheckedHeader)
}

impl UncheckedHeader {
    /// The algorithm, where one is named.
    pub(super) fn algorithm(&self) -> Option<String> {
        self.0.claims.get("alg")?.as_str().map(str::to_owned)
    }

    /// The type of the token, where one is named (RFC 7515, section 4.1.9): `JWT`, or `at+jwt` for
    /// an access token (RFC 9068, section 2.1).
    pub(super) fn kind(&self) -> Option<String> {
        self.0.claims.get("typ")?.as_str().map(str::to_owned)
    }

    /// The id of the key, where one is named.
    pub(super) fn key_id(&self) -> Option<String> {
        self.0.claims.get("kid")?.as_str().map(str::to_owned)
    }

    /// Returns `true` for a header that has `crit`, whatever its value: "null" and an empty list
    /// are no way to have nothing critical (RFC 7515, section 4.1.11, which asks for a list that is
    /// not empty).
    pub(super) fn is_critical(&self) -> bool {
        self.0.claims.contains_key("crit")
    }

    /// The member that is not of its type (RFC 7515, section 4.1), in words.
    pub(super) fn fault(&self) -> Option<String> {
        if let Some(name) = &self.0.repeated {
            return Some(format!("`{name}` occurs more than once"));
        }
        match self.0.claims.get("alg") {
            None => return Some("`alg` is missing".into()),
            Some(Value::String(_)) => {}
            Some(_) => return Some("`alg` is not text".into()),
        }
        let texts = ["kid", "typ", "cty", "jku", "x5u", "x5t"];
        let is_text = |name: &&str| self.0.claims.get(*name).is_none_or(Value::is_string);
        let odd = texts.iter().find(|name| !is_text(name))?;
        Some(format!("`{odd}` is not text"))
    }
}
