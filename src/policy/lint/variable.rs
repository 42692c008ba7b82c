//! Variables and condition keys that have no value.

use super::{FindingLevel, LintContext, LintRule};
use crate::event::pattern::tree::TextPosition;
use crate::policy::context::ClientPrincipal;
use crate::policy::document::{LanguageVersion, Statement};
use crate::policy::variable::ContextKey;

pub(super) static UNKNOWN: LintRule = LintRule {
    code: "unknown-variable",
    level: FindingLevel::Error,
    reason: "a variable without a value matches nothing",
    fix: "see the developer guide, \"AWS IoT Core policy variables\", for their names",
};

pub(super) static OF_ANOTHER_PRINCIPAL: LintRule = LintRule {
    code: "variable-of-another-principal",
    level: FindingLevel::Error,
    reason: "the variable has no value for clients that prove who they are in this way",
    fix: "write values where policies are generated, or use a variable that this kind of principal has",
};

pub(super) static OLD_VERSION: LintRule = LintRule {
    code: "variable-in-old-version",
    level: FindingLevel::Error,
    reason: "without \"Version\": \"2012-10-17\" a variable is text, and matches its own name only",
    fix: "add \"Version\": \"2012-10-17\"",
};

pub(super) static BEFORE_WILDCARD: LintRule = LintRule {
    code: "variable-before-wildcard",
    level: FindingLevel::Warning,
    reason: "a name that only begins with the value matches too: what is meant for lamp1 covers lamp10",
    fix: "write a separator between them, such as ${…}/* or ${…}-*, and the exact name beside it",
};

pub(super) static OTHER_CASE: LintRule = LintRule {
    code: "variable-in-other-case",
    level: FindingLevel::Warning,
    reason: "IAM ignores the case of names; that IoT Core does is written nowhere",
    fix: "write the name as the developer guide does",
};

/// IoT Core's own keys as its developer guide writes them ("AWS IoT Core policy variables", "Connect
/// policy examples", "Direct messaging policy examples"), but for those of certificates.
const KEYS: [&str; 10] = [
    "iot:ClientId",
    "iot:CertificateId",
    "iot:ConnectAttributes",
    "iot:LastWillTopic",
    "iot:DomainName",
    "iot:Topic",
    "iot:IncludeSocketInformation",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.IsAttached",
];

/// Names after `iot:Certificate.` (developer guide, "X.509 Certificate AWS IoT Core policy
/// variables"); fields with several values may have a number or `List` behind them.
const CERTIFICATE_FIELDS: [&str; 20] = [
    "AvailableKeys",
    "SerialNumber",
    "SubjectAlternativeName.RFC822Name",
    "SubjectAlternativeName.DNSName",
    "SubjectAlternativeName.DirectoryName",
    "SubjectAlternativeName.UniformResourceIdentifier",
    "SubjectAlternativeName.IPAddress",
    "DistinguishedNameQualifier",
    "Country",
    "Organization",
    "OrganizationalUnit",
    "State",
    "CommonName",
    "SerialNumber",
    "Title",
    "Surname",
    "GivenName",
    "Initials",
    "Pseudonym",
    "GenerationQualifier",
];

/// Number of the fields that are whole names; the others follow `Subject.` or `Issuer.`.
const WHOLE_FIELDS: usize = 7;

/// Text before the name of an attribute.
const ATTRIBUTES: &str = "iot:Connection.Thing.Attributes[";

/// Least likeness of a name to a known one at which the known one is suggested.
const ALIKE: f64 = 0.6;

pub(super) fn check(lint: &mut LintContext<'_>) {
    for (document, statement) in lint.statements() {
        let version = lint
            .sources
            .get(document)
            .map(|source| source.document.version);
        before_wildcards(lint, document, statement);
        if version != Some(LanguageVersion::Of2012) {
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
            if !is_known(key, statement) {
                let help = match nearest(key.as_str()) {
                    Some(nearest) => format!("; did you mean `{nearest}`?"),
                    None => String::new(),
                };
                let message = format!("there is no variable `{key}`{help}");
                lint.add(&UNKNOWN, document, at, message);
                continue;
            }
            if let Some(written) = known_name(key.as_str())
                && !key.as_str().starts_with(&*written)
            {
                let message = format!("`{key}` is `{written}` in the developer guide");
                lint.add(&OTHER_CASE, document, at, message);
            }
            if let Some(principal) = lint.principal.filter(|principal| !has(*principal, key)) {
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
fn keys(statement: &Statement) -> impl Iterator<Item = (&ContextKey, TextPosition)> {
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

/// Variables straight before a wildcard.
fn before_wildcards(lint: &mut LintContext<'_>, document: usize, statement: &Statement) {
    for resource in statement.resources.listed() {
        if let Some(key) = resource.spilling().next() {
            let message = format!(
                "`{}` covers every name that only begins with the value of `{key}`",
                resource.text
            );
            lint.add(&BEFORE_WILDCARD, document, resource.at, message);
        }
    }
    for condition in &statement.conditions {
        if let Some(key) = condition.spilling().next() {
            let message = format!(
                "`{}` takes every value that only begins with that of `{key}`",
                condition.operator
            );
            lint.add(&BEFORE_WILDCARD, document, condition.at, message);
        }
    }
}

/// Returns `true` where a key may have a value in some request. IAM and identity providers have
/// many keys: a key whose prefix is not much like `iot:` is taken for one of theirs.
fn is_known(key: &ContextKey, statement: &Statement) -> bool {
    let lower = key.lower();
    if lower.starts_with("iot:") {
        return known_name(key.as_str()).is_some();
    }
    // A key of a condition may come from anyone that asks for decisions.
    let of_resource = || {
        statement
            .resources
            .listed()
            .iter()
            .flat_map(|resource| resource.variables())
    };
    let Some((prefix, name)) = lower.rsplit_once(':') else {
        return !of_resource().any(|other| other == key);
    };
    let same = |known: &&str| {
        known
            .rsplit([':', '.'])
            .next()
            .is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    let slip = prefix.starts_with("iot") || prefix.ends_with(':') || prefix.is_empty();
    !(slip
        || KEYS
            .iter()
            .any(|known| same(known) && prefix.len() <= 4 && prefix.contains('i')))
}

/// The name of a key of IoT Core as the developer guide writes it, without what a thing's attribute
/// or a certificate's value has behind it; `None` when there is no such key.
fn known_name(key: &str) -> Option<String> {
    let begins = |known: &str| {
        key.get(..known.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(known))
    };
    if let Some(known) = KEYS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(key))
    {
        return Some(known.to_owned());
    }
    if begins(ATTRIBUTES) && key.ends_with(']') && key.len() > ATTRIBUTES.len() + 1 {
        return Some(ATTRIBUTES.to_owned());
    }
    let names = certificate_names();
    let mut longest: Vec<String> = names.into_iter().filter(|known| begins(known)).collect();
    longest.sort_by_key(String::len);
    let known = longest.pop()?;
    let rest = key.get(known.len()..).unwrap_or_default();
    let number = |rest: &str| {
        rest.strip_prefix('.')
            .is_some_and(|at| at.eq_ignore_ascii_case("list") || at.parse::<u8>().is_ok())
    };
    (rest.is_empty() || number(rest)).then_some(known)
}

fn certificate_names() -> Vec<String> {
    let (whole, parts) = CERTIFICATE_FIELDS.split_at(WHOLE_FIELDS);
    let whole = whole.iter().map(|field| format!("iot:Certificate.{field}"));
    let of = |owner: &'static str| {
        parts
            .iter()
            .map(move |field| format!("iot:Certificate.{owner}.{field}"))
    };
    whole.chain(of("Subject")).chain(of("Issuer")).collect()
}

/// The key that another name may have meant.
fn nearest(name: &str) -> Option<String> {
    let last = |key: &str| {
        key.rsplit([':', '.'])
            .next()
            .unwrap_or(key)
            .to_ascii_lowercase()
    };
    let (whole, end) = (name.to_ascii_lowercase(), last(name));
    let likeness = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&whole, &known.to_ascii_lowercase());
        let end = strsim::normalized_damerau_levenshtein(&end, &last(known));
        whole.max(end)
    };
    let known = KEYS
        .into_iter()
        .map(str::to_owned)
        .chain(certificate_names());
    known
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .fold(None, |best: Option<(f64, String)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, known)| known)
}

/// Returns `true` where a key exists for a kind of principal (developer guide, "Thing policy
/// variables", "X.509 Certificate AWS IoT Core policy variables", "Basic AWS IoT Core policy
/// variables"; that a thing's do not exist with IAM roles and custom authorizers is field
/// evidence).
fn has(principal: ClientPrincipal, key: &ContextKey) -> bool {
    let lower = key.as_str().to_ascii_lowercase();
    let certificate = key.is_of_certificate() || lower == "iot:certificateid";
    let cognito = lower.starts_with("cognito-identity.amazonaws.com:");
    match principal {
        ClientPrincipal::Certificate => !cognito,
        ClientPrincipal::CognitoAuthenticated => !certificate,
        ClientPrincipal::CognitoUnauthenticated | ClientPrincipal::Iam => {
            !certificate && !key.is_of_thing()
        }
        ClientPrincipal::CustomAuthorizer => !certificate && !key.is_of_thing() && !cognito,
    }
}

fn name(principal: ClientPrincipal) -> &'static str {
    let known = ClientPrincipal::NAMES
        .into_iter()
        .find(|(_, known)| *known == principal);
    known.map_or("", |(name, _)| name)
}
