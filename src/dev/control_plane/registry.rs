//! The account's registry: policies with their versions, certificates, things, and the attachments
//! between them.
//!
//! In memory, and bounded. The API changes it ([`super`]); the broker looks up certificates in it
//! ([`super::certified`]). Each change names the principals that it concerns, so that the broker
//! authorizes their open connections again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::groups::ThingGroup;
use super::things::RegisteredThing;
use super::x509::ParsedCertificate;
use crate::dev::ACCOUNT;
use crate::dev::rest::refusal::RestError;
use crate::policy::document::Document;
use crate::policy::scope::Scope;

/// The most items of any kind: a bound on the memory that a client can make this process hold.
pub(super) const MOST: usize = 10_000;

/// The registry of one account and Region; clones are the same one.
#[derive(Clone, Debug)]
pub struct IotRegistry(Arc<Mutex<RegistryState>>);

#[derive(Debug)]
pub(super) struct RegistryState {
    /// Scope that ARNs begin with.
    scope: Scope,
    pub(super) policies: BTreeMap<String, RegisteredPolicy>,
    pub(super) certificates: BTreeMap<String, RegisteredCertificate>,
    pub(super) things: BTreeMap<String, RegisteredThing>,
    pub(super) groups: BTreeMap<String, ThingGroup>,
    /// The names of policies by the ARN that they are attached to.
    pub(super) attached: BTreeMap<String, BTreeSet<String>>,
    /// `true` if there ever was a policy. Until then no client needs one.
    pub(super) had_policy: bool,
    /// Number of things made so far: the order of lists.
    count: u64,
    concerned: AffectedPrincipals,
}

/// Principals whose permissions a change may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum AffectedPrincipals {
    #[default]
    Nobody,
    /// Certificates, by their ids.
    Certificates(BTreeSet<String>),
    Everybody,
}

/// A policy.
#[derive(Debug)]
pub(super) struct RegisteredPolicy {
    pub(super) number: u64,
    /// Oldest first.
    pub(super) versions: Vec<PolicyVersion>,
    pub(super) default: u32,
    /// Id of the next version.
    pub(super) next: u32,
    pub(super) created: SystemTime,
    pub(super) modified: SystemTime,
}

/// One version of a policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyVersion {
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) document: Document,
    pub(super) created: SystemTime,
}

impl RegisteredPolicy {
    /// The version in force; there is always one, since the default cannot be deleted.
    pub(super) fn in_force(&self) -> Option<&PolicyVersion> {
        self.version(self.default)
    }

    pub(super) fn version(&self, id: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.id == id)
    }
}

/// A registered certificate.
#[derive(Debug)]
pub(super) struct RegisteredCertificate {
    pub(super) number: u64,
    pub(super) read: ParsedCertificate,
    pub(super) status: CertificateStatus,
    /// `true` if this process made the certificate, with its key.
    pub(super) is_ours: bool,
    pub(super) created: SystemTime,
    pub(super) modified: SystemTime,
}

/// Status of a certificate, which decides whether its holder may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateStatus {
    Active,
    Inactive,
    Revoked,
}

impl CertificateStatus {
    /// All that can be set, as the API has them.
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("ACTIVE", Self::Active),
        ("INACTIVE", Self::Inactive),
        ("REVOKED", Self::Revoked),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, RestError> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, status)| status).ok_or_else(|| {
            RestError::invalid(format!(
                "the status is `{text}`; ACTIVE, INACTIVE and REVOKED can be set here"
            ))
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        let found = Self::NAMES.into_iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }
}

impl IotRegistry {
    /// An empty one, in a Region.
    pub fn new(region: &str) -> Self {
        // A Region of any name will do here.
        let scope = Scope::try_new(region, ACCOUNT).unwrap_or_else(|_| Scope {
            partition: "aws".into(),
            region: region.into(),
            account: ACCOUNT.into(),
        });
        Self(Arc::new(Mutex::new(RegistryState {
            scope,
            policies: BTreeMap::new(),
            certificates: BTreeMap::new(),
            things: BTreeMap::new(),
            groups: BTreeMap::new(),
            attached: BTreeMap::new(),
            had_policy: false,
            count: 0,
            concerned: AffectedPrincipals::Nobody,
        })))
    }

    /// Returns `true` if a certificate, as DER, may come in by TLS: it is registered, whatever its
    /// status and its signer.
    pub fn knows(&self, der: &[u8]) -> bool {
        self.state()
            .certificates
            .contains_key(&super::x509::id(der))
    }

    /// Its account and Region.
    pub fn scope(&self) -> Scope {
        self.state().scope.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the registry, and says whom it concerns.
    pub(super) fn act<T>(
        &self,
        act: impl FnOnce(&mut RegistryState) -> T,
    ) -> (T, AffectedPrincipals) {
        let mut state = self.state();
        let done = act(&mut state);
        (done, std::mem::take(&mut state.concerned))
    }
}

impl RegistryState {
    /// The ARN of a resource such as `policy/p`.
    pub(super) fn arn(&self, kind: &str, name: &str) -> String {
        self.scope.arn_of(&format!("{kind}/{name}"))
    }

    /// The number of something new.
    pub(super) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// A change concerns a certificate.
    pub(super) fn concerns(&mut self, id: &str) {
        match &mut self.concerned {
            AffectedPrincipals::Everybody => {}
            AffectedPrincipals::Certificates(ids) => {
                ids.insert(id.to_owned());
            }
            AffectedPrincipals::Nobody => {
                self.concerned = AffectedPrincipals::Certificates([id.to_owned()].into());
            }
        }
    }

    /// A change concerns all that have a certificate.
    pub(super) fn concerns_everybody(&mut self) {
        self.concerned = AffectedPrincipals::Everybody;
    }

    /// Records that a change concerns the principals behind the ARN of a target.
    pub(super) fn concerns_target(&mut self, target: &str) {
        match target.rsplit_once(":cert/") {
            Some((_, id)) => self.concerns(id),
            None => self.concerns_everybody(),
        }
    }

    /// Targets that a policy is attached to, in the order of ARNs.
    pub(super) fn targets<'s>(&'s self, policy: &'s str) -> impl Iterator<Item = &'s String> {
        let attached = self.attached.iter();
        attached
            .filter(move |(_, names)| names.contains(policy))
            .map(|(target, _)| target)
    }

    /// The names of the policies that are attached to an ARN.
    pub(super) fn attached_to(&self, arn: &str) -> impl Iterator<Item = &String> {
        self.attached.get(arn).into_iter().flatten()
    }

    /// Returns `true` if the ARN of a target names a certificate or a group of the registry.
    pub(super) fn has_target(&self, target: &str) -> bool {
        let of = |kind: &str| target.strip_prefix(&self.arn(kind, ""));
        let certificate = of("cert").map(|id| self.certificates.contains_key(id));
        let group = || of("thinggroup").map(|name| self.groups.contains_key(name));
        certificate.or_else(group).unwrap_or(false)
    }

    /// The id of a certificate's ARN, if it is registered.
    pub(super) fn certificate_of(&self, arn: &str) -> Option<&str> {
        let id = arn.strip_prefix(&self.arn("cert", ""))?;
        let (id, _) = self.certificates.get_key_value(id)?;
        Some(id)
    }
}

/// That there is room for one more.
pub(super) fn room(held: usize, what: &str) -> Result<(), RestError> {
    if held < MOST {
        return Ok(());
    }
    Err(RestError::beyond(format!(
        "there are {MOST} {what}, and no more are held here"
    )))
}
