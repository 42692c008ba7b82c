//! Sealed texts: state that a client carries for the gateway, and can neither read nor change.
//!
//! AES-256-GCM (NIST SP 800-38D). Each process derives a key of its own from the secret and a
//! random salt (HKDF, RFC 5869) and counts nonces, so that any number of tasks may share a secret
//! without ever using a nonce twice. A text is Base64 for URLs of: a version, the salt, the nonce,
//! the sealed bytes and the tag. The purpose, and the session for a text that belongs to one, are
//! authenticated and not carried: a cursor never opens as a session, and never in another session.
//!
//! Two secrets may be in force during a rotation: the first seals, both open.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const EXPIRY_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + SALT_BYTES + NONCE_LEN;

/// The fewest bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// The longest text that is opened: a ticket with a token of 6,144 characters.
pub const MAX_SEALED_CHARACTERS: usize = 24 * 1_024;

/// The use of a sealed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// A session.
    Session = 1,
    /// A place in a session's messages.
    Cursor = 2,
    /// Leave to open one stream.
    Ticket = 3,
}

/// Reason why a text does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The text was not sealed here for this purpose, or was changed.
    #[error("it was not made by this gateway, or was changed")]
    Broken,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}

/// Reason why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The secret is no Base64.
    #[error("it is not Base64")]
    Encoding,
    /// The secret is too short.
    #[error("it has {0} bytes, and 32 or more are needed")]
    Short(usize),
    /// The system gives no random numbers.
    #[error("the system has no random numbers")]
    NoRandomness,
}

/// A secret that keys are derived from.
#[derive(Clone)]
pub struct SealingSecret(Vec<u8>);

impl SealingSecret {
    /// Reads Base64 of at least 32 bytes, such as `openssl rand -base64 32` prints.
    ///
    /// # Errors
    /// [`SecretError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let bytes = STANDARD
            .decode(text)
            .or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')))
            .map_err(|_| SecretError::Encoding)?;
        if bytes.len() < SECRET_BYTES {
            return Err(SecretError::Short(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// A secret that nobody else has, for a gateway with one task.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`] where the system has none.
    pub fn random() -> Result<Self, SecretError> {
        let mut bytes = vec![0; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| SecretError::NoRandomness)?;
        Ok(Self(bytes))
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let extracted = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let expanded = extracted.expand(&[b"eventcast gateway"], &AES_256_GCM);
        expanded
            .ok()
            .map(|key| LessSafeKey::new(UnboundKey::from(key)))
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The keys of one process.
pub struct SealingKeys {
    secrets: Vec<SealingSecret>,
    salt: [u8; SALT_BYTES],
    key: LessSafeKey,
    nonces: AtomicU64,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKeys")
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

impl SealingKeys {
    /// Seals with the first secret; texts of the previous one are opened too.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`] where the system has none.
    pub fn try_new(
        secret: SealingSecret,
        previous: Option<SealingSecret>,
    ) -> Result<Self, SecretError> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| SecretError::NoRandomness)?;
        let key = secret.key(&salt).ok_or(SecretError::NoRandomness)?;
        Ok(Self {
            secrets: std::iter::once(secret).chain(previous).collect(),
            salt,
            key,
            nonces: AtomicU64::new(0),
        })
    }

    /// Seals some bytes until a moment, in seconds since 1970. `context` names the session or
    /// address that they belong to.
    pub fn seal(&self, purpose: Purpose, context: &[u8], expires: u64, plain: &[u8]) -> String {
        let count = self.nonces.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; NONCE_LEN];
        if let Some(place) = nonce.last_chunk_mut::<8>() {
            *place = count.to_be_bytes();
        }
        let mut sealed = Vec::with_capacity(HEAD_BYTES + EXPIRY_BYTES + plain.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.salt);
        sealed.extend_from_slice(&nonce);
        let mut body = Vec::with_capacity(EXPIRY_BYTES + plain.len());
        body.extend_from_slice(&expires.to_be_bytes());
        body.extend_from_slice(plain);
        let aad = Aad::from(authenticated(purpose, context));
        let nonce = Nonce::assume_unique_for_key(nonce);
        // AES-GCM takes 64 GiB; bytes that are sealed here have passed the limit on bodies.
        let Ok(tag) = self.key.seal_in_place_separate_tag(nonce, aad, &mut body) else {
            return String::new();
        };
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens a text that was sealed for a purpose and a context.
    ///
    /// # Errors
    /// [`OpenError`] says that it was not, or that its time was over `now`, in seconds since 1970.
    pub fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        text: &str,
        now: u64,
    ) -> Result<Vec<u8>, OpenError> {
        let (plain, expires) = self
            .opened(purpose, context, text)
            .ok_or(OpenError::Broken)?;
        if expires <= now {
            return Err(OpenError::Expired);
        }
        Ok(plain)
    }

    fn opened(&self, purpose: Purpose, context: &[u8], text: &str) -> Option<(Vec<u8>, u64)> {
        if text.len() > MAX_SEALED_CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&[version], rest) = bytes.split_first_chunk::<1>()?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        if version != VERSION {
            return None;
        }
        let authenticated = authenticated(purpose, context);
        let try_open = |key: &LessSafeKey| {
            let mut body = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let aad = Aad::from(&authenticated);
            let plain = key.open_in_place(nonce, aad, &mut body).ok()?;
            let (expires, plain) = plain.split_first_chunk::<EXPIRY_BYTES>()?;
            Some((plain.to_vec(), u64::from_be_bytes(*expires)))
        };
        if *salt == self.salt {
            return try_open(&self.key);
        }
        let mut secrets = self.secrets.iter();
        secrets.find_map(|secret| try_open(&secret.key(salt)?))
    }
}

fn authenticated(purpose: Purpose, context: &[u8]) -> Vec<u8> {
    [&[purpose as u8], context].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(byte: u8) -> SealingSecret {
        SealingSecret(vec![byte; SECRET_BYTES])
    }

    fn keys(first: u8, previous: Option<u8>) -> SealingKeys {
        SealingKeys::try_new(secret(first), previous.map(secret)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_every_task_with_the_secret() {
        let (one, other) = (keys(1, None), keys(1, None));
        let text = one.seal(Purpose::Cursor, b"s", 100, b"plain");
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        );
        for task in [&one, &other] {
            let opened = task.open(Purpose::Cursor, b"s", &text, 99);
            assert_eq!(opened.as_deref(), Ok(&b"plain"[..]));
            let late = task.open(Purpose::Cursor, b"s", &text, 100);
            assert_eq!(late, Err(OpenError::Expired));
        }
    }

    #[test]
    fn purpose_and_session_are_bound() {
        let keys = keys(1, None);
        let text = keys.seal(Purpose::Cursor, b"s", 100, b"plain");
        for (purpose, context) in [
            (Purpose::Session, &b"s"[..]),
            (Purpose::Ticket, b"s"),
            (Purpose::Cursor, b""),
            (Purpose::Cursor, b"t"),
        ] {
            let opened = keys.open(purpose, context, &text, 1);
            assert_eq!(opened, Err(OpenError::Broken));
        }
    }

    #[test]
    fn secrets_rotate() {
        let old = keys(1, None).seal(Purpose::Session, b"", 100, b"old");
        let between = keys(2, Some(1));
        assert!(between.open(Purpose::Session, b"", &old, 1).is_ok());
        let new = between.seal(Purpose::Session, b"", 100, b"new");
        let after = keys(2, None);
        assert!(after.open(Purpose::Session, b"", &new, 1).is_ok());
        let closed = after.open(Purpose::Session, b"", &old, 1);
        assert_eq!(closed, Err(OpenError::Broken));
    }

    #[test]
    fn no_two_texts_are_alike() {
        let keys = keys(1, None);
        let text = |_| keys.seal(Purpose::Session, b"", 1, b"");
        let texts: std::collections::BTreeSet<String> = (0..1_000).map(text).collect();
        assert_eq!(texts.len(), 1_000);
    }

    #[test]
    fn secrets_are_32_bytes_of_base64() {
        let text = STANDARD.encode([7; 32]);
        for good in [text.as_str(), &format!("{text}\n"), &text.replace('=', "")] {
            assert!(SealingSecret::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "secret!", &STANDARD.encode([7; 31])] {
            assert!(SealingSecret::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(format!("{:?}", secret(1)), "Secret(…)");
    }

    proptest! {
        #[test]
        fn nothing_else_opens(text in "[A-Za-z0-9_-]{0,200}", at in 0_usize..80, bit in 0_u8..8) {
            let keys = keys(1, Some(2));
            prop_assert_eq!(keys.open(Purpose::Session, b"", &text, 1), Err(OpenError::Broken));
            let sealed = keys.seal(Purpose::Session, b"", 100, &[9; 40]);
            let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            bytes[at] ^= 1 << bit;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(keys.open(Purpose::Session, b"", &changed, 1), Err(OpenError::Broken));
        }
    }
}
