//! Policy documents in the texts that people have at hand: a document, several one after the other,
//! a list of them, or an answer that holds documents.
//!
//! Answers are recognized by their members: `policyDocument` of `aws iot get-policy`,
//! `get-policy-version` and `get-effective-policies` (AWS IoT API reference), `policyDocuments` of
//! a custom authorizer (developer guide, "Defining your Lambda function"), `PolicyDocument` and
//! `PolicyVersion` of `aws iam`, and the JSON reports of `policy generate`, `policy show` and
//! `token verify`. In most of them a document is text inside a string.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, Read};

use serde_json::value::RawValue;

use crate::cli::input::{INPUT_BYTES, text_of};

/// Depth to which strings with JSON in them are read.
const DEPTH: usize = 4;

/// The members that hold documents, in the order in which they are looked for.
const MEMBERS: [&str; 9] = [
    "policyDocuments",
    "policyDocument",
    "documents",
    "document",
    "effectivePolicies",
    "PolicyDocument",
    "PolicyVersion",
    "Document",
    "answer",
];

/// The forms of text that are accepted, for messages.
pub(super) const ACCEPTED: &str = "a policy document with Statement, a list of documents, the answer of `aws iot get-policy` or \
     `get-policy-version`, an authorizer's answer with policyDocuments, or `--format json` of `policy generate` or `policy show`";

/// One document's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DocumentText {
    /// Led by as much white space as brings it to its place, so that lines and columns are those of
    /// the whole text; those of a document inside a string are its own.
    pub(super) text: String,
    /// The member of an answer that it was found in.
    pub(super) member: Option<&'static str>,
    /// `true` for an object that does not look like a document.
    pub(super) is_unknown: bool,
}

/// The documents of a text. Text that cannot be split is given back as it is, for its reader to say
/// why.
pub(super) fn split(text: &str) -> Vec<DocumentText> {
    let mut found = Vec::new();
    let whole = DocumentFinder {
        whole: text,
        member: None,
        depth: 0,
    };
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.ok().map(RawValue::get);
        if value
            .and_then(|value| whole.find(value, &mut found))
            .is_none()
        {
            found.clear();
            break;
        }
    }
    if found.is_empty() {
        found.push(DocumentText {
            text: text.to_owned(),
            member: None,
            is_unknown: false,
        });
    }
    found
}

/// The text that holds values, and how its documents were come by.
#[derive(Clone, Copy)]
struct DocumentFinder<'t> {
    whole: &'t str,
    member: Option<&'static str>,
    depth: usize,
}

impl DocumentFinder<'_> {
    /// Adds the documents of one value; `None` when it is not JSON all the way down.
    fn find(self, value: &str, found: &mut Vec<DocumentText>) -> Option<()> {
        match value.as_bytes().first() {
            Some(b'[') => {
                let list: Vec<&RawValue> = serde_json::from_str(value).ok()?;
                for element in list {
                    self.find(element.get(), found)?;
                }
            }
            Some(b'"') if self.depth < DEPTH => {
                let inside: String = serde_json::from_str(value).ok()?;
                let finder = DocumentFinder {
                    whole: &inside,
                    depth: self.depth + 1,
                    ..self
                };
                // Text inside that is not JSON is left to the document's reader, which reports it.
                if !inside.trim_start().starts_with(['{', '[', '"'])
                    || finder.find(inside.trim(), found).is_none()
                {
                    found.push(finder.document(&inside, false));
                }
            }
            Some(b'{') => self.find_in_object(value, found)?,
            _ => found.push(self.document(value, false)),
        }
        Some(())
    }

    fn find_in_object(self, value: &str, found: &mut Vec<DocumentText>) -> Option<()> {
        let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value).ok()?;
        if members.contains_key("Statement") {
            found.push(self.document(value, false));
            return Some(());
        }
        let held = MEMBERS
            .into_iter()
            .find_map(|name| Some((name, members.get(name)?)));
        if let Some((name, held)) = held {
            let finder = DocumentFinder {
                member: Some(name),
                ..self
            };
            return finder.find(held.get(), found);
        }
        // A misspelt element is for the document's reader to name.
        let likes = ["version", "statement", "id", "effect", "action"];
        let like = |name: &Cow<'_, str>| {
            let name = name.to_ascii_lowercase();
            likes
                .iter()
                .any(|known| strsim::jaro_winkler(&name, known) > 0.85)
        };
        let is_unknown = !members.is_empty() && !members.keys().any(like);
        found.push(self.document(value, is_unknown));
        Some(())
    }

    fn document(self, part: &str, is_unknown: bool) -> DocumentText {
        DocumentText {
            text: placed(self.whole, part),
            member: self.member,
            is_unknown,
        }
    }
}

/// A part of a text, after white space in place of all that is before it.
fn placed(text: &str, part: &str) -> String {
    // The part was borrowed from the text.
    let begin = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..begin).unwrap_or_default();
    let blank = before.chars().map(|c| if c == '\n' { c } else { ' ' });
    blank.chain(part.chars()).collect()
}

/// The text that an argument names: a file, or `-` for standard input, which can be read once.
///
/// # Errors
/// The reason why there is none, in one line.
pub(super) fn read_text(
    argument: &str,
    input: &mut Option<impl BufRead>,
) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("reading `{argument}`: {error}");
    let read = if argument == "-" {
        let Some(input) = input.take() else {
            return Err(failed(&"standard input is a terminal, or was read already"));
        };
        bounded(input)
    } else {
        File::open(argument)
            .map_err(|error| error.to_string())
            .and_then(bounded)
    };
    read.map_err(|error| failed(&error))
}

/// All of a reader's text, up to a bound. A byte order mark, which some shells write, is left out.
pub(super) fn bounded(reader: impl Read) -> Result<String, String> {
    let text = text_of(reader, INPUT_BYTES).map_err(|error| error.to_string())?;
    Ok(match text.strip_prefix('\u{FEFF}') {
        Some(text) => text.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn texts_are_split_in_place() {
        let one = "\n {\"Version\": 1}";
        assert_eq!(texts(one), [one]);
        assert_eq!(
            texts("{\"id\":\"é\"}\n{\"id\":2}"),
            ["{\"id\":\"é\"}", "          \n{\"id\":2}"]
        );
        assert_eq!(
            texts("[{\"id\":1}, {\"id\":2}]"),
            [" {\"id\":1}", "           {\"id\":2}"]
        );
        assert_eq!(
            texts("{\"form\":\"iot\",\"documents\":[{}]}"),
            ["                           {}"]
        );
        for whole in ["", "{", "{} x", "[", "[]"] {
            assert_eq!(texts(whole), [whole]);
        }
    }

    #[test]
    fn answers_hold_documents() {
        let document = r#"{"Version":"2012-10-17","Statement":[]}"#;
        let quoted = serde_json::to_string(document).unwrap();
        for (text, member) in [
            (
                format!(r#"{{"policyName":"p","policyDocument":{quoted}}}"#),
                "policyDocument",
            ),
            (
                format!(r#"{{"policyVersionId":"2","policyDocument":{document}}}"#),
                "policyDocument",
            ),
            (
                format!(
                    r#"{{"isAuthenticated":true,"principalId":"x","policyDocuments":[{quoted}]}}"#
                ),
                "policyDocuments",
            ),
            (
                format!(r#"{{"PolicyVersion":{{"Document":{document},"VersionId":"v1"}}}}"#),
                "Document",
            ),
            (
                format!(r#"{{"name":"p","version":"3","document":{document}}}"#),
                "document",
            ),
            (
                format!(r#"{{"valid":true,"answer":{{"policyDocuments":[{quoted}]}}}}"#),
                "policyDocuments",
            ),
            (
                format!(
                    r#"{{"effectivePolicies":[{{"policyName":"p","policyDocument":{quoted}}}]}}"#
                ),
                "policyDocument",
            ),
        ] {
            let found = split(&text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].text.trim(), document, "{text}");
            assert_eq!(found[0].member, Some(member), "{text}");
        }
        let both = format!(r#"{{"policyDocuments":[{quoted},{document}]}}"#);
        assert_eq!(split(&both).len(), 2);
    }

    #[test]
    fn what_looks_like_no_document_is_marked() {
        for unknown in [r#"{"jobs":[1]}"#, r#"{"certificateId":"x"}"#] {
            assert!(split(unknown)[0].is_unknown, "{unknown}");
        }
        for known in [
            "{}",
            r#"{"Statment":[]}"#,
            r#"{"Effect":"Allow"}"#,
            r#"{"version":"2012-10-17"}"#,
        ] {
            assert!(!split(known)[0].is_unknown, "{known}");
        }
    }

    #[test]
    fn reading_is_bounded() {
        let error = bounded(std::io::repeat(b' ')).unwrap_err();
        assert!(
            error.starts_with("it has more than 4194304 bytes"),
            "{error}"
        );
        assert_eq!(bounded("\u{FEFF}{}".as_bytes()), Ok("{}".to_owned()));
        let mut input = Some("x".as_bytes());
        assert_eq!(read_text("-", &mut input), Ok("x".to_owned()));
        assert!(
            read_text("-", &mut input)
                .unwrap_err()
                .contains("was read already")
        );
    }
}
