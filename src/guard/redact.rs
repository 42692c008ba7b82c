//! Source text without secrets, to be shown and to make fingerprints of.
//!
//! A source line may hold a password, a token or a signed URL. Of text literals only text that
//! looks like a name stays: user information and queries of URLs go, and so do values of keys that
//! sound like secrets, and long runs of letters and digits.

/// The shortest run of characters that is taken for a key or a token.
const KEY_LENGTH: usize = 20;

/// The replacement.
const HIDDEN: &str = "***";

/// Words before a value that is a secret.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "credential",
    "private",
];

/// Text without parts that may be a secret.
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run_end = rest.find(|c: char| !is_key_char(c)).unwrap_or(rest.len());
        if run_end == 0 {
            if let Some(after) = rest.strip_prefix("://") {
                // `user:password@host` up to the at sign, which is in the same word.
                let word = after.find(|c: char| c.is_whitespace() || "\"'`/,;)<>".contains(c));
                let authority = after.get(..word.unwrap_or(after.len())).unwrap_or_default();
                if let Some(at) = authority.rfind('@') {
                    out.push_str("://");
                    out.push_str(HIDDEN);
                    rest = after.get(at..).unwrap_or_default();
                    continue;
                }
            }
            if c == '?' && is_query(rest) {
                let end = rest.find(|c: char| c.is_whitespace() || "\"'`".contains(c));
                out.push('?');
                out.push_str(HIDDEN);
                rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
                continue;
            }
            if matches!(c, '"' | '\'' | '`') && names_secret(&out) {
                let inner = rest.get(1..).unwrap_or_default();
                if let Some(end) = inner.find(c).filter(|end| *end > 0) {
                    out.push(c);
                    out.push_str(HIDDEN);
                    rest = inner.get(end..).unwrap_or_default();
                    let closing = rest.chars().next().map_or(0, char::len_utf8);
                    out.push(c);
                    rest = rest.get(closing..).unwrap_or_default();
                    continue;
                }
            }
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        }
        let run = rest.get(..run_end).unwrap_or_default();
        if looks_like_key(run) || (is_value(&out) && names_secret(&out) && run.len() >= 6) {
            out.push_str(HIDDEN);
        } else {
            out.push_str(run);
        }
        rest = rest.get(run_end..).unwrap_or_default();
    }
    out
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-' | '=' | '/')
}

/// Returns `true` for a long run that has both letters and digits, and is no path.
fn looks_like_key(run: &str) -> bool {
    run.split('/').any(|part| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        part.len() >= KEY_LENGTH && digits >= 1 && letters >= 3
    }) || (run.len() >= 2 * KEY_LENGTH && !run.contains(['-', '_', '/']))
}

/// Returns `true` where a query of a URL begins, and no operator.
fn is_query(rest: &str) -> bool {
    let end = rest.find(|c: char| c.is_whitespace() || "\"'`".contains(c));
    let query = rest.get(1..end.unwrap_or(rest.len())).unwrap_or_default();
    let name = query.split('=').next().unwrap_or_default();
    query.contains('=')
        && !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Returns `true` where the text before a value names a secret: `password: `, `API_KEY = `.
fn names_secret(before: &str) -> bool {
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || "\"'`:=(,".contains(c));
    let start = before
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        .map_or(0, |at| at + 1);
    let word = before.get(start..).unwrap_or_default().to_ascii_lowercase();
    SECRET_WORDS.iter().any(|secret| word.contains(secret))
}

/// Returns `true` where a value begins, behind `=` or a quotation mark.
fn is_value(before: &str) -> bool {
    before.ends_with(['"', '\'', '`', '=', ':'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn secrets_are_hidden() {
        check(
            "mqtt.connect('mqtts://user:hunter2@broker.example')",
            "mqtt.connect('mqtts://***@broker.example')",
        );
        check(
            "new WebSocket('wss://a.example/x?token=abc')",
            "new WebSocket('wss://a.example/x?***')",
        );
        check("const password = 'hunter2';", "const password = '***';");
        check("{ apiKey: \"short1\" }", "{ apiKey: \"***\" }");
        check("AKIAIOSFODNN7EXAMPLE12", "***");
        check("a ? b : c", "a ? b : c");
        check(
            "new WebSocket(`wss://${host}/orders`)",
            "new WebSocket(`wss://${host}/orders`)",
        );
    }

    proptest! {
        #[test]
        fn no_key_survives(before in "[a-z ({\"']{0,12}", key in "[A-Z]{2}[0-9]{3}[A-Za-z0-9]{20,40}", after in "[\"')} ]{0,4}") {
            let text = format!("{before}{key}{after}");
            prop_assert!(!redacted(&text).contains(&key), "{}", redacted(&text));
        }

        #[test]
        fn any_text_is_read(text in ".*") {
            redacted(&text);
        }
    }
}
