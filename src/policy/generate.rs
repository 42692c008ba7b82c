//! From grants to policy documents: concrete ARNs, exact filters, nothing else.
//!
//! A delivery is checked against `iot:Receive` on its topic, each time; so Receive is granted for each channel, and a refresh that takes
//! a channel away ends its deliveries. Client ids are bound to the principal. Documents only allow: what is not granted is denied.

use super::check::{Unsound, check};
use super::draft::{Draft, Permissions};
use super::grant::{Grants, Reach};
use super::pack::{PackOverflow, pack};
use super::scope::{ResourceKind, Scope};
use crate::channel::limits::{
    AUTHORIZER_DOCUMENTS, POLICY_CHARACTERS, ROLE_POLICY_CHARACTERS, SESSION_POLICY_CHARACTERS,
    SUBSCRIPTIONS_PER_CONNECTION, SUBSCRIPTIONS_PER_SUBSCRIBE,
};

/// Purpose of documents, which decides on their room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentForm {
    /// The answer of a custom authorizer.
    Authorizer,
    /// A named IoT policy, attached to a certificate, a thing group or a Cognito identity.
    Named,
    /// The session policy of an STS call, which narrows the permissions of the role.
    Session,
    /// A managed policy of an IAM role.
    Role,
}

impl DocumentForm {
    /// Returns the most documents allowed, and the most characters of each.
    pub const fn room(self) -> (usize, usize) {
        match self {
            Self::Authorizer => (AUTHORIZER_DOCUMENTS, POLICY_CHARACTERS),
            Self::Named => (1, POLICY_CHARACTERS),
            Self::Session => (1, SESSION_POLICY_CHARACTERS),
            Self::Role => (1, ROLE_POLICY_CHARACTERS),
        }
    }

    const fn holder(self) -> &'static str {
        match self {
            Self::Authorizer => "a custom authorizer may answer with 10",
            Self::Named => "a named policy is one",
            Self::Session => "a session policy is one",
            Self::Role => "a role's policy is one",
        }
    }
}

/// The documents for some grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The documents.
    pub documents: Vec<Draft>,
    /// Notes on them for a person, a line each.
    pub notes: Vec<String>,
}

/// Makes the documents for some grants. `subscriptions` is the account's quota for one connection, where it was raised.
///
/// # Errors
/// [`GenerateError`] when the grants are more than a connection may use, or more than the form has room for.
pub fn generate(
    grants: &Grants,
    scope: &Scope,
    form: DocumentForm,
    subscriptions: Option<usize>,
) -> Result<Generated, GenerateError> {
    let quota = subscriptions.unwrap_or(SUBSCRIPTIONS_PER_CONNECTION);
    let count = grants.subscriptions.len();
    if count > quota {
        return Err(GenerateError::Subscriptions { count, quota });
    }
    Ok(Generated {
        documents: documents(&permissions(grants, scope), form)?,
        notes: notes(grants),
    })
}

/// Makes the documents for some permissions, and asks them whether they say the same.
///
/// # Errors
/// [`GenerateError`] when the form has no room for them.
pub fn documents(
    permissions: &Permissions,
    form: DocumentForm,
) -> Result<Vec<Draft>, GenerateError> {
    let (documents, characters) = form.room();
    let documents = pack(&permissions.statements(), documents, characters).map_err(|overflow| {
        GenerateError::Room {
            form,
            overflow,
            resources: permissions.resources(),
        }
    })?;
    check(&documents, permissions)?;
    Ok(documents)
}

/// Each action with each resource that some grants come to.
pub fn permissions(grants: &Grants, scope: &Scope) -> Permissions {
    let mut permissions = Permissions::default();
    for client in grants.principal.client_globs() {
        permissions.allow("iot:Connect", scope.arn(ResourceKind::Client, &client));
    }
    let topic = |reach: &Reach| scope.arn(ResourceKind::Topic, &reach.topic_glob());
    for reach in needed(&grants.subscriptions) {
        let filter = scope.arn(ResourceKind::TopicFilter, &reach.filter_glob());
        permissions.allow("iot:Subscribe", filter);
        permissions.allow("iot:Receive", topic(reach));
    }
    for reach in needed(&grants.publications) {
        permissions.allow("iot:Publish", topic(reach));
    }
    for reach in needed(&grants.retained) {
        permissions.allow("iot:RetainPublish", topic(reach));
    }
    permissions
}

/// The grants without those that another one includes.
fn needed<'g>(
    reaches: impl IntoIterator<Item = &'g Reach> + Copy,
) -> impl Iterator<Item = &'g Reach> {
    let included = move |reach: &Reach| {
        let text = reach.text();
        reaches.into_iter().any(|other| match other {
            Reach::Under(prefix) => other != reach && text.starts_with(&**prefix),
            _ => false,
        })
    };
    reaches.into_iter().filter(move |reach| !included(reach))
}

fn notes(grants: &Grants) -> Vec<String> {
    let mut notes = Vec::new();
    let count = grants.subscriptions.len();
    if count > SUBSCRIPTIONS_PER_SUBSCRIBE {
        notes.push(format!(
            "{count} filters: one SUBSCRIBE takes {SUBSCRIPTIONS_PER_SUBSCRIBE} of them"
        ));
    }
    for reach in &grants.subscriptions {
        match reach {
            Reach::Topic(_) => {}
            Reach::Filter(filter) => notes.push(format!(
                "iot:Receive on `{}` for `{filter}`: `*` spans levels, and the filter bounds what arrives",
                reach.topic_glob()
            )),
            Reach::Under(prefix) => notes.push(format!(
                "`{prefix}*` is granted as written: any filter that begins with `{prefix}`, wildcards included"
            )),
        }
    }
    notes
}

/// Reason why there are no documents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// A connection may not use all of it.
    #[error("{count} subscriptions are granted; a connection may have {quota}")]
    Subscriptions {
        /// Number of subscriptions granted.
        count: usize,
        /// Number of subscriptions that a connection may have.
        quota: usize,
    },
    /// There is no room.
    #[error("{}", no_room(*.form, .overflow, *.resources))]
    Room {
        /// Purpose of the documents.
        form: DocumentForm,
        /// Room that would be needed.
        overflow: PackOverflow,
        /// Number of resources.
        resources: usize,
    },
    /// The documents fail their own check.
    #[error(transparent)]
    Unsound(#[from] Unsound),
}

fn no_room(form: DocumentForm, overflow: &PackOverflow, resources: usize) -> String {
    let (_, characters) = form.room();
    let PackOverflow {
        documents: needed,
        characters: total,
    } = overflow;
    let needed = match needed {
        Some(needed) => format!("{needed} documents of {characters}"),
        None => format!("more than {characters} for one resource alone"),
    };
    format!(
        "{resources} resources make {total} characters, which need {needed}; {}",
        form.holder()
    )
}
