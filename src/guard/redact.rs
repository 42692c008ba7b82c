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

/// Words that name a secret only as a whole, or as the last part of a name: `compass` is none.
const SECRET_NAMES: [(&str, &str); 4] = [
    ("pass", "Pass"),
    ("passphrase", "Passphrase"),
    ("auth", "Auth"),
    ("cookie", "Cookie"),
];

/// The length of a secret access key of AWS.
const AWS_LENGTH: usize = 40;

/// A literal that the text is in, and what to return to behind it.
#[derive(Clone, Copy)]
struct Literal {
    quote: char,
    depth: i32,
    secret: Option<i32>,
}

/// Text without parts that may be a secret.
pub fn redacted(text: &str) -> String {
    replaced(text, |_| HIDDEN.to_owned(), false)
}

/// A YAML file without parts that may be a secret, character by character, so that lines and
/// columns stay where they are. Values need no quotation marks there.
pub fn redacted_lines(text: &str) -> String {
    let starred = |secret: &str| "*".repeat(secret.chars().count());
    let lines: Vec<String> = text
        .lines()
        .map(|line| replaced(line, starred, true))
        .collect();
    lines.join("\n")
}

/// Text with its secrets replaced; with `is_bare`, values without quotation marks are secrets too.
fn replaced(text: &str, hide: impl Fn(&str) -> String, is_bare: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut open: Option<Literal> = None;
    let mut depth = 0;
    // The depth of brackets at which a secret was named: it goes on up to the end of the line.
    let mut secret: Option<i32> = None;
    while let Some(c) = rest.chars().next() {
        let mut run_end = rest.find(|c: char| !is_key_char(c)).unwrap_or(rest.len());
        if run_end == 0 {
            if let Some(after) = rest.strip_prefix("://") {
                // `user:password@host` up to the at sign, which is in the same word.
                let word = after.find(|c: char| c.is_whitespace() || "\"'`/,;)<>".contains(c));
                let authority = after.get(..word.unwrap_or(after.len())).unwrap_or_default();
                if let Some(at) = authority.rfind('@') {
                    out.push_str("://");
                    out.push_str(&hide(after.get(..at).unwrap_or_default()));
                    rest = after.get(at..).unwrap_or_default();
                    continue;
                }
            }
            if c == '?' && is_query(rest) {
                let end = rest.find(|c: char| c.is_whitespace() || "\"'`".contains(c));
                let end = end.unwrap_or(rest.len());
                out.push('?');
                out.push_str(&hide(rest.get(1..end).unwrap_or_default()));
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            if c == '\\' {
                // The escaped character is no end of a literal.
                let escaped = rest.get(1..).and_then(|rest| rest.chars().next());
                out.push(c);
                rest = rest.get(1..).unwrap_or_default();
                let Some(escaped) = escaped.filter(|c| !is_key_char(*c)) else {
                    continue;
                };
                let is_secret = secret.is_some() || opens_secret(&out);
                out.push(escaped);
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                if is_quote(escaped) && is_secret {
                    let end = rest
                        .find(&format!("\\{escaped}"))
                        .unwrap_or_else(|| literal_end(rest, escaped));
                    let inner = rest.get(..end).unwrap_or_default();
                    if !inner.is_empty() {
                        out.push_str(&hide(inner));
                    }
                    rest = rest.get(end..).unwrap_or_default();
                    // The closing mark opens no other value.
                    if let Some(after) = rest.strip_prefix(&format!("\\{escaped}")) {
                        out.push('\\');
                        out.push(escaped);
                        rest = after;
                    }
                }
                continue;
            }
            if is_quote(c) {
                out.push(c);
                rest = rest.get(1..).unwrap_or_default();
                let before = out.get(..out.len().saturating_sub(1)).unwrap_or_default();
                if let Some(literal) = open.filter(|literal| literal.quote == c) {
                    open = None;
                    depth = literal.depth;
                    secret = literal.secret;
                } else if secret.is_some() || opens_secret(before) {
                    let end = literal_end(rest, c);
                    let inner = rest.get(..end).unwrap_or_default();
                    if !inner.is_empty() {
                        out.push_str(&hide(inner));
                    }
                    rest = rest.get(end..).unwrap_or_default();
                    if let Some(after) = rest.strip_prefix(c) {
                        out.push(c);
                        rest = after;
                    }
                } else if open.is_none() && !is_apostrophe(before, c, rest) {
                    open = Some(Literal {
                        quote: c,
                        depth,
                        secret,
                    });
                }
                continue;
            }
            match c {
                '\n' => {
                    secret = None;
                    open = open.filter(|literal| literal.quote == '`');
                }
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => {
                    depth -= 1;
                    secret = secret.filter(|named| depth >= *named);
                }
                ':' if secret.is_none()
                    && !rest.starts_with("://")
                    && !rest.starts_with("::")
                    && !out.ends_with(':')
                    && (names_secret(&out) || is_secret_name(&out)) =>
                {
                    secret = Some(depth);
                }
                _ => {}
            }
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        }
        if let Some(start) = jwt_start(rest, run_end) {
            if start == 0 {
                let end = token_end(rest);
                out.push_str(&hide(rest.get(..end).unwrap_or_default()));
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
            run_end = start;
        }
        let run = rest.get(..run_end).unwrap_or_default();
        if follows_scheme(&out, run) {
            let end = token_end(rest);
            out.push_str(&hide(rest.get(..end).unwrap_or_default()));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        rest = rest.get(run_end..).unwrap_or_default();
        let is_value = is_value(&out) && names_secret(&out) && run.len() >= 6;
        if looks_like_key(run) || is_value || (is_bare && secret.is_some()) {
            out.push_str(&hide(run));
        } else if let Some((name, value)) = run.split_once('=') {
            out.push_str(name);
            let is_secret = names_secret(&out);
            // `token => …` sets nothing.
            let is_arrow = value.is_empty() && rest.starts_with('>');
            if secret.is_none() && !is_arrow && (is_secret || is_secret_name(&out)) {
                secret = Some(depth);
            }
            out.push('=');
            if is_secret && value.trim_start_matches('=').len() >= 6 {
                out.push_str(&hide(value));
            } else {
                out.push_str(value);
            }
        } else {
            out.push_str(run);
        }
    }
    out
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// The place of the quotation mark that ends a literal, which no backslash stands before; where
/// there is none, the end of the line.
fn literal_end(inner: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote || (c == '\n' && quote != '`') {
            return at;
        }
    }
    inner.len()
}

/// Returns `true` for the mark in `don't`, which opens no literal.
fn is_apostrophe(before: &str, quote: char, after: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic();
    quote == '\''
        && after.starts_with(is_letter)
        && before
            .chars()
            .rev()
            .take(2)
            .filter(|c| is_letter(*c))
            .count()
            == 2
}

/// The end of a token with dots in it.
fn token_end(text: &str) -> usize {
    text.find(|c: char| !(is_key_char(c) || matches!(c, '.' | '~')))
        .unwrap_or(text.len())
}

/// The place in a run where a JSON web token begins: three parts with dots between.
fn jwt_start(rest: &str, run_end: usize) -> Option<usize> {
    let run = rest.get(..run_end)?;
    let payload = rest.get(run_end..)?.strip_prefix('.')?;
    let payload_end = payload.find(|c: char| !is_key_char(c))?;
    if payload_end == 0 || !payload.get(payload_end..)?.starts_with('.') {
        return None;
    }
    run.match_indices("eyJ").map(|(at, _)| at).find(|at| {
        let before = run.get(..*at).unwrap_or_default();
        !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && run_end - at >= 8
    })
}

/// Returns `true` for a run behind `Basic ` or `Bearer ` that is no word of a sentence.
fn follows_scheme(before: &str, run: &str) -> bool {
    let scheme = before.trim_end_matches(' ');
    if scheme.len() == before.len() {
        return false;
    }
    let start = scheme
        .rfind(|c: char| !c.is_ascii_alphabetic())
        .map_or(0, |at| at + 1);
    // What is found may be longer than a byte: then there is no word, and no scheme.
    let word = scheme.get(start..).unwrap_or_default();
    if !word.eq_ignore_ascii_case("basic") && !word.eq_ignore_ascii_case("bearer") {
        return false;
    }
    let begins_literal = scheme.get(..start).unwrap_or_default().ends_with(is_quote);
    run.len() >= 4
        && (begins_literal
            || run
                .bytes()
                .any(|b| b.is_ascii_digit() || b.is_ascii_uppercase()))
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-' | '=' | '/')
}

/// Returns `true` for a long run that has both letters and digits, and is no path.
fn looks_like_key(run: &str) -> bool {
    is_aws_secret(run)
        || run.split('/').any(|part| {
            let digits = part.bytes().filter(u8::is_ascii_digit).count();
            let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
            part.len() >= KEY_LENGTH && digits >= 1 && letters >= 3
        })
        || (run.len() >= 2 * KEY_LENGTH && !run.contains(['-', '_', '/']))
}

/// Returns `true` for a run with a secret access key of AWS, which may have slashes.
fn is_aws_secret(run: &str) -> bool {
    run.split(['_', '-', '=']).any(|part| {
        part.len() == AWS_LENGTH
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_uppercase())
            && part.bytes().any(|b| b.is_ascii_lowercase())
    })
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
    let word = last_word(before).to_ascii_lowercase();
    SECRET_WORDS.iter().any(|secret| word.contains(secret))
}

/// Returns `true` where a quotation mark opens a secret: the mark behind `"token` closes a name.
fn opens_secret(before: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !before.trim_end_matches('\\').ends_with(is_name) && names_secret(before)
}

/// Returns `true` where the text before `:` or `=` is one of the words that count as a whole:
/// `pass`, `db_pass`, `dbPass`.
fn is_secret_name(before: &str) -> bool {
    let word = last_word(before);
    let last = word.rsplit(['_', '-']).next().unwrap_or_default();
    SECRET_NAMES
        .iter()
        .any(|(name, capital)| last.eq_ignore_ascii_case(name) || last.ends_with(capital))
}

/// The name before a value.
fn last_word(before: &str) -> &str {
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || "\\\"'`:=(,".contains(c));
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        .last()
        .map_or(before.len(), |(at, _)| at);
    before.get(start..).unwrap_or_default()
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

    #[track_caller]
    fn hidden(argument: &str, secret: &str) {
        let text = format!("new WebSocket(url, {argument})");
        for shown in [redacted(&text), redacted_lines(&text)] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(shown.starts_with("new WebSocket(url, "), "{shown}");
        }
        let starred = redacted_lines(&text);
        assert_eq!(starred.chars().count(), text.chars().count(), "{starred}");
    }

    #[test]
    fn values_of_secrets_are_hidden() {
        for argument in [
            r"{password: 'it\'s hunter2 secret'}",
            r#"{password: ["hunter2secret"]}"#,
            r#"{password: pw ?? "hunter2secret"}"#,
            r#"{"password": "hunter2"}"#,
            r#"{pass: "hunter2"}"#,
            r#"{dbPass: "hunter2"}"#,
            r#"{passphrase: "hunter2"}"#,
            r#"{auth: "user:hunter2"}"#,
            r#"{headers: {Cookie: "session=hunter2"}}"#,
            r#"'{"password": "hunter2"}'"#,
            r#""{\"password\": \"hunter2\"}""#,
            "'password=hunter2'",
            "{password: 'hunter2",
        ] {
            hidden(argument, "hunter2");
        }
    }

    #[test]
    fn forms_of_secrets_are_hidden() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        hidden(&format!("\"{key}\""), "K7MDENG");
        hidden("\"Basic dXNlcjpodW50ZXIy\"", "dXNlcjpodW50ZXIy");
        hidden("\"Bearer abcdef.ghijkl\"", "ghijkl");
        let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln";
        for part in jwt.split('.') {
            hidden(&format!("\"{jwt}\""), part);
        }
    }

    #[test]
    fn ordinary_text_stays() {
        for text in [
            "new WebSocket(\"wss://example.com/path\")",
            "subscribe('orders/+/status', \"auth:requests\", 'b')",
            "const compass = 'north'; const author = \"Ann\";",
            "keyJson.value.first",
            "token => new WebSocket('wss://example.com/v2')",
            "// don't: new WebSocket('wss://example.com')",
            "{ password: pw }, 'orders'",
            "Basic usage of `connect`",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn lines_of_manifests() {
        let text =
            "claims: { password: \"hunter2secret\" }\nclaims: { password: hunter2 }\nname: x";
        let shown =
            "claims: { password: \"*************\" }\nclaims: { password: ******* }\nname: x";
        assert_eq!(redacted_lines(text), shown);
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
