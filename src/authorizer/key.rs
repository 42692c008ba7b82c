//! Keys: those that verify tokens, and those that sign them.
//!
//! Public keys verify tokens: PEM files and key sets (RFC 7517), each key for one algorithm. A
//! shared secret is never among those of a file or a set. It is accepted where the configuration
//! names a variable that holds it, since anyone that can verify with it can mint with it as well.
//! The development key is a secret that everybody can read in this file: it is accepted only where
//! somebody asks for it by name.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};

use super::signature::{self, name};

/// The key that `eventcast dev` and `eventcast token mint --dev` share. It is no secret.
const DEVELOPMENT_KEY: &[u8] = b"eventcast development key: anybody can mint tokens with it";

/// Value of `kid` in tokens of the development key.
pub const DEVELOPMENT_KEY_ID: &str = "eventcast-development";

/// The fewest bytes of an RSA key's modulus that are taken: 2,048 bits (RFC 7518, section 3.3).
const RSA_BYTES: usize = 256;

/// The fewest bytes of a shared secret: as many as the hash has (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;

/// The most keys of a file or a set: each of them may be tried for one token.
const MAX_KEYS: usize = 100;

/// The keys that verify tokens.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<VerificationKey>);

/// One key.
#[derive(Clone, Debug)]
pub(super) struct VerificationKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// Reason why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The private half is nobody's business here.
    #[error("a private key; tokens are checked with the public one")]
    Private,
    /// The public half mints nothing.
    #[error("a public key; tokens are minted with the private one")]
    Public,
    /// Neither PEM nor a key set.
    #[error("neither a public key as PEM nor a key set as JSON")]
    Form,
    /// A key of another kind.
    #[error("no RSA, P-256 or Ed25519 key, which are those that are taken")]
    Kind,
    /// A key that is too short.
    #[error("an RSA key of fewer than 2048 bits, which are too few")]
    Short,
    /// A secret that could be guessed.
    #[error("a shared secret of {0} bytes; HS256 takes {SECRET_BYTES} and more")]
    Guessable(usize),
    /// More keys than any issuer has.
    #[error("more than {MAX_KEYS} keys")]
    Many,
    /// A key set without a key that can be used.
    #[error(
        "a key set without a usable key; taken are RSA for RS256, P-256 for ES256, and Ed25519, for signatures"
    )]
    Empty,
}

impl Keys {
    /// The development key alone.
    pub fn development() -> Self {
        signature::install();
        Self(vec![VerificationKey {
            id: Some(DEVELOPMENT_KEY_ID.into()),
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(DEVELOPMENT_KEY),
        }])
    }

    /// A secret that an issuer shares with the verifiers of its tokens (HS256).
    ///
    /// # Errors
    /// [`KeyError::Guessable`] for a secret that is shorter than the hash (RFC 7518, section 3.2).
    pub fn shared_secret(secret: &str) -> Result<Self, KeyError> {
        signature::install();
        if secret.len() < SECRET_BYTES {
            return Err(KeyError::Guessable(secret.len()));
        }
        Ok(Self(vec![VerificationKey {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret.as_bytes()),
        }]))
    }

    /// The public keys of a file: PEM, or a key set. Keys of a set that cannot be used are passed over, as long as there is one
    /// that can.
    ///
    /// # Errors
    /// [`KeyError`] says what it is instead.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        signature::install();
        if text.trim_start().starts_with('{') {
            let set: JwkSet = serde_json::from_str(text).map_err(|_| KeyError::Form)?;
            if set.keys.len() > MAX_KEYS {
                return Err(KeyError::Many);
            }
            let keys: Vec<VerificationKey> = set.keys.iter().filter_map(of_set).collect();
            return if keys.is_empty() {
                Err(KeyError::Empty)
            } else {
                Ok(Self(keys))
            };
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let mut keys = Vec::new();
        for (at, _) in text.match_indices("-----BEGIN ") {
            let block = text.get(at..).unwrap_or_default();
            if !block.starts_with("-----BEGIN PUBLIC KEY") && !block.starts_with("-----BEGIN RSA") {
                return Err(KeyError::Form);
            }
            keys.push(public(block.as_bytes())?);
            if keys.len() > MAX_KEYS {
                return Err(KeyError::Many);
            }
        }
        if keys.is_empty() {
            return Err(KeyError::Form);
        }
        Ok(Self(keys))
    }

    /// Returns `true` where a key has this id.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Leaves the keys of some algorithms (`RS256`, `ES256`, `EdDSA`); of none means of all.
    pub fn only(mut self, algorithms: &[String]) -> Self {
        let is_named =
            |key: &VerificationKey| algorithms.iter().any(|named| named == name(key.algorithm));
        self.0.retain(|key| algorithms.is_empty() || is_named(key));
        self
    }

    /// Believes the keys of others as well.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Returns `true` where there is no key, so that no token is valid.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The algorithms of the keys, in the keys' order.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|key| key.algorithm)
    }

    /// The keys that may have signed a token: those of its algorithm, and of its key id where both have one.
    pub(super) fn candidates<'k>(
        &'k self,
        algorithm: Algorithm,
        id: Option<&'k str>,
    ) -> impl Iterator<Item = &'k VerificationKey> {
        self.0.iter().filter(move |key| {
            let named = match (&key.id, id) {
                (Some(known), Some(id)) => known == id,
                _ => true,
            };
            key.algorithm == algorithm && named
        })
    }
}

/// Returns `true` where a PEM block is a key on another curve than P-256, of which no signature
/// would ever fit: secp256k1's points are as long as P-256's, and the library does not look at the
/// curve.
fn is_of_another_curve(pem: &[u8]) -> bool {
    /// id-ecPublicKey (RFC 5480, section 2.1.1), as DER.
    const EC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// secp256r1 (RFC 5480, section 2.1.1.1), as DER.
    const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    ::pem::parse(pem).is_ok_and(|block| {
        let has = |oid: &[u8]| memchr::memmem::find(block.contents(), oid).is_some();
        has(&EC_KEY) && !has(&P256)
    })
}

fn public(pem: &[u8]) -> Result<VerificationKey, KeyError> {
    if is_of_another_curve(pem) {
        return Err(KeyError::Kind);
    }
    let found = [
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
        (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
    ];
    let found = found
        .into_iter()
        .find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = found.ok_or(KeyError::Kind)?;
    checked(VerificationKey {
        id: None,
        algorithm,
        key,
    })
}

fn of_set(key: &Jwk) -> Option<VerificationKey> {
    let is_for_signatures = !matches!(
        key.common.public_key_use,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
    );
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let said = key.common.key_algorithm;
    let fits = said.is_none_or(|said| said == algorithm.into());
    let decoding = DecodingKey::from_jwk(key).ok()?;
    let key = VerificationKey {
        id: key.common.key_id.clone(),
        algorithm,
        key: decoding,
    };
    checked(key).ok().filter(|_| is_for_signatures && fits)
}

/// Refuses keys of which no signature would ever be right.
fn checked(key: VerificationKey) -> Result<VerificationKey, KeyError> {
    // P-256: a point, uncompressed. Ed25519: a point. RSA as DER holds more than its modulus.
    let right = match (key.algorithm, key.key.kind()) {
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == 65,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => point.len() == 32,
        (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) if der.len() < RSA_BYTES => {
            return Err(KeyError::Short);
        }
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, .. })
            if n.len() < RSA_BYTES =>
        {
            return Err(KeyError::Short);
        }
        _ => true,
    };
    right.then_some(key).ok_or(KeyError::Kind)
}

/// Key and header for making tokens.
#[derive(Clone, Debug)]
pub struct TokenSigner {
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
    pub(super) id: Option<String>,
}

impl TokenSigner {
    /// The development key.
    pub fn development() -> Self {
        signature::install();
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(DEVELOPMENT_KEY),
            id: Some(DEVELOPMENT_KEY_ID.into()),
        }
    }

    /// A private key as PEM (PKCS#8; RSA also PKCS#1). `id` is the value of `kid` in its tokens.
    ///
    /// # Errors
    /// [`KeyError`] says what it is instead.
    pub fn parse(text: &str, id: Option<String>) -> Result<Self, KeyError> {
        signature::install();
        if !text.contains("PRIVATE KEY-----") {
            let public = text.contains("PUBLIC KEY-----") || text.contains("CERTIFICATE-----");
            return Err(if public {
                KeyError::Public
            } else {
                KeyError::Form
            });
        }
        let pem = text.as_bytes();
        if is_of_another_curve(pem) {
            return Err(KeyError::Kind);
        }
        let found = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        ];
        let found = found
            .into_iter()
            .find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
        let (algorithm, key) = found.ok_or(KeyError::Kind)?;
        Ok(Self { algorithm, key, id })
    }
}
