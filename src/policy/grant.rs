//! From a role and a token's claims to grants: the principal, and the topics that it may subscribe
//! and publish to.
//!
//! Grants are concrete: no variable is left in them, and a wildcard only where the role writes one.
//! An entry that the claims cannot fill rightly is refused, and all such entries together; nothing
//! is left out silently.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claims::{ClaimError, check_literal, texts};
use super::principal::{PrincipalError, PrincipalName};
use super::role::{EntryForm, Role, RoleEntry};
use crate::channel::ChannelKind;
use crate::channel::filter::{Filter, FilterError};
use crate::channel::template::ChannelTemplate;
use crate::channel::topic::{Topic, TopicError};

/// Permissions of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// The principal whose client ids it may connect with.
    pub principal: PrincipalName,
    /// Topics that it may subscribe to, and receive.
    pub subscriptions: BTreeSet<Reach>,
    /// Topics that it may publish to.
    pub publications: BTreeSet<Reach>,
    /// Those of the publications that may be retained.
    pub retained: BTreeSet<Reach>,
}

/// Reason why several roles give one client nothing.
#[derive(Debug)]
pub enum MergeError<'r> {
    /// The claims do not fit a role.
    Claims {
        /// The role.
        role: &'r Role,
        /// Each entry of it that they do not fit.
        errors: Vec<GrantError>,
    },
    /// Two roles bind the client to two principals.
    Principals(PrincipalName, PrincipalName),
}

impl Grants {
    /// Returns the filters that it may subscribe to, or their beginnings and a `*`.
    pub fn filter_globs(&self) -> Vec<String> {
        self.subscriptions.iter().map(Reach::filter_glob).collect()
    }

    /// Returns the topics that it may publish to, in the same form.
    pub fn topic_globs(&self) -> Vec<String> {
        self.publications.iter().map(Reach::topic_glob).collect()
    }

    /// Returns the grants of a role to the bearer of some claims. Topics get `environment` as their
    /// first level where one is given.
    ///
    /// # Errors
    /// One [`GrantError`] for each entry of the role that the claims do not fit.
    pub fn of(
        role: &Role,
        claims: &Value,
        environment: Option<&str>,
    ) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let principal = principal(role, claims)
            .map_err(|problem| errors.push(problem.of(&role.bind)))
            .ok();
        let reached = Reached {
            claims,
            environment,
        };
        let subscriptions = reached.by(&role.subscribe, &mut errors);
        let publications = reached.by(&role.publish, &mut errors);
        match principal {
            Some(principal) if errors.is_empty() => Ok(Self {
                principal,
                subscriptions,
                retained: retained(&publications, role.retain),
                publications,
            }),
            _ => Err(errors),
        }
    }

    /// Grants of several roles of one client for the bearer of some claims; `None` of no roles.
    ///
    /// # Errors
    /// [`MergeError`] for the first role that does not fit.
    pub fn of_roles<'r>(
        roles: impl IntoIterator<Item = &'r Role>,
        claims: &Value,
        environment: Option<&str>,
    ) -> Result<Option<Self>, MergeError<'r>> {
        let mut merged: Option<Self> = None;
        for role in roles {
            let grants = Self::of(role, claims, environment)
                .map_err(|errors| MergeError::Claims { role, errors })?;
            match &mut merged {
                None => merged = Some(grants),
                Some(all) => {
                    if let Err(other) = all.merge(grants) {
                        return Err(MergeError::Principals(all.principal.clone(), other));
                    }
                }
            }
        }
        Ok(merged)
    }

    /// Adds what another role of the same client grants; each role's entries keep their own
    /// meaning.
    ///
    /// # Errors
    /// The other's principal, where it is another one: a client has one.
    pub fn merge(&mut self, other: Self) -> Result<(), PrincipalName> {
        if self.principal.as_str() != other.principal.as_str() {
            return Err(other.principal);
        }
        if self.principal.is_exact() {
            self.principal = other.principal;
        }
        self.subscriptions.extend(other.subscriptions);
        self.publications.extend(other.publications);
        self.retained.extend(other.retained);
        Ok(())
    }

    /// The number of channels, topics and filters that it may receive or publish to.
    pub fn channels(&self) -> usize {
        self.subscriptions.union(&self.publications).count()
    }

    /// Grants as somebody spells them out, without a role: entries that name no claims.
    ///
    /// # Errors
    /// One [`GrantError`] for each entry that no topic can be made of.
    pub fn explicit(
        principal: PrincipalName,
        subscribe: &[RoleEntry],
        publish: &[RoleEntry],
        retain: bool,
        environment: Option<&str>,
    ) -> Result<Self, Vec<GrantError>> {
        let mut errors = Vec::new();
        let reached = Reached {
            claims: &Value::Null,
            environment,
        };
        let subscriptions = reached.by(subscribe, &mut errors);
        let publications = reached.by(publish, &mut errors);
        let grants = Self {
            principal,
            subscriptions,
            retained: retained(&publications, retain),
            publications,
        };
        if errors.is_empty() {
            Ok(grants)
        } else {
            Err(errors)
        }
    }
}

fn retained(publications: &BTreeSet<Reach>, retain: bool) -> BTreeSet<Reach> {
    match retain {
        true => publications.clone(),
        false => BTreeSet::new(),
    }
}

/// Reader of a role's entries for one client.
struct Reached<'c> {
    claims: &'c Value,
    environment: Option<&'c str>,
}

impl Reached<'_> {
    fn by(&self, entries: &[RoleEntry], errors: &mut Vec<GrantError>) -> BTreeSet<Reach> {
        let mut reached = BTreeSet::new();
        for entry in entries {
            match self.by_one(entry) {
                Ok(reaches) => reached.extend(reaches),
                Err(problem) => errors.push(problem.of(entry)),
            }
        }
        reached
    }

    fn by_one(&self, entry: &RoleEntry) -> Result<Vec<Reach>, Problem> {
        match &entry.form {
            EntryForm::Channel(kind, template) => {
                let ids = ids(kind, template, self.claims)?.into_iter();
                let topic =
                    |id: String| Ok(Reach::Topic(self.topic(&format!("{}/{id}", kind.name()))?));
                ids.map(topic).collect()
            }
            EntryForm::EveryChannel(kind) => {
                let topics = self.topic(&format!("{}/", kind.name()))?;
                Ok(vec![Reach::Under(topics)])
            }
            EntryForm::Filter(template) => {
                let texts = texts(template, self.claims)?.into_iter();
                texts.map(|text| self.filter(&text)).collect()
            }
        }
    }

    fn within(&self, text: &str) -> String {
        match self.environment {
            Some(environment) => format!("{environment}/{text}"),
            None => text.to_owned(),
        }
    }

    fn topic(&self, text: &str) -> Result<Box<str>, TopicError> {
        let topic = Topic::parse(&self.within(text))?;
        Ok(topic.as_str().into())
    }

    fn filter(&self, text: &str) -> Result<Reach, Problem> {
        if !text.contains(['+', '#']) {
            return Ok(Reach::Topic(self.topic(text)?));
        }
        let filter = Filter::parse(&self.within(text))?;
        Ok(Reach::Filter(filter.as_str().into()))
    }
}

fn ids(
    kind: &ChannelKind,
    template: &ChannelTemplate,
    claims: &Value,
) -> Result<Vec<String>, Problem> {
    let ids = texts(template, claims)?;
    let fits = |id: &&String| kind.id().accepts(id) && check_literal(id).is_ok();
    match ids.iter().find(|id| !fits(id)) {
        None => Ok(ids),
        Some(id) => Err(Problem::ChannelId {
            channel: kind.name().into(),
            format: kind.id().to_string().into(),
            id: id.as_str().into(),
        }),
    }
}

fn principal(role: &Role, claims: &Value) -> Result<PrincipalName, Problem> {
    // The reader of roles takes nothing but a channel here.
    let EntryForm::Channel(kind, template) = &role.bind.form else {
        return Err(Problem::NotOne(0));
    };
    match ids(kind, template, claims)?.as_slice() {
        [id] => Ok(PrincipalName::parse(id, &role.client_ids)?),
        ids => Err(Problem::NotOne(ids.len())),
    }
}

/// Reach of one grant. No text in it has a wildcard or a variable of policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// One topic.
    Topic(Box<str>),
    /// A filter with MQTT's wildcards: this very filter, and the topics under it.
    Filter(Box<str>),
    /// Every topic and every filter that begins with this text, which ends with a slash.
    Under(Box<str>),
}

impl Reach {
    /// The text as the grant has it: a topic, a filter, or the beginning of either.
    pub fn text(&self) -> &str {
        match self {
            Self::Topic(text) | Self::Filter(text) | Self::Under(text) => text,
        }
    }

    /// The filters that may be subscribed to, as the name in a policy's `topicfilter/` resource.
    pub fn filter_glob(&self) -> String {
        match self {
            Self::Topic(text) | Self::Filter(text) => text.to_string(),
            Self::Under(text) => format!("{text}*"),
        }
    }

    /// The topics that may be received or published to, as the name in a policy's `topic/` resource. A `*` in it spans levels, where
    /// MQTT's `+` does not; what arrives is bounded by the filter.
    pub fn topic_glob(&self) -> String {
        match self {
            Self::Topic(text) => text.to_string(),
            Self::Filter(text) => {
                let level = |level| {
                    if matches!(level, "+" | "#") {
                        "*"
                    } else {
                        level
                    }
                };
                text.split('/').map(level).collect::<Vec<_>>().join("/")
            }
            Self::Under(text) => format!("{text}*"),
        }
    }
}

/// An entry of a role that some claims do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}`: {problem}")]
pub struct GrantError {
    /// The entry, as written.
    pub entry: Box<str>,
    /// The fault.
    pub problem: Problem,
}

/// Reason why an entry gives no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A claim is missing or has a value that must not be used.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The id is not of the channel's format.
    #[error("`{id}` is no id of channel `{channel}`, which wants {format}")]
    ChannelId {
        /// The channel's name.
        channel: Box<str>,
        /// The format its ids must have.
        format: Box<str>,
        /// The id.
        id: Box<str>,
    },
    /// The topic as a whole breaks a rule.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The filter as a whole breaks a rule.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Client ids are bound to one principal.
    #[error("the claims name {0} principals; a client has one")]
    NotOne(usize),
    /// Client ids cannot be bound to it.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
}

impl Problem {
    fn of(self, entry: &RoleEntry) -> GrantError {
        GrantError {
            entry: entry.to_string().into(),
            problem: self,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channel::{IdFormat, Kinds};
    use crate::policy::principal::ClientIdRules;
    use crate::policy::role::Use;

    fn kinds() -> Kinds {
        let kind = |name: &str, id| (name.into(), ChannelKind::try_new(name, id).unwrap());
        [
            kind("user", IdFormat::Uuid),
            kind("order", IdFormat::Uuid),
            kind("depot", IdFormat::pattern("[^/]+").unwrap()),
        ]
        .into()
    }

    fn role(subscribe: &[&str], publish: &[&str]) -> Role {
        let entry = |purpose| move |text: &&str| RoleEntry::parse(text, purpose, &kinds()).unwrap();
        Role {
            name: "role".into(),
            bind: entry(Use::Bind)(&"user:{claims.sub}"),
            client_ids: ClientIdRules::default(),
            subscribe: subscribe.iter().map(entry(Use::Subscribe)).collect(),
            publish: publish.iter().map(entry(Use::Publish)).collect(),
            retain: !publish.is_empty(),
        }
    }

    fn customer(claims: &Value) -> Result<Grants, Vec<GrantError>> {
        let entries = [
            "user:{claims.sub}",
            "order:{claims.orders[*]}",
            "tenant/{claims.tenant}/alerts",
        ];
        Grants::of(&role(&entries, &[]), claims, Some("prod"))
    }

    fn support(claims: &Value) -> Result<Grants, Vec<GrantError>> {
        let publish = ["order:*", "depot:{claims.depots[*]}"];
        let role = role(&["order:*", "tenant/+/alerts", "news/#"], &publish);
        Grants::of(&role, claims, None)
    }

    const USER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
    const ORDER: &str = "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";

    fn globs(grants: &Grants) -> String {
        let line = |reach: &Reach| format!("{} {}", reach.filter_glob(), reach.topic_glob());
        let subscriptions = grants.subscriptions.iter().map(line);
        let publications = grants.publications.iter().map(Reach::topic_glob);
        subscriptions
            .chain(publications)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn grants_are_concrete() {
        let claims = json!({"sub": USER, "orders": [ORDER, USER, ORDER], "tenant": "t1"});
        let grants = customer(&claims).unwrap();
        assert_eq!(grants.principal.as_str(), USER);
        insta::assert_snapshot!(globs(&grants));
        let grants = support(&json!({"sub": USER, "depots": ["north"]})).unwrap();
        assert_eq!(grants.retained, grants.publications);
        insta::assert_snapshot!(globs(&grants));
    }

    /// The topics that one role may retain do not extend to those that another may publish.
    #[test]
    fn merged_roles_keep_their_own_meaning() {
        let claims = json!({"sub": USER, "depot": "north"});
        let of = |publish: &[&str], retain| {
            let role = Role {
                retain,
                ..role(&["user:{claims.sub}"], publish)
            };
            Grants::of(&role, &claims, None).unwrap()
        };
        let mut merged = of(&["depot:{claims.depot}"], true);
        merged.merge(of(&["order:*"], false)).unwrap();
        assert_eq!((merged.channels(), merged.retained.len()), (3, 1));
        let texts: Vec<_> = merged.retained.iter().map(Reach::text).collect();
        assert_eq!(texts, ["depot/north"]);
        let other = Grants::of(&role(&["order:*"], &[]), &json!({"sub": ORDER}), None).unwrap();
        assert_eq!(merged.merge(other).unwrap_err().as_str(), ORDER);
    }

    /// The client ids of an exact and of a suffixed binding together are those of the suffixed one.
    #[test]
    fn merged_roles_share_their_client_ids() {
        let claims = json!({"sub": USER});
        let of = |binding| {
            let client_ids = ClientIdRules {
                binding,
                reserved: None,
            };
            let role = Role {
                client_ids,
                ..role(&["user:{claims.sub}"], &[])
            };
            Grants::of(&role, &claims, None).unwrap()
        };
        use crate::policy::principal::ClientIdBinding::{Exact, Prefix};
        for (one, other, count) in [(Exact, Exact, 1), (Exact, Prefix, 2), (Prefix, Exact, 2)] {
            let mut merged = of(one);
            merged.merge(of(other)).unwrap();
            assert_eq!(merged.principal.client_globs().len(), count);
        }
    }

    #[test]
    fn an_empty_array_grants_nothing() {
        let claims = json!({"sub": USER, "orders": [], "tenant": "t1"});
        let grants = customer(&claims).unwrap();
        assert_eq!(grants.subscriptions.len(), 2);
    }

    #[test]
    fn claims_that_do_not_fit_are_told_at_once() {
        let told = |grants: Result<Grants, Vec<GrantError>>| {
            let errors = grants.unwrap_err();
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.join("\n")
        };
        let claims = json!({"sub": "u1", "orders": ["+", ORDER]});
        insta::assert_snapshot!(told(customer(&claims)));
        let claims = json!({"sub": [USER, ORDER], "orders": ORDER, "tenant": "x".repeat(300)});
        insta::assert_snapshot!(told(customer(&claims)));
        // The kind's own format would take it.
        let claims = json!({"sub": USER, "depots": ["north", "*"]});
        insta::assert_snapshot!(told(support(&claims)));
    }
}
