//! The channels of an address that a role lets a client receive from, proved by the policy
//! evaluator.
//!
//! The documents that the platform would hand out for example claims are asked, as IoT Core asks
//! them: about a channel that the claims name, and about channels that differ from it in one
//! parameter each.

use serde_json::Value;

use super::super::manifest::address::ChannelAddress;
use crate::channel::Kinds;
use crate::channel::filter::Filter;
use crate::policy::context::Context;
use crate::policy::document::Document;
use crate::policy::generate::{DocumentForm, generate};
use crate::policy::grant::{Grants, Reach};
use crate::policy::role::Role;
use crate::policy::scope::Scope;
use crate::policy::simulate::Simulation;

/// The channels of one address that a role may receive from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleReach {
    /// None.
    Nothing,
    /// Some, by the comparisons in its documents.
    Heard {
        /// For each parameter, whether the token names its value; otherwise any value is heard.
        fixed: Vec<bool>,
        /// A topic that it may receive from.
        topic: String,
    },
}

/// The platform, as far as hearing depends on it.
#[derive(Clone, Copy, Debug)]
pub struct HearingContext<'c> {
    /// The kinds of channels.
    pub kinds: &'c Kinds,
    /// The first level of every topic.
    pub environment: Option<&'c str>,
    /// The account's quota of filters for one connection, where it was raised.
    pub subscriptions: Option<usize>,
}

/// The value that filters of roles get where claims are made up.
const MADE_UP: &str = "any";

impl HearingContext<'_> {
    /// Finds out which channels of an address a role may receive from, with claims as given or made
    /// up.
    ///
    /// # Errors
    /// A line that says why it cannot be found out: the claims do not fit the role, or no document
    /// has room.
    pub fn reach(
        &self,
        role: &Role,
        address: &ChannelAddress,
        claims: Option<&Value>,
    ) -> Result<RoleReach, String> {
        let kind = self.kinds.get(address.first_level());
        let example = kind
            .filter(|_| address.is_kind())
            .map(|kind| kind.example());
        let value = example.as_deref().unwrap_or(MADE_UP);
        let made = match claims {
            Some(claims) => claims.clone(),
            None => {
                let mut made = Value::Object(role.example());
                replace(&mut made, MADE_UP, value);
                made
            }
        };
        let grants = Grants::of(role, &made, self.environment).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.join("; ")
        })?;
        let scope = Scope::default();
        let generated = generate(
            &grants,
            &scope,
            DocumentForm::Authorizer,
            self.subscriptions,
        )
        .map_err(|error| error.to_string())?;
        let documents = generated
            .documents
            .iter()
            .map(|draft| Document::parse(&draft.minified()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        let simulation = Simulation {
            documents: &documents,
            scope: &scope,
            context: &Context::of_client(grants.principal.as_str()),
        };
        let hears = |topic: &str| {
            Filter::exact(topic).is_ok_and(|topic| simulation.hear(&topic).is_possible())
        };
        let fixed_topic = address.topic(self.environment, |_| value);
        let granted = grants
            .subscriptions
            .iter()
            .map(|reach| self.topic_of(reach, address, value));
        let mut candidates = std::iter::once(fixed_topic).chain(granted);
        let Some(topic) = candidates.find(|topic| hears(topic)) else {
            return Ok(RoleReach::Nothing);
        };
        let values = address.values(self.environment, &topic).unwrap_or_default();
        let fixed = (0..values.len()).map(|index| {
            let other = |at: usize| match values.get(at) {
                Some(value) if at != index => *value,
                Some(&"other") => "another",
                _ => "other",
            };
            !hears(&address.topic(self.environment, other))
        });
        Ok(RoleReach::Heard {
            fixed: fixed.collect(),
            topic: topic.clone(),
        })
    }

    /// A topic of the address that a grant may reach: levels of the grant where they are literal.
    fn topic_of(&self, reach: &Reach, address: &ChannelAddress, value: &str) -> String {
        let text = reach.text();
        if matches!(reach, Reach::Topic(_)) && address.values(self.environment, text).is_some() {
            return text.to_owned();
        }
        let inside = match self.environment {
            Some(environment) => text
                .strip_prefix(environment)
                .map(|rest| rest.trim_start_matches('/')),
            None => Some(text),
        };
        let levels: Vec<&str> = inside.unwrap_or_default().split('/').collect();
        let mut topic = Vec::new();
        for (index, level) in address.shape().split('/').enumerate() {
            let granted = levels.get(index).copied();
            let literal = granted.filter(|level| !level.is_empty() && !level.contains(['+', '#']));
            topic.push(match (level, literal) {
                ("{}", Some(literal)) => literal.to_owned(),
                _ => level.replace("{}", value),
            });
        }
        let topic = topic.join("/");
        match self.environment {
            Some(environment) => format!("{environment}/{topic}"),
            None => topic,
        }
    }
}

/// Puts other text in place of some text, wherever it is a value.
fn replace(value: &mut Value, text: &str, other: &str) {
    match value {
        Value::String(found) if found == text => other.clone_into(found),
        Value::Array(elements) => {
            for element in elements {
                replace(element, text, other);
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                replace(member, text, other);
            }
        }
        _ => {}
    }
}
