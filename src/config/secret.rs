//! Secrets of a configuration, kept out of all that is shown of it: tokens and signatures, and the user names, passwords and
//! queries of addresses.
//!
//! They are masked by their values where the file could be read, and by the look of a line in any case, since a file with a
//! fault in it may be no tree at all.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::check::{join, text_of};
use crate::event::pattern::tree::{NodeValue, TreeValue};

/// Text in place of a secret, in messages.
pub const MASK: &str = "…";

/// The section whose values are secret, and its keys that are not.
const SECTION: &str = "bridge.authorizer";
/// Secret values elsewhere.
const SECRETS: [&str; 2] = ["gateway.sealing_key", "gateway.previous_sealing_key"];
const OPEN_KEYS: [&str; 2] = ["name", "token_key"];

/// The fewest characters of a value that is masked wherever it appears.
const SHORTEST: usize = 4;

/// Names that secrets have, wherever someone puts them.
const WORDS: &str = "token|signature|secret|password|passwd|passphrase|api_?key|secret_?key|access_?key|sealing_?key";

#[expect(clippy::expect_used, reason = "constants, compiled by the tests")]
fn regex(pattern: &str) -> Regex {
    Regex::new(&pattern.replace("WORDS", &format!("(?i-u:{WORDS})")))
        .expect("a constant that compiles")
}

/// User information and query of an address: `scheme://user:password@host/path?query`.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s"'`<>{}]*@)?(?P<host>[^\s"'`?#@]*)(?:\?(?P<query>[^\s"'`]+))?"#,
    )
});

/// A key with a secret name, and its value on the same line.
static ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?P<key>["']?\b[\w-]*?WORDS["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'{\[][^,}]*)"#,
    )
});

/// A key with a secret name at the beginning of a line, or at its end without a value: deeper lines below go on with the
/// value.
static OPEN_ENTRY: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"^\s*(?:-\s+)?["']?[\w-]*?WORDS["']?\s*:|\b[\w-]*?WORDS["']?\s*:\s*$"#)
});

/// Returns `true` where the value at a path of the configuration is secret.
pub(super) fn is_secret(path: &str) -> bool {
    let below = path
        .strip_prefix(SECTION)
        .and_then(|rest| rest.strip_prefix('.'));
    below.is_some_and(|key| !OPEN_KEYS.contains(&key)) || SECRETS.contains(&path)
}

/// Adds the secret values of a tree, by the section and by the names of keys.
pub(super) fn collect(node: &TreeValue, path: &str, out: &mut Vec<String>) {
    match &node.value {
        NodeValue::Object(members) => {
            for member in members {
                collect(&member.value, &join(path, &member.key), out);
            }
        }
        NodeValue::Array(elements) => {
            for element in elements {
                collect(element, path, out);
            }
        }
        NodeValue::String(text) => keep(text_of(text), path, out),
        NodeValue::Number(text) => keep(text.to_string(), path, out),
        NodeValue::Bool(_) | NodeValue::Null => {}
    }
}

/// Returns `true` where the last words of a path are one of [`WORDS`]. Every configuration is
/// asked, so that no pattern is compiled for it.
fn has_secret_name(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    WORDS.split('|').any(|word| {
        let joined = word.replace("_?", "");
        let spelled = word.replace("_?", "_");
        [joined, spelled].iter().any(|word| {
            let before = path.strip_suffix(word.as_str());
            before.is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '_', '-']))
        })
    })
}

fn keep(value: String, path: &str, out: &mut Vec<String>) {
    let is_open = OPEN_KEYS
        .iter()
        .any(|key| path.ends_with(&format!(".{key}")));
    let secret = is_secret(path) || (has_secret_name(path) && !is_open);
    if secret && value.chars().count() >= SHORTEST {
        out.push(value);
    }
}

/// A message without secrets.
pub(super) fn masked(text: &str, secrets: &[String]) -> String {
    let mut text = masked_address(text, |_| MASK.into()).into_owned();
    for secret in secrets {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), MASK);
        }
    }
    text
}

/// An address without its user information and its query.
pub fn masked_url(url: &str) -> Cow<'_, str> {
    masked_address(url, |_| MASK.into())
}

fn masked_address(text: &str, mask: impl Fn(&str) -> String) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    ADDRESS.replace_all(text, |found: &Captures<'_>| {
        let part = |name| found.name(name).map_or("", |part| part.as_str());
        let mut shown = part("scheme").to_owned();
        if let Some(user) = found.name("user") {
            shown.push_str(&mask(user.as_str().trim_end_matches('@')));
            shown.push('@');
        }
        shown.push_str(part("host"));
        if let Some(query) = found.name("query") {
            shown.push('?');
            shown.push_str(&mask(query.as_str()));
        }
        shown
    })
}

/// The text of a file with each character of a secret replaced, so that lines and columns stay where they are.
pub(super) fn redacted(text: &str, secrets: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    // The indentation of a key whose secret goes on below it.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        let is_blank = line.trim().is_empty();
        if open.is_some_and(|key| indentation > key || is_blank) {
            let (blank, secret) = line.split_at(indentation);
            out.push_str(blank);
            out.push_str(&starred(secret.trim_end_matches(['\n', '\r'])));
            out.push_str(
                line.get(line.trim_end_matches(['\n', '\r']).len()..)
                    .unwrap_or_default(),
            );
            continue;
        }
        let is_open = OPEN_ENTRY.is_match(line.trim_end()) && !is_token_key(line);
        open = is_open.then_some(indentation);
        let mut line = masked_address(line, starred).into_owned();
        for secret in secrets {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), &starred(secret));
            }
        }
        out.push_str(&ENTRY.replace_all(&line, |found: &Captures<'_>| {
            let part = |name| found.name(name).map_or("", |part| part.as_str());
            let (key, value) = (part("key"), part("value"));
            if is_token_key(key) {
                return format!("{key}{value}");
            }
            let end = value.trim_end().len();
            let (secret, rest) = value.split_at(end);
            format!("{key}{}{rest}", starred(secret))
        }));
    }
    out
}

/// `token_key` is the name of a parameter, and no secret.
fn is_token_key(text: &str) -> bool {
    text.trim_start()
        .trim_start_matches(['"', '\''])
        .starts_with("token_key")
}

fn starred(secret: &str) -> String {
    "*".repeat(secret.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, shown) in [
            ("mqtts://user:S3CRET@h:1", "mqtts://…@h:1"),
            ("wss://h/mqtt?token=S3CRET", "wss://h/mqtt?…"),
            ("https://u:S3/CR@ET@h/q?x=S3CRET", "https://…@h/q?…"),
            (
                "https://sqs.eu-central-1.amazonaws.com/1/q",
                "https://sqs.eu-central-1.amazonaws.com/1/q",
            ),
            ("S3CRET@h", "S3CRET@h"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
        let message = "`bridge.queue` is `https://a:S3CRET@h`, and `wss://h?S3CRET` is not";
        assert_eq!(
            masked(message, &[]),
            "`bridge.queue` is `https://…@h`, and `wss://h?…` is not"
        );
    }

    #[test]
    fn names_of_secrets() {
        for path in [
            "token",
            "x.Password",
            "bridge.client_secret",
            "a.api-key.apikey",
            "a.API_KEY",
            "gateway.sealing_key",
            "x-passphrase",
        ] {
            assert!(has_secret_name(path), "{path}");
        }
        for path in ["tokens", "a.tokenkey", "mytoken", "token.x", "api-key", ""] {
            assert!(!has_secret_name(path), "{path}");
        }
    }

    #[track_caller]
    fn hidden(line: &str) {
        let shown = redacted(line, &[]);
        assert!(!shown.contains("S3CRET"), "{shown}");
        assert_eq!(shown.chars().count(), line.chars().count(), "{shown}");
        assert_eq!(shown.lines().count(), line.lines().count(), "{shown}");
    }

    #[test]
    fn lines_of_a_file() {
        for line in [
            "  authorizer: { name: p, token: S3CRET, sig: x }",
            "token: \"S3CRET and S3CRET\"",
            "token: 'S3CRET",
            "\"token\": S3CRET",
            "signature: S3CRET # a note",
            "  token: |\n    S3CRET\n    S3CRET\n  name: x",
            "  token: >-\n\n    S3CRET\n",
            "  token:\n    S3CRET\n",
            "  token: S3CRET\n    S3CRET\n",
            "  token: \"S3CRET\n    S3CRET\"\n",
            "broker: wss://h/mqtt?token=S3CRET",
            "queue: 'https://user:S3CRET@h/1/q'",
            "client_secret: S3CRET",
            "password: S3CRET",
        ] {
            hidden(line);
        }
        let open = "  token_key: S3CRET\n  name: S3CRET\nqos: 1\ncredentials: aws\nkeys: [a]\n";
        assert_eq!(redacted(open, &[]), open);
        let by_value = redacted("x-t: &t abcd1234\n", &["abcd1234".into()]);
        assert_eq!(by_value, "x-t: &t ********\n");
    }
}
