//! Resources that no request can ever name: ARNs whose parts fit nothing, and names that MQTT or
//! IoT Core's limits rule out.
//!
//! From the developer guide, "AWS IoT Core action resources"; the IAM user guide, "Amazon Resource
//! Names (ARNs)"; MQTT 5.0, section 4.7; and the limits in [`limits`](crate::channel::limits). A
//! wildcard or a variable counts as whatever would make the resource possible.

use super::action::RELATED_SERVICES;
use super::context::Context;
use super::glob::{Glob, GlobSyntax, GlobToken};
use crate::channel::limits::{CLIENT_ID_BYTES, TOPIC_BYTES, TOPIC_SLASHES};

/// The partitions of AWS (AWS General Reference, "ARN format"; botocore's partitions).
const PARTITIONS: [&str; 8] = [
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "aws-eusc",
];

/// The kinds of resources of AWS IoT (service authorization reference, "Resource types defined by
/// AWS IoT", 2026-11-27).
const KINDS: [&str; 32] = [
    "authorizer",
    "billinggroup",
    "cacert",
    "cert",
    "certificateprovider",
    "client",
    "command",
    "commandexecution",
    "custommetric",
    "dimension",
    "domainconfiguration",
    "fleetmetric",
    "index",
    "job",
    "jobtemplate",
    "mitigationaction",
    "otaupdate",
    "package",
    "policy",
    "provisioningtemplate",
    "rolealias",
    "rule",
    "ruledestination",
    "scheduledaudit",
    "securityprofile",
    "stream",
    "thing",
    "thinggroup",
    "thingtype",
    "topic",
    "topicfilter",
    "tunnel",
];

/// Reason why no request has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NameMisfit {
    /// A topic has no MQTT wildcards.
    MqttWildcard(char),
    /// MQTT or a limit rules it out, in words.
    Impossible(String),
}

/// An ARN in which a part is written twice in a row, such as `arn:aws:iot:iot:…`: the part, and the
/// ARN with one of the two left out.
pub(super) fn doubled(arn: &str) -> Option<(&str, String)> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let twice = parts.windows(2).take(5).position(|pair| match pair {
        [one, other] => one == other && !one.is_empty() && !one.contains(['*', '?', '{']),
        _ => false,
    })?;
    let mended = parts.iter().enumerate().filter(|(at, _)| *at != twice);
    let mended: Vec<&str> = mended.map(|(_, part)| *part).collect();
    // A topic may have the account for its first level.
    (mended.len() == 6).then(|| {
        (
            parts.get(twice).copied().unwrap_or_default(),
            mended.join(":"),
        )
    })
}

/// Reason why the parts before a resource's name, and its kind, fit no resource of AWS IoT; `None`
/// for an ARN that may fit, that is of another service, or that is open at its end.
pub(super) fn arn(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, partition, service, rest @ ..] = parts.as_slice() else {
        return None;
    };
    if let Some((part, mended)) = doubled(text)
        && (is_iot(service) || mended.split(':').nth(2).is_some_and(is_iot))
    {
        return Some(format!("it has `{part}` twice; write `{mended}`"));
    }
    if !is_iot(service) {
        return None;
    }
    let (head, blank) = (parts.iter().take(5), [' ', '\t', '\n', '"', '\'']);
    if let Some(part) = head.clone().find(|part| part.contains(blank)) {
        return Some(format!("`{part}` has a blank or a quote"));
    }
    if !fits_one(partition, &PARTITIONS) {
        return Some(format!(
            "there is no partition `{partition}`; write `aws`, `aws-cn` or `aws-us-gov`"
        ));
    }
    if !fits_one(service, &["iot"]) {
        return Some(format!(
            "`{service}` is no service in ARNs of AWS IoT; write `iot`"
        ));
    }
    let [region, account, resource] = rest else {
        return None;
    };
    place(partition, region, account).or_else(|| kind(resource))
}

/// Returns `true` where the third part of an ARN is AWS IoT's, or was meant to be.
fn is_iot(service: &str) -> bool {
    let service = service.to_ascii_lowercase();
    let begins = service.starts_with("iot") || service.starts_with("mqtt");
    (begins || service.contains(['*', '?'])) && !RELATED_SERVICES.contains(&&*service)
}

fn fits_one(pattern: &str, known: &[&str]) -> bool {
    let syntax = GlobSyntax {
        wildcards: true,
        variables: false,
    };
    let context = Context::default();
    Glob::parse(pattern, syntax)
        .is_ok_and(|glob| known.iter().any(|one| glob.matches(one, &context)))
}

/// Fault of Region and account. Empty ones have a rule of their own.
fn place(partition: &str, region: &str, account: &str) -> Option<String> {
    if region.is_empty() || account.is_empty() {
        return None;
    }
    let open = |part: &str| part.contains(['*', '?']);
    if is_account(region) && is_region(account) {
        return Some(format!(
            "Region and account are swapped; write `{account}:{region}`"
        ));
    }
    let region_letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let region_fits = match open(region) {
        true => region
            .chars()
            .all(|c| region_letters(c) || open(&c.to_string())),
        false => is_region(region),
    };
    if !region_fits {
        return Some(format!(
            "`{region}` is no Region; write it like `eu-central-1`, or `*`"
        ));
    }
    let digits = account.chars().filter(char::is_ascii_digit).count();
    let account_fits = match open(account) {
        true => {
            let stars = account.chars().filter(|c| open(&c.to_string())).count();
            digits + stars == account.len() && digits <= 12
        }
        false => is_account(account),
    };
    if !account_fits {
        return Some(format!(
            "`{account}` is no account; it has 12 digits, or write `*`"
        ));
    }
    let wanted = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ if open(region) || region.contains("-iso") || region.starts_with("eusc-") => return None,
        _ => "aws",
    };
    (!fits_one(partition, &[wanted]))
        .then(|| format!("`{region}` is in the partition `{wanted}`, not `{partition}`"))
}

/// Returns `true` where text has the form of a Region's name. New Regions come every year, so that
/// no list is kept.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    let letters =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    parts.len() >= 3
        && letters(first)
        && !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Fault of the kind of a resource, the text before its first slash.
fn kind(resource: &str) -> Option<String> {
    let end = resource
        .find(['/', '*', '?', '$', ':'])
        .unwrap_or(resource.len());
    let (kind, rest) = resource.split_at(end);
    match rest.chars().next() {
        Some('/') if KINDS.contains(&kind) => return None,
        Some('*' | '?' | '$') if KINDS.iter().any(|known| known.starts_with(kind)) => return None,
        Some(':') if KINDS.contains(&kind) => {
            return Some(format!("write `{kind}/` in place of `{kind}:`"));
        }
        None if KINDS.contains(&kind) => {
            return Some(format!("`{kind}` has no name; write `{kind}/` and a name"));
        }
        _ => {}
    }
    let likeness = |known: &&&str| strsim::jaro_winkler(kind, known);
    let near = KINDS
        .iter()
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    let near = near.filter(|known| likeness(known) > 0.8);
    let help = match near {
        Some(near) => format!("did you mean `{near}/`?"),
        None => "write client/…, topic/…, topicfilter/… or thing/…".to_owned(),
    };
    Some(format!("there is no kind of resource `{kind}`; {help}"))
}

/// Reason why no request has a name, the tokens behind `topic/`, `topicfilter/`, `client/` or
/// `thing/`. A wildcard may match nothing, or a slash.
pub(super) fn name(kind: &str, tokens: &[GlobToken]) -> Option<NameMisfit> {
    let chars = |token: &GlobToken| match token {
        GlobToken::Char(c) => Some(*c),
        GlobToken::One | GlobToken::Run => None,
    };
    let impossible = |text: String| Some(NameMisfit::Impossible(text));
    if tokens.is_empty() {
        return impossible(format!("`{kind}/` has no name behind it"));
    }
    if tokens.iter().filter_map(chars).any(|c| c == '\0') {
        return impossible("no name has the character U+0000".to_owned());
    }
    let bytes = |tokens: &[GlobToken]| -> usize {
        let one = |token: &GlobToken| match token {
            GlobToken::Char(c) => c.len_utf8(),
            GlobToken::One => 1,
            GlobToken::Run => 0,
        };
        tokens.iter().map(one).sum()
    };
    match kind {
        "topic" | "topicfilter" => {
            if kind == "topic"
                && let Some(c) = tokens
                    .iter()
                    .filter_map(chars)
                    .find(|c| matches!(c, '+' | '#'))
            {
                return Some(NameMisfit::MqttWildcard(c));
            }
            if kind == "topicfilter"
                && let Some(why) = filter(tokens)
            {
                return impossible(why);
            }
            let counted = counted(tokens);
            let slashes = counted
                .iter()
                .filter(|token| **token == GlobToken::Char('/'))
                .count();
            if slashes > TOPIC_SLASHES {
                return impossible(format!(
                    "it has {slashes} slashes; IoT Core takes {TOPIC_SLASHES}"
                ));
            }
            let least = bytes(counted);
            (least > TOPIC_BYTES).then(|| {
                NameMisfit::Impossible(format!(
                    "it has at least {least} bytes; IoT Core takes {TOPIC_BYTES}"
                ))
            })
        }
        "client" => {
            if tokens.first() == Some(&GlobToken::Char('$')) {
                return impossible("client ids do not begin with `$`".to_owned());
            }
            let least = bytes(tokens);
            (least > CLIENT_ID_BYTES).then(|| {
                NameMisfit::Impossible(format!(
                    "a client id has {CLIENT_ID_BYTES} bytes at most, this one {least}"
                ))
            })
        }
        "thing" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-' | '/');
            let odd = tokens.iter().filter_map(chars).find(|c| !fits(*c));
            odd.and_then(|c| impossible(format!("no name of a thing has `{c}`")))
        }
        _ => None,
    }
}

/// Reason why tokens are not a topic filter: `+` and `#` are alone between slashes, and `#` is last
/// (MQTT 5.0, section 4.7.1).
fn filter(tokens: &[GlobToken]) -> Option<String> {
    let splits =
        |token: Option<&GlobToken>| !matches!(token, Some(GlobToken::Char(c)) if *c != '/');
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let after = tokens.get(at + 1..).unwrap_or_default();
        match token {
            GlobToken::Char(c @ ('+' | '#'))
                if !splits(before) || (*c == '+' && !splits(after.first())) =>
            {
                return Some(format!(
                    "`{c}` stands alone between slashes in a topic filter"
                ));
            }
            GlobToken::Char('#') if after.iter().any(|token| *token != GlobToken::Run) => {
                return Some("`#` is the last level of a topic filter".to_owned());
            }
            _ => {}
        }
    }
    None
}

/// Returns the part of a topic that the limits count: all but `$aws/rules/<rule>/` and
/// `$share/<name>/`.
fn counted(tokens: &[GlobToken]) -> &[GlobToken] {
    for prefix in ["$aws/rules/", "$share/"] {
        let begins = prefix.chars().map(GlobToken::Char);
        if tokens.iter().copied().take(prefix.len()).eq(begins) {
            let rest = tokens.get(prefix.len()..).unwrap_or_default();
            let end = rest.iter().position(|token| *token == GlobToken::Char('/'));
            return end.and_then(|end| rest.get(end + 1..)).unwrap_or(rest);
        }
    }
    tokens
}

#[cfg(test)]
mod tests;
