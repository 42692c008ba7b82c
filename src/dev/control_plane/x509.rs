//! Facts read from a certificate: the id that IoT Core gives it, its validity, and the values that
//! policies may ask for.
//!
//! Names and values are those of the developer guide, "Using X.509 certificate policy variables"
//! (2026): thirteen attributes of subject and issuer, five kinds of alternative names, and the
//! serial number as a decimal. Values with characters that mean something in a distinguished name
//! have a backslash before them. TLS checks the certificate's signature; this module does not.

use std::net::IpAddr;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509Name};

use crate::dev::pem::pem;
use crate::policy::context::ClientCertificate;

/// Attributes of names by their object identifiers (ITU-T X.520), and AWS's names of them.
const ATTRIBUTES: [(&str, &str); 13] = [
    ("2.5.4.46", "DistinguishedNameQualifier"),
    ("2.5.4.6", "Country"),
    ("2.5.4.10", "Organization"),
    ("2.5.4.11", "OrganizationalUnit"),
    ("2.5.4.8", "State"),
    ("2.5.4.3", "CommonName"),
    ("2.5.4.5", "SerialNumber"),
    ("2.5.4.12", "Title"),
    ("2.5.4.4", "Surname"),
    ("2.5.4.42", "GivenName"),
    ("2.5.4.43", "Initials"),
    ("2.5.4.65", "Pseudonym"),
    ("2.5.4.44", "GenerationQualifier"),
];

/// Short names of attributes in a distinguished name on one line (RFC 4514, in lower case as AWS
/// has them).
const SHORT: [(&str, &str); 6] = [
    ("2.5.4.3", "cn"),
    ("2.5.4.11", "ou"),
    ("2.5.4.10", "o"),
    ("2.5.4.7", "l"),
    ("2.5.4.8", "st"),
    ("2.5.4.6", "c"),
];

/// Characters that are escaped with a backslash.
const SPECIAL: &str = ",\"\\+=<>;";

/// A certificate that was read.
#[derive(Clone, Debug)]
pub(super) struct ParsedCertificate {
    /// SHA-256 of its DER, in hexadecimal.
    pub(super) id: String,
    pub(super) pem: String,
    /// In seconds since 1970: not before, not after.
    pub(super) validity: (i64, i64),
    /// Values that policies may ask for.
    pub(super) facts: ClientCertificate,
}

/// The id that IoT Core gives a certificate.
pub(super) fn id(der: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a PEM text; the error is one line.
pub(super) fn read_pem(text: &str) -> Result<ParsedCertificate, String> {
    let der = CertificateDer::from_pem_slice(text.as_bytes());
    let der = der.map_err(|_| "the text is no PEM of a certificate".to_owned())?;
    read(&der)
}

/// Reads DER; the error is one line.
pub(super) fn read(der: &[u8]) -> Result<ParsedCertificate, String> {
    let parsed = X509Certificate::from_der(der);
    let (_, certificate) =
        parsed.map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let id = id(der);
    let mut facts = ClientCertificate::default();
    facts.id = Some(id.as_str().into());
    name("Subject", certificate.subject(), &mut facts);
    name("Issuer", certificate.issuer(), &mut facts);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                alternatives("Subject", &names.general_names, &mut facts);
            }
            ParsedExtension::IssuerAlternativeName(names) => {
                alternatives("Issuer", &names.general_names, &mut facts);
            }
            _ => {}
        }
    }
    facts.set("SerialNumber", [certificate.serial.to_string()]);
    let validity = certificate.validity();
    Ok(ParsedCertificate {
        id,
        pem: pem("CERTIFICATE", der),
        validity: (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        ),
        facts,
    })
}

/// The attributes of a name.
fn name(whose: &str, name: &X509Name<'_>, facts: &mut ClientCertificate) {
    for (oid, field) in ATTRIBUTES {
        let values = values(name, oid);
        facts.set(&format!("{whose}.{field}"), values);
    }
}

fn values(name: &X509Name<'_>, oid: &str) -> Vec<String> {
    let attributes = name.iter_attributes();
    let of_kind = attributes.filter(|attribute| attribute.attr_type().to_id_string() == oid);
    of_kind
        .filter_map(|attribute| attribute.as_str().ok())
        .map(escaped)
        .collect()
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if SPECIAL.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

fn alternatives(whose: &str, names: &[GeneralName<'_>], facts: &mut ClientCertificate) {
    for kind in [
        "RFC822Name",
        "DNSName",
        "DirectoryName",
        "UniformResourceIdentifier",
        "IPAddress",
    ] {
        let of_kind = names.iter().filter_map(alternative);
        let of_kind = of_kind.filter(|(known, _)| *known == kind);
        let field = format!("{whose}.AlternativeName.{kind}");
        facts.set(&field, of_kind.map(|(_, value)| value));
    }
}

/// Returns AWS's word for a kind of alternative names, and the name.
fn alternative(name: &GeneralName<'_>) -> Option<(&'static str, String)> {
    Some(match name {
        GeneralName::RFC822Name(text) => ("RFC822Name", escaped(text)),
        GeneralName::DNSName(text) => ("DNSName", escaped(text)),
        GeneralName::DirectoryName(name) => ("DirectoryName", one_line(name)),
        GeneralName::URI(text) => ("UniformResourceIdentifier", escaped(text)),
        GeneralName::IPAddress(bytes) => ("IPAddress", address(bytes)?),
        _ => return None,
    })
}

/// A distinguished name in one line, the last part first: `cn=lamp,ou=IoT,o=Example,c=US`.
fn one_line(name: &X509Name<'_>) -> String {
    let parts = name.iter_attributes().filter_map(|attribute| {
        let oid = attribute.attr_type().to_id_string();
        let (_, short) = SHORT.into_iter().find(|(known, _)| *known == oid)?;
        let value = attribute.as_str().ok()?;
        Some(format!("{short}={}", escaped(value)))
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn address(bytes: &[u8]) -> Option<String> {
    let address: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
        _ => return None,
    };
    Some(address.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType, SerialNumber};

    use super::*;
    use crate::policy::context::Context;
    use crate::policy::document::Document;
    use crate::policy::scope::Scope;
    use crate::policy::simulate::Simulation;

    /// The example of AWS's own page, as far as rcgen can make it.
    fn certificate() -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        let attribute = |oid: u64| DnType::CustomDnType(vec![2, 5, 4, oid]);
        let name = &mut parameters.distinguished_name;
        for (kind, value) in [
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "Amazon.com Inc. L=Seattle"),
            (DnType::OrganizationalUnitName, "LightBulb"),
            (DnType::StateOrProvinceName, "NY"),
            (DnType::CommonName, "LightBulb Device Cert"),
            (attribute(42), "Bulb"),
            (attribute(43), "ZZ"),
            (attribute(46), "Bulb001"),
            (attribute(4), "Multi Color"),
            (attribute(12), "RGB"),
            (attribute(65), "RGB Device"),
            (attribute(44), "4"),
            (attribute(5), "123"),
        ] {
            name.push(kind, value);
        }
        let text = |text: &str| Ia5String::try_from(text).unwrap();
        parameters.subject_alt_names = vec![
            SanType::DnsName(text("example.com")),
            SanType::IpAddress([1, 2, 3, 4].into()),
            SanType::URI(text("ResourceIdentifier001")),
            SanType::Rfc822Name(text("device1@example.com")),
        ];
        let serial = [0x92, 0x12, 0x85, 0xcb, 0xb7, 0xa5, 0xe0, 0x86];
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        // An issuer's alternative name: a directory name `C=US, O=Issue`.
        let directory = [
            0x30, 0x21, 0xa4, 0x1f, 0x30, 0x1d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04,
            0x06, 0x13, 0x02, b'U', b'S', 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x0a,
            0x0c, 0x05, b'I', b's', b's', b'u', b'e',
        ];
        let extension = CustomExtension::from_oid_content(&[2, 5, 29, 18], directory.to_vec());
        parameters.custom_extensions.push(extension);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        certificate.der().to_vec()
    }

    /// Checks a variable's value: the client id that a policy with the variable lets connect.
    #[track_caller]
    fn check(facts: &ClientCertificate, variable: &str, value: &str) {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iot:Connect",
                "Resource":"arn:aws:iot:us-east-1:123456789012:client/${{iot:Certificate.{variable}}}"}}}}"#
        );
        let documents = [Document::parse(&text).unwrap()];
        let mut context = Context::of_client(value);
        context.certificate = Some(facts.clone());
        let simulation = Simulation {
            documents: &documents,
            scope: &Scope::default(),
            context: &context,
        };
        let decision = simulation.connect();
        assert!(decision.is_allowed(), "{variable}: {decision:?}");
    }

    #[test]
    fn every_variable_is_filled_as_aws_fills_it() {
        let der = certificate();
        let read = read(&der).unwrap();
        for (variable, value) in [
            ("Subject.Country", "US"),
            ("Subject.Organization", r"Amazon.com Inc. L\=Seattle"),
            ("Subject.OrganizationalUnit", "LightBulb"),
            ("Subject.State", "NY"),
            ("Subject.CommonName", "LightBulb Device Cert"),
            ("Subject.GivenName", "Bulb"),
            ("Subject.Initials", "ZZ"),
            ("Subject.DistinguishedNameQualifier", "Bulb001"),
            ("Subject.Surname", "Multi Color"),
            ("Subject.Title", "RGB"),
            ("Subject.Pseudonym", "RGB Device"),
            ("Subject.GenerationQualifier", "4"),
            ("Subject.SerialNumber", "123"),
            ("Issuer.CommonName", "LightBulb Device Cert"),
            ("Subject.AlternativeName.DNSName", "example.com"),
            ("Subject.AlternativeName.IPAddress", "1.2.3.4"),
            (
                "Subject.AlternativeName.UniformResourceIdentifier",
                "ResourceIdentifier001",
            ),
            ("Subject.AlternativeName.RFC822Name", "device1@example.com"),
            ("Issuer.AlternativeName.DirectoryName", "o=Issue,c=US"),
            ("SerialNumber", "10525622389124227206"),
        ] {
            check(&read.facts, variable, value);
        }
        assert!(read.validity.0 < read.validity.1);
    }

    #[test]
    fn pem_and_der_are_the_same_certificate() {
        let der = certificate();
        let read = read(&der).unwrap();
        assert_eq!(read.id.len(), 64);
        assert_eq!(read_pem(&read.pem).unwrap().id, read.id);
        assert!(read.pem.lines().all(|line| line.len() <= 64));
        for text in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(read_pem(text).is_err(), "{text}");
        }
    }
}
