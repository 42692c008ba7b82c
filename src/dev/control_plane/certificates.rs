//! Certificates of clients: registered as they are, or made here with a key (IoT API reference, RegisterCertificateWithoutCA and its
//! neighbours).
//!
//! A certificate is known by its id, whichever authority signed it, as in IoT Core. Never here:
//! certificate authorities of the account (RegisterCertificate), certificates for requests that a
//! client signed, transfers to other accounts.

use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::{ApiRequest, seconds};
use super::policies::PAGES;
use super::registry::{CertificateStatus, RegisteredCertificate, RegistryState, room};
use super::x509::{ParsedCertificate, read, read_pem};
use crate::dev::ACCOUNT;
use crate::dev::pem::pem;
use crate::dev::rest::RestAnswer;
use crate::dev::rest::refusal::RestError;

/// The name that IoT Core gives to the certificates that it makes.
const NAME: &str = "AWS IoT Certificate";

fn absent(id: &str) -> RestError {
    RestError::absent(format!("there is no certificate `{id}`"))
}

/// The certificate that a call names.
fn found<'s>(
    state: &'s mut RegistryState,
    asked: &ApiRequest,
) -> Result<&'s mut RegisteredCertificate, RestError> {
    let id = asked.named("certificateId");
    let certificate = state.certificates.get_mut(id);
    certificate.ok_or_else(|| absent(id))
}

/// Holds a certificate from now on; its ARN.
fn hold(
    state: &mut RegistryState,
    read: ParsedCertificate,
    status: CertificateStatus,
    is_ours: bool,
) -> Result<String, RestError> {
    let arn = state.arn("cert", &read.id);
    if state.certificates.contains_key(&read.id) {
        let why = "the certificate is registered already";
        return Err(RestError::exists(why, &read.id, arn));
    }
    room(state.certificates.len(), "certificates")?;
    let (id, now) = (read.id.clone(), SystemTime::now());
    let certificate = RegisteredCertificate {
        number: state.number(),
        read,
        status,
        is_ours,
        created: now,
        modified: now,
    };
    state.concerns(&id);
    state.certificates.insert(id, certificate);
    Ok(arn)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterCertificateInput {
    certificate_pem: String,
    status: Option<String>,
}

pub(super) fn register(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let asked: RegisterCertificateInput = asked.body()?;
    let status = asked
        .status
        .as_deref()
        .map(CertificateStatus::parse)
        .transpose()?;
    let read = read_pem(&asked.certificate_pem).map_err(RestError::bad_certificate)?;
    let id = read.id.clone();
    let arn = hold(
        state,
        read,
        status.unwrap_or(CertificateStatus::Inactive),
        false,
    )?;
    Ok(Some(json!({ "certificateArn": arn, "certificateId": id })))
}

/// Makes a key and a certificate that it signs itself: P-256, where IoT Core makes RSA keys of 2,048 bits.
pub(super) fn create(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let is_active = asked.flag("setAsActive")?;
    let failed = |error: rcgen::Error| RestError::unavailable(error.to_string());
    let key = KeyPair::generate().map_err(failed)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    let read = read(certificate.der()).map_err(RestError::unavailable)?;
    let (id, text) = (read.id.clone(), read.pem.clone());
    let status = if is_active {
        CertificateStatus::Active
    } else {
        CertificateStatus::Inactive
    };
    let arn = hold(state, read, status, true)?;
    Ok(Some(json!({
        "certificateArn": arn,
        "certificateId": id,
        "certificatePem": text,
        "keyPair": {
            "PublicKey": pem("PUBLIC KEY", &rcgen::PublicKeyData::subject_public_key_info(&key)),
            "PrivateKey": pem("PRIVATE KEY", key.serialized_der()),
        },
    })))
}

pub(super) fn one(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let id = asked.named("certificateId");
    let arn = state.arn("cert", id);
    let certificate = found(state, asked)?;
    let (not_before, not_after) = certificate.read.validity;
    Ok(Some(json!({
        "certificateDescription": {
            "certificateArn": arn,
            "certificateId": id,
            "status": certificate.status.as_str(),
            "certificatePem": certificate.read.pem,
            "ownedBy": ACCOUNT,
            "creationDate": seconds(certificate.created),
            "lastModifiedDate": seconds(certificate.modified),
            "customerVersion": 1,
            "validity": { "notBefore": not_before, "notAfter": not_after },
            "certificateMode": mode(certificate),
        },
    })))
}

/// Mode of a certificate, as IoT Core has it: with `SNI_ONLY`, a client must name the host by SNI
/// there. It is not asked for here.
fn mode(certificate: &RegisteredCertificate) -> &'static str {
    if certificate.is_ours {
        "DEFAULT"
    } else {
        "SNI_ONLY"
    }
}

pub(super) fn list(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let all: Vec<&RegisteredCertificate> = state.certificates.values().collect();
    let (page, next) = asked.page(all, PAGES, |certificate| certificate.number)?;
    let told = |certificate: &&RegisteredCertificate| {
        let id = &certificate.read.id;
        json!({
            "certificateArn": state.arn("cert", id),
            "certificateId": id,
            "status": certificate.status.as_str(),
            "certificateMode": mode(certificate),
            "creationDate": seconds(certificate.created),
        })
    };
    let certificates: Vec<Value> = page.iter().map(told).collect();
    Ok(Some(
        json!({ "certificates": certificates, "nextMarker": next }),
    ))
}

pub(super) fn update(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let status = asked.of_query("newStatus").unwrap_or_default();
    let status = CertificateStatus::parse(status)?;
    let certificate = found(state, asked)?;
    certificate.status = status;
    certificate.modified = SystemTime::now();
    state.concerns(asked.named("certificateId"));
    Ok(None)
}

pub(super) fn delete(state: &mut RegistryState, asked: &ApiRequest) -> RestAnswer {
    let id = asked.named("certificateId");
    let arn = state.arn("cert", id);
    let by_force = asked.flag("forceDelete")?;
    if found(state, asked)?.status == CertificateStatus::Active {
        return Err(RestError::certificate_state(format!(
            "certificate `{id}` is ACTIVE; make it INACTIVE or REVOKED first"
        )));
    }
    if state.things_of(&arn).next().is_some() {
        return Err(RestError::in_use(format!(
            "certificate `{id}` is attached to a thing; detach it first"
        )));
    }
    if !by_force && state.attached_to(&arn).next().is_some() {
        return Err(RestError::in_use(format!(
            "policies are attached to certificate `{id}`; detach them first"
        )));
    }
    state.attached.remove(&arn);
    state.certificates.remove(id);
    state.concerns(id);
    Ok(None)
}
