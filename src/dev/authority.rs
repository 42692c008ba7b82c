//! Local certificate authority for TLS on one machine. Its certificate is created once and trusted
//! by clients. Each start signs a new certificate for the names of the machine. Keys are P-256,
//! which every client of IoT Core accepts.
//!
//! The module never touches files. A stored key is enough to restore an authority: its name and key
//! identifier stay the same. So a client that trusts the first certificate also trusts later
//! signatures.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::pem::pem;

/// Common name of the authority.
const NAME: &str = "eventcast dev";

/// Validity of the authority, and of the certificates that it signs: clients refuse server
/// certificates that are valid for longer than 825 days (Apple), or 398 (CA/Browser Forum).
const YEARS: i64 = 10;
const DAYS: i64 = 397;

/// Certificate authority with its private key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
}

/// Certificate and its key, both as PEM.
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// Private key, as PKCS #8.
    pub key: String,
}

/// Reason why there is no authority, or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The stored text is no key.
    #[error("it holds no private key as PEM")]
    Pem,
    /// The key cannot be used, or a name cannot be part of a certificate.
    #[error("{0}")]
    Unusable(#[from] rcgen::Error),
}

impl CertificateAuthority {
    /// Creates an authority; returns its certificate and key to be stored.
    ///
    /// # Errors
    /// [`AuthorityError`] when no key can be generated.
    pub fn make(now: Timestamp) -> Result<(Self, Signed), AuthorityError> {
        let key = KeyPair::generate()?;
        let text = pem("PRIVATE KEY", key.serialized_der());
        let parameters = parameters(now)?;
        let certificate = parameters.self_signed(&key)?;
        let made = Signed {
            certificate: pem("CERTIFICATE", certificate.der()),
            key: text,
        };
        let issuer = Issuer::new(parameters, key);
        Ok((Self { issuer, now }, made))
    }

    /// Restores an authority from its stored key.
    ///
    /// # Errors
    /// [`AuthorityError`] when the text is no key that can sign.
    pub fn of_key(key: &[u8], now: Timestamp) -> Result<Self, AuthorityError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| AuthorityError::Pem)?;
        let issuer = Issuer::new(parameters(now)?, KeyPair::try_from(&key)?);
        Ok(Self { issuer, now })
    }

    /// Signs a certificate for a server with these names and addresses.
    ///
    /// # Errors
    /// [`AuthorityError`] for a name that cannot be part of a certificate.
    pub fn sign(&self, names: Vec<String>) -> Result<Signed, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(names)?;
        let name = format!("{NAME} broker");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut parameters, self.now, DAYS);
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Signed {
            certificate: pem("CERTIFICATE", certificate.der()),
            key: pem("PRIVATE KEY", key.serialized_der()),
        })
    }
}

fn parameters(now: Timestamp) -> Result<CertificateParams, AuthorityError> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut parameters, now, YEARS * 365);
    Ok(parameters)
}

/// Sets the validity: it begins a day ago, since clocks differ.
fn valid(parameters: &mut CertificateParams, now: Timestamp, days: i64) {
    let day = |days: i64| {
        let at = now.saturating_add(SignedDuration::from_hours(24 * days));
        let date = at.unwrap_or(now).to_zoned(TimeZone::UTC).date();
        date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    (parameters.not_before, parameters.not_after) = (day(-1), day(days));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::ServerCertVerifier;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{Error, RootCertStore};

    use super::*;

    /// Verifies a server's certificate like a client that trusts the authority.
    fn believes(authority: &str, server: &str, name: &str, at: Timestamp) -> Result<(), Error> {
        let der = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(der(authority)).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let since = u64::try_from(at.as_second()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(since));
        let name = ServerName::try_from(name).unwrap();
        let verified =
            verifier
                .build()
                .unwrap()
                .verify_server_cert(&der(server), &[], &name, &[], at);
        verified.map(drop)
    }

    #[test]
    fn what_is_signed_later_is_trusted_by_who_trusts_the_first_certificate() {
        let now: Timestamp = "2026-02-28T23:59:59Z".parse().unwrap();
        let (authority, kept) = CertificateAuthority::make(now).unwrap();
        let names = || vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = authority.sign(names()).unwrap().certificate;
        let later = now + SignedDuration::from_hours(24 * 1_000);
        let again = CertificateAuthority::of_key(kept.key.as_bytes(), later).unwrap();
        let second = again.sign(names()).unwrap().certificate;
        for name in ["localhost", "127.0.0.1"] {
            believes(&kept.certificate, &first, name, now).unwrap();
            believes(&kept.certificate, &second, name, later).unwrap();
        }
        believes(&kept.certificate, &first, "example.com", now).unwrap_err();
        believes(&kept.certificate, &first, "localhost", later).unwrap_err();
        let (_, other) = CertificateAuthority::make(now).unwrap();
        believes(&other.certificate, &first, "localhost", now).unwrap_err();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused = |text: &str| {
            let made = CertificateAuthority::of_key(text.as_bytes(), Timestamp::UNIX_EPOCH);
            made.err().unwrap().to_string()
        };
        assert_eq!(refused("none"), "it holds no private key as PEM");
        let text = pem("PRIVATE KEY", b"none either");
        assert!(!refused(&text).is_empty());
    }
}
