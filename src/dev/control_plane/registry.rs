//! What the account's registry holds: policies with their versions, certificates, things, and what is attached to what.
//!
//! In memory, and bounded. The API changes it ([`super`]), the broker asks it who a certificate is ([`super::certified`]). Who changes
//! it says whom the change concerns, so that the broker asks again for the connections that are open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::groups::Group;
use super::things::Thing;
use super::x509::Read;
use crate::dev::ACCOUNT;
use crate::dev::rest::refusal::Refusal;
use crate::policy::document::Document;
use crate::policy::scope::Scope;

/// The most of any kind: what a client can make this process hold.
pub(super) const MOST: usize = 10_000;

/// The registry of one account and Region; clones are the same one.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    /// What ARNs begin with.
    scope: Scope,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) certificates: BTreeMap<String, Certificate>,
    pub(super) things: BTreeMap<String, Thing>,
    pub(super) groups: BTreeMap<String, Group>,
    /// The names of policies by the ARN that they are attached to.
    pub(super) attached: BTreeMap<String, BTreeSet<String>>,
    /// Whether there ever was a policy: until then nobody asks for any.
    pub(super) had_policy: bool,
    /// How many things were made: the order of lists.
    count: u64,
    concerned: Concerned,
}

/// Whose permissions a change may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Concerned {
    #[default]
    Nobody,
    /// Certificates, by their ids.
    Certificates(BTreeSet<String>),
    Everybody,
}

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) number: u64,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
    pub(super) default: u32,
    /// What the next version is called.
    pub(super) next: u32,
    pub(super) created: SystemTime,
    pub(super) modified: SystemTime,
}

/// One version of a policy.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) document: Document,
    pub(super) created: SystemTime,
}

impl Policy {
    /// The version in force; there is always one, since the default cannot be deleted.
    pub(super) fn in_force(&self) -> Option<&Version> {
        self.version(self.default)
    }

    pub(super) fn version(&self, id: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }
}

/// A registered certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) number: u64,
    pub(super) read: Read,
    pub(super) status: Status,
    /// Whether this process made it, with its key.
    pub(super) is_ours: bool,
    pub(super) created: SystemTime,
    pub(super) modified: SystemTime,
}

/// Whether a certificate lets its holder in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Inactive,
    Revoked,
}

impl Status {
    /// All that can be set, as the API has them.
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("ACTIVE", Self::Active),
        ("INACTIVE", Self::Inactive),
        ("REVOKED", Self::Revoked),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, status)| status).ok_or_else(|| {
            Refusal::invalid(format!(
                "the status is `{text}`; ACTIVE, INACTIVE and REVOKED can be set here"
            ))
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        let found = Self::NAMES.into_iter().find(|(_, known)| *known == self);
        found.map_or("", |(name, _)| name)
    }
}

impl Registry {
    /// An empty one, in a Region.
    pub fn new(region: &str) -> Self {
        // A Region of any name will do here.
        let scope = Scope::try_new(region, ACCOUNT).unwrap_or_else(|_| Scope {
            partition: "aws".into(),
            region: region.into(),
            account: ACCOUNT.into(),
        });
        Self(Arc::new(Mutex::new(State {
            scope,
            policies: BTreeMap::new(),
            certificates: BTreeMap::new(),
            things: BTreeMap::new(),
            groups: BTreeMap::new(),
            attached: BTreeMap::new(),
            had_policy: false,
            count: 0,
            concerned: Concerned::Nobody,
        })))
    }

    /// Whether a certificate, as DER, may come in by TLS: it is registered, whatever its status and whoever signed it.
    pub fn knows(&self, der: &[u8]) -> bool {
        self.state()
            .certificates
            .contains_key(&super::x509::id(der))
    }

    /// Its account and Region.
    pub fn scope(&self) -> Scope {
        self.state().scope.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the registry, and says whom it concerns.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> (T, Concerned) {
        let mut state = self.state();
        let done = act(&mut state);
        (done, std::mem::take(&mut state.concerned))
    }
}

impl State {
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
            Concerned::Everybody => {}
            Concerned::Certificates(ids) => {
                ids.insert(id.to_owned());
            }
            Concerned::Nobody => {
                self.concerned = Concerned::Certificates([id.to_owned()].into());
            }
        }
    }

    /// A change concerns all that have a certificate.
    pub(super) fn concerns_everybody(&mut self) {
        self.concerned = Concerned::Everybody;
    }

    /// A change concerns whoever stands behind the ARN of a target.
    pub(super) fn concerns_target(&mut self, target: &str) {
        match target.rsplit_once(":cert/") {
            Some((_, id)) => self.concerns(id),
            None => self.concerns_everybody(),
        }
    }

    /// What a policy is attached to, in the order of ARNs.
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

    /// Whether something stands behind the ARN of a target.
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
pub(super) fn room(held: usize, what: &str) -> Result<(), Refusal> {
    if held < MOST {
        return Ok(());
    }
    Err(Refusal::beyond(format!(
        "there are {MOST} {what}, and no more are held here"
    )))
}
