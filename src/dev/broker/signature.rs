//! Verification of the query of a WebSocket URL signed with Signature Version 4, as AWS IoT Core
//! requires it.
//!
//! Follows the general reference ("Signature Version 4: query parameters") with IoT Core's own
//! rules: the service is `iotdevicegateway`, the payload is empty, and the security token is added
//! after signing, so that it is not part of the signed text (developer guide, "Device communication
//! protocols", MQTT over WebSocket). Any Region in the URL is accepted. Pure: the caller passes the
//! time.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::generate_signing_key;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{digest, hmac};

/// Lookup of a secret access key by its key id.
pub(super) type SecretLookup<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// Signed parts of the request that opens a WebSocket.
#[derive(Clone, Copy)]
pub(super) struct SignedRequest<'a> {
    pub(super) path: &'a str,
    /// Text behind `?`, as sent.
    pub(super) query: &'a str,
    /// Header names in lower case, and values.
    pub(super) headers: &'a [(String, String)],
}

/// Reason why a signature is refused. Messages never contain the URL itself: anybody who has it may
/// connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    #[error("the query has no {0}")]
    Missing(&'static str),
    #[error("{0} in the query is not as Signature Version 4 has it")]
    Malformed(&'static str),
    #[error("the signature is for service `{0}`; `iotdevicegateway` is wanted")]
    Service(String),
    #[error("header `{0}` is said to be signed, and is not there")]
    Header(String),
    #[error("`host` must be among X-Amz-SignedHeaders")]
    Host,
    #[error("no key has the id `{0}`; --aws-key gives one")]
    UnknownKey(String),
    #[error("X-Amz-Date is more than 5 minutes ahead of this machine's clock")]
    Early,
    #[error(
        "the signature was good for {0} seconds and has expired; sign again for each connection"
    )]
    Expired(u64),
    #[error(
        "the signature does not match; sign the Host header as it is sent, and add X-Amz-Security-Token after signing"
    )]
    Mismatch,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "iotdevicegateway";
const SIGNATURE: &str = "X-Amz-Signature";
const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
const DATE: &str = "X-Amz-Date";
const CREDENTIAL: &str = "X-Amz-Credential";
const EXPIRES: &str = "X-Amz-Expires";
const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";

/// Maximum clock skew, and the lifetime of a signature without an expiry.
const SKEW: Duration = Duration::from_secs(300);

/// Maximum lifetime of a signature, in seconds.
const LONGEST: u64 = 86_400;

/// Characters that a canonical query does not escape (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Names and values of a query, decoded.
type QueryPairs = Vec<(String, String)>;

impl SignedRequest<'_> {
    /// Returns `true` where the query has a signature at all, valid or not.
    pub(super) fn is_there(query: &str) -> bool {
        let mut pairs = query.split('&');
        pairs.any(|pair| {
            pair.strip_prefix("X-Amz-").is_some_and(|rest| {
                rest != "Security-Token" && !rest.starts_with("Security-Token=")
            })
        })
    }

    /// Verifies the signature and returns the id of its key.
    pub(super) fn verify(
        &self,
        secret: SecretLookup<'_>,
        now: SystemTime,
    ) -> Result<String, SignatureError> {
        let pairs = self.pairs();
        if value(&pairs, "X-Amz-Algorithm")? != ALGORITHM {
            return Err(SignatureError::Malformed("X-Amz-Algorithm"));
        }
        let date = value(&pairs, DATE)?;
        let credential = value(&pairs, CREDENTIAL)?;
        let (id, scope) = credential
            .split_once('/')
            .ok_or(SignatureError::Malformed(CREDENTIAL))?;
        let parts: Vec<&str> = scope.split('/').collect();
        let [day, region, service, "aws4_request"] = *parts else {
            return Err(SignatureError::Malformed(CREDENTIAL));
        };
        if service != SERVICE {
            return Err(SignatureError::Service(service.to_owned()));
        }
        let signed_at = moment(date).ok_or(SignatureError::Malformed(DATE))?;
        if date.split('T').next() != Some(day) {
            return Err(SignatureError::Malformed(CREDENTIAL));
        }
        let secret = secret(id).ok_or_else(|| SignatureError::UnknownKey(id.to_owned()))?;
        let canonical = digest::digest(&digest::SHA256, self.canonical(&pairs)?.as_bytes());
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(canonical.as_ref()));
        let key = generate_signing_key(secret, signed_at, region, service);
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        let signature = bytes(value(&pairs, SIGNATURE)?);
        let signature = signature.ok_or(SignatureError::Malformed(SIGNATURE))?;
        // The comparison takes constant time.
        hmac::verify(&key, text.as_bytes(), &signature).map_err(|_| SignatureError::Mismatch)?;
        in_time(&pairs, signed_at, now)?;
        Ok(id.to_owned())
    }

    fn pairs(&self) -> QueryPairs {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect()
    }

    /// Builds the canonical request: without the signature itself, and without the token.
    fn canonical(&self, pairs: &QueryPairs) -> Result<String, SignatureError> {
        let encoded = |text| utf8_percent_encode(text, UNRESERVED).to_string();
        let signed = pairs
            .iter()
            .filter(|(name, _)| name != SIGNATURE && name != SECURITY_TOKEN);
        let mut query: Vec<(String, String)> = signed
            .map(|(name, value)| (encoded(name), encoded(value)))
            .collect();
        query.sort_unstable();
        let query: Vec<String> = query
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let names = value(pairs, SIGNED_HEADERS)?;
        if !names.split(';').any(|name| name == "host") {
            return Err(SignatureError::Host);
        }
        let mut headers = String::new();
        for name in names.split(';') {
            let sent = self.headers.iter().filter(|(known, _)| known == name);
            let values: Vec<&str> = sent.map(|(_, value)| value.trim()).collect();
            if values.is_empty() {
                return Err(SignatureError::Header(name.to_owned()));
            }
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let nothing = digest::digest(&digest::SHA256, b"");
        Ok(format!(
            "GET\n{}\n{}\n{headers}\n{names}\n{}",
            self.path,
            query.join("&"),
            hex(nothing.as_ref())
        ))
    }
}

fn value<'a>(pairs: &'a QueryPairs, name: &'static str) -> Result<&'a str, SignatureError> {
    let found = pairs.iter().find(|(known, _)| known == name);
    let (_, value) = found.ok_or(SignatureError::Missing(name))?;
    Ok(value)
}

/// Checks that a signature is already valid and not expired.
fn in_time(
    pairs: &QueryPairs,
    signed_at: SystemTime,
    now: SystemTime,
) -> Result<(), SignatureError> {
    let life = match value(pairs, EXPIRES) {
        Ok(text) => match text.parse() {
            Ok(seconds @ 1..=LONGEST) => Duration::from_secs(seconds),
            _ => return Err(SignatureError::Malformed(EXPIRES)),
        },
        Err(_) => SKEW,
    };
    match now.duration_since(signed_at) {
        Ok(age) if age > life => Err(SignatureError::Expired(life.as_secs())),
        Err(ahead) if ahead.duration() > SKEW => Err(SignatureError::Early),
        _ => Ok(()),
    }
}

/// Parses a time such as `20150830T123600Z`.
fn moment(text: &str) -> Option<SystemTime> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = TimeZone::UTC.to_timestamp(time).ok()?;
    // Only the shortest form of a time is accepted.
    (time.strftime("%Y%m%dT%H%M%SZ").to_string() == text).then(|| time.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes a signature from hexadecimal.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| {
        let digit = char::from(*digit).to_digit(16)?;
        u8::try_from(digit).ok()
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests;
