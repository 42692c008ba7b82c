//! Variables and condition keys that have no value.

use super::{Level, Lint, Rule};
use crate::event::pattern::tree::Position;
use crate::policy::context::Principal;
use crate::policy::document::{Statement, Version};
use crate::policy::variable::Key;

pub(super) static UNKNOWN: Rule = Rule {
    code: "unknown-variable",
    level: Level::Error,
    reason: "a variable without a value matches nothing",
    fix: "see the developer guide, \"AWS IoT Core policy variables\", for their names",
};

pub(super) static OF_ANOTHER_PRINCIPAL: Rule = Rule {
    code: "variable-of-another-principal",
    level: Level::Error,
    reason: "the variable has no value for clients that prove who they are in this way",
    fix: "write values where policies are generated, or use a variable that this kind of principal has",
};

pub(super) static OLD_VERSION: Rule = Rule {
    code: "variable-in-old-version",
    level: Level::Error,
    reason: "without \"Version\": \"2012-10-17\" a variable is text, and matches its own name only",
    fix: "add \"Version\": \"2012-10-17\"",
};

/// Names of IoT Core's own keys in lower case; those of things and certificates are known by what they begin with.
const KEYS: [&str; 7] = [
    "iot:clientid",
    "iot:certificateid",
    "iot:connectattributes",
    "iot:lastwilltopic",
    "iot:domainname",
    "iot:topic",
    "iot:includesocketinformation",
];

const THING: [&str; 3] = ["thingname", "thingtypename", "isattached"];

pub(super) fn check(lint: &mut Lint<'_>) {
    for (document, statement) in lint.statements() {
        let version = lint
            .sources
            .get(document)
            .map(|source| source.document.version);
        if version != Some(Version::Of2012) {
            for resource in statement.resources.listed() {
                if resource.text.contains("${") {
                    let message = format!(
                        "`{}` has a variable, and the document is of the old version",
                        resource.text
                    );
                    lint.add(&OLD_VERSION, document, resource.at, message);
                }
            }
            continue;
        }
        for (key, at) in keys(statement) {
            if !is_known(key) {
                let message = format!("there is no variable `{key}`");
                lint.add(&UNKNOWN, document, at, message);
            } else if let Some(principal) = lint.principal.filter(|principal| !has(*principal, key))
            {
                let message = format!(
                    "`{key}` has no value for a client of the kind {}",
                    name(principal)
                );
                lint.add(&OF_ANOTHER_PRINCIPAL, document, at, message);
            }
        }
    }
}

/// The variables of a statement's resources, and the keys and variables of its conditions.
fn keys(statement: &Statement) -> impl Iterator<Item = (&Key, Position)> {
    let resources = statement.resources.listed().iter();
    let resources =
        resources.flat_map(|resource| resource.variables().map(move |key| (key, resource.at)));
    let conditions = statement.conditions.iter();
    let conditions = conditions.flat_map(|condition| {
        let variables = condition.variables();
        std::iter::once(&condition.key)
            .chain(variables)
            .map(move |key| (key, condition.at))
    });
    resources.chain(conditions)
}

fn is_known(key: &Key) -> bool {
    let lower = key.as_str().to_ascii_lowercase();
    if !lower.starts_with("iot:") {
        // Keys of IAM and of identity providers, of which there are many.
        return true;
    }
    let of_thing = lower.strip_prefix("iot:connection.thing.");
    let known_thing = |name: &str| {
        THING.contains(&name) || (name.starts_with("attributes[") && name.ends_with(']'))
    };
    KEYS.contains(&&*lower) || key.is_of_certificate() || of_thing.is_some_and(known_thing)
}

/// Which keys exist for whom (developer guide, "Thing policy variables", "X.509 Certificate AWS IoT Core policy variables", "Basic AWS IoT Core
/// policy variables"; that a thing's do not exist with IAM roles and custom authorizers is field evidence).
fn has(principal: Principal, key: &Key) -> bool {
    let lower = key.as_str().to_ascii_lowercase();
    let certificate = key.is_of_certificate() || lower == "iot:certificateid";
    let cognito = lower.starts_with("cognito-identity.amazonaws.com:");
    match principal {
        Principal::Certificate => !cognito,
        Principal::CognitoAuthenticated => !certificate,
        Principal::CognitoUnauthenticated | Principal::Iam => !certificate && !key.is_of_thing(),
        Principal::CustomAuthorizer => !certificate && !key.is_of_thing() && !cognito,
    }
}

fn name(principal: Principal) -> &'static str {
    let known = Principal::NAMES
        .into_iter()
        .find(|(_, known)| *known == principal);
    known.map_or("", |(name, _)| name)
}
