//! Several documents in one text: one after the other, as `policy generate` prints them, in a list, or in its JSON report.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The report of `policy generate --format json`, as far as it matters here.
#[derive(Deserialize)]
struct Report<'t> {
    #[serde(borrow)]
    documents: Vec<&'t RawValue>,
}

/// The texts of the documents in a text. Each is led by as much white space as brings it to its place, so that lines and columns are those
/// of the whole. Text that cannot be split is given back as it is, for its reader to say why.
pub(super) fn split(text: &str) -> Vec<String> {
    match values(text) {
        Some(values) if !values.is_empty() => values
            .into_iter()
            .map(|value| placed(text, value))
            .collect(),
        _ => vec![text.to_owned()],
    }
}

fn values(text: &str) -> Option<Vec<&str>> {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.ok()?.get();
        if value.starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            values.extend(list.into_iter().map(RawValue::get));
        } else if let Ok(report) = serde_json::from_str::<Report<'_>>(value) {
            values.extend(report.documents.into_iter().map(RawValue::get));
        } else {
            values.push(value);
        }
    }
    Some(values)
}

/// A part of a text, with white space for all that stands before it.
fn placed(text: &str, part: &str) -> String {
    // The part was borrowed from the text.
    let begin = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..begin).unwrap_or_default();
    let blank = before.chars().map(|c| if c == '\n' { c } else { ' ' });
    blank.chain(part.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_in_place() {
        let one = "\n {\"Version\": 1}";
        assert_eq!(split(one), [one]);
        assert_eq!(
            split("{\"é\":1}\n{\"b\":2}"),
            ["{\"é\":1}", "       \n{\"b\":2}"]
        );
        assert_eq!(
            split("[{\"a\":1}, {\"b\":2}]"),
            [" {\"a\":1}", "          {\"b\":2}"]
        );
        assert_eq!(
            split("{\"form\":\"iot\",\"documents\":[{}]}"),
            ["                           {}"]
        );
        for whole in ["", "{", "{} x", "[", "[]"] {
            assert_eq!(split(whole), [whole]);
        }
    }
}
