//! The rules for one message: its size, its characters, its attributes and its identifiers (SQS API
//! reference, SendMessage; developer guide, "Amazon SQS message metadata"; SQS quotas).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::refusal::ApiRefusal;
use super::number::is_number;
use super::refusals::{CHARACTERS, invalid, invalid_value, message_contents, missing};
use super::wire::{MessageAttribute, MessageAttributes, SqsEntry};

/// The most bytes of one message, and of all messages of one batch.
pub(super) const LARGEST_MESSAGE: usize = 1_048_576;

/// The most attributes of one message.
const MOST_ATTRIBUTES: usize = 10;

/// The most characters of an attribute's name and of its type.
const LONGEST_NAME: usize = 256;

/// The most characters of a message group id and of a deduplication id.
const LONGEST_ID: usize = 128;

/// The longest delay of a message, in seconds.
const LONGEST_DELAY: i64 = 900;

/// The kinds of attribute values.
const TYPES: [&str; 3] = ["String", "Number", "Binary"];

/// The beginnings of names that SQS keeps for itself.
const RESERVED: [&str; 2] = ["aws.", "amazon."];

/// Refuses a message that no queue takes.
pub(super) fn check_message(entry: &SqsEntry) -> Result<(), ApiRefusal> {
    let body = entry.message_body.as_deref().unwrap_or_default();
    if body.is_empty() {
        return Err(missing("MessageBody"));
    }
    if !has_only_taken(body) {
        return Err(message_contents());
    }
    if let Some(group) = &entry.message_group_id {
        check_id("MessageGroupId", group)?;
    }
    if let Some(id) = &entry.message_deduplication_id {
        check_id("MessageDeduplicationId", id)?;
    }
    if let Some(delay) = entry.delay_seconds
        && !(0..=LONGEST_DELAY).contains(&delay)
    {
        let reason = "DelaySeconds must be >= 0 and <= 900.";
        return Err(invalid_value("DelaySeconds", delay, reason));
    }
    check_attributes(&entry.message_attributes)?;
    check_system_attributes(&entry.message_system_attributes)
}

/// The bytes of a message: body and attributes, names and types included.
pub(super) fn size(entry: &SqsEntry) -> usize {
    let attributes = entry.message_attributes.iter().map(|(name, value)| {
        let text = value.string_value.as_ref().map_or(0, String::len);
        let binary = value.binary_value.as_deref().map_or(0, base64_len);
        name.len() + value.data_type.len() + text + binary
    });
    entry.message_body.as_ref().map_or(0, String::len) + attributes.sum::<usize>()
}

/// Number of bytes that a Base64 text encodes.
fn base64_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// Returns `true` if a text has only characters that SQS takes.
fn has_only_taken(text: &str) -> bool {
    // Control characters are below a space, and U+FFFE and U+FFFF begin with 0xEF in UTF-8: most
    // texts have neither, and are not looked at by characters.
    let is_plain = |byte: u8| byte >= b' ' && byte != 0xEF;
    text.bytes().all(is_plain) || first_refused(text).is_none()
}

/// The first character of a text that SQS does not take.
fn first_refused(text: &str) -> Option<char> {
    let is_taken = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().find(|c| !is_taken(*c))
}

/// Checks a message group id or a deduplication id.
fn check_id(name: &str, id: &str) -> Result<(), ApiRefusal> {
    let is_taken = |c: char| c.is_ascii_graphic();
    if (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_taken) {
        return Ok(());
    }
    let reason = format!(
        "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    );
    Err(invalid_value(name, id, &reason))
}

fn check_attributes(attributes: &MessageAttributes) -> Result<(), ApiRefusal> {
    if attributes.len() > MOST_ATTRIBUTES {
        let count = attributes.len();
        return Err(invalid(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{MOST_ATTRIBUTES}]."
        )));
    }
    for (name, attribute) in attributes {
        check_name(name)?;
        check_value("message (user) attribute", name, attribute)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ApiRefusal> {
    let lower = name.to_ascii_lowercase();
    if RESERVED.iter().any(|reserved| lower.starts_with(reserved)) {
        return Err(invalid(format!(
            "The message attribute name '{name}' is invalid. Names that begin with 'AWS.' or 'Amazon.' are reserved."
        )));
    }
    let letters = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let dots = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if name.is_empty() || dots || !name.chars().all(letters) {
        return Err(invalid(format!(
            "The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters; it must not begin or end with a period, nor have two in a row."
        )));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(invalid(
            "Length of message attribute name must be less than 256 bytes.",
        ));
    }
    Ok(())
}

/// Checks the type of an attribute, and its value by its type.
fn check_value(what: &str, name: &str, attribute: &MessageAttribute) -> Result<(), ApiRefusal> {
    let data_type = attribute.data_type.as_str();
    if data_type.is_empty() {
        return Err(invalid(format!(
            "The {what} '{name}' must contain a non-empty attribute type."
        )));
    }
    let kind = data_type.split('.').next().unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(invalid(format!(
            "The {what} '{name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String."
        )));
    }
    if data_type.chars().count() > LONGEST_NAME || !has_only_taken(data_type) {
        return Err(invalid(format!(
            "The {what} '{name}' has an invalid message attribute type: at most 256 characters of {CHARACTERS}."
        )));
    }
    let text = attribute.string_value.as_deref().unwrap_or_default();
    let is_empty = match kind {
        "Binary" => attribute.binary_value.as_deref().is_none_or(str::is_empty),
        _ => text.is_empty(),
    };
    if is_empty {
        return Err(invalid(format!(
            "{} '{name}' must contain a non-empty value of type '{kind}'.",
            capitalized(what)
        )));
    }
    if let Some(refused) = first_refused(text) {
        return Err(invalid(format!(
            "Invalid binary character '#x{:X}' was found in the {what} '{name}' value, the set of allowed characters is {CHARACTERS}",
            u32::from(refused)
        )));
    }
    let (field, other) = match kind {
        "Binary" => ("Binary", attribute.string_value.is_some()),
        _ => ("String", attribute.binary_value.is_some()),
    };
    if other {
        return Err(invalid(format!(
            "The {what} '{name}' with type '{kind}' must use field '{field}'."
        )));
    }
    let binary = attribute.binary_value.as_deref().unwrap_or_default();
    if STANDARD.decode(binary).is_err() {
        return Err(invalid(format!(
            "The {what} '{name}' has a value of type 'Binary' that is not Base64."
        )));
    }
    if kind == "Number" && !is_number(text) {
        return Err(invalid(format!(
            "Can't cast the value of {what} '{name}' to a number."
        )));
    }
    Ok(())
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The one system attribute that may be sent is the header of a trace.
fn check_system_attributes(attributes: &MessageAttributes) -> Result<(), ApiRefusal> {
    for (name, attribute) in attributes {
        if name != "AWSTraceHeader" {
            return Err(invalid(format!(
                "Message system attribute name '{name}' is invalid. The supported name is AWSTraceHeader."
            )));
        }
        check_value("message (system) attribute", name, attribute)?;
        if attribute.data_type != "String" {
            return Err(invalid(
                "The message (system) attribute 'AWSTraceHeader' must be of type 'String'.",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> SqsEntry {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn refused(json: &str) -> ApiRefusal {
        check_message(&entry(json)).unwrap_err()
    }

    fn with_attribute(name: &str, value: &str) -> String {
        format!(r#"{{"MessageBody":"x","MessageAttributes":{{"{name}":{value}}}}}"#)
    }

    #[test]
    fn bodies_and_identifiers() {
        for taken in [
            r#"{"MessageBody":"\t\n\r é \ud7ff \ue000 \ufffd \ud83d\ude00"}"#,
            r#"{"MessageBody":"x","MessageGroupId":"!~a-Z_0/","DelaySeconds":900}"#,
        ] {
            check_message(&entry(taken)).unwrap();
        }
        for character in [
            "\\u0000", "\\u0008", "\\u000b", "\\u001f", "\\ufffe", "\\uffff",
        ] {
            let refusal = refused(&format!(r#"{{"MessageBody":"a{character}"}}"#));
            assert_eq!(refusal.kind, "InvalidMessageContents", "{character}");
        }
        for empty in ["{}", r#"{"MessageBody":""}"#] {
            assert_eq!(refused(empty).code, "MissingParameter");
        }
        let long = "g".repeat(129);
        for id in ["", "a b", "é", &long] {
            for name in ["MessageGroupId", "MessageDeduplicationId"] {
                let told = refused(&format!(r#"{{"MessageBody":"x","{name}":"{id}"}}"#)).message;
                assert!(told.contains(name), "{told}");
            }
        }
        for delay in [-1, 901] {
            refused(&format!(r#"{{"MessageBody":"x","DelaySeconds":{delay}}}"#));
        }
    }

    #[test]
    fn attributes_of_messages() {
        for (name, value) in [
            ("attr.1_-øß", r#"{"DataType":"String","StringValue":"v"}"#),
            (
                "n",
                r#"{"DataType":"Number.java.lang.Long","StringValue":"-1.5e3"}"#,
            ),
            ("b", r#"{"DataType":"Binary.png","BinaryValue":"AA=="}"#),
        ] {
            check_message(&entry(&with_attribute(name, value))).unwrap();
        }
        let string = r#"{"DataType":"String","StringValue":"v"}"#;
        for name in [
            "",
            "aWs.x",
            "Amazon.x",
            ".x",
            "x.",
            "x..y",
            "a b",
            "x!",
            "§",
            &"n".repeat(257),
        ] {
            let refusal = refused(&with_attribute(name, string));
            assert_eq!(refusal.code, "InvalidParameterValue", "{name}");
        }
        for (value, why) in [
            (r#"{}"#, "non-empty attribute type"),
            (
                r#"{"DataType":"Text","StringValue":"v"}"#,
                "invalid message attribute type",
            ),
            (
                r#"{"DataType":"String"}"#,
                "non-empty value of type 'String'",
            ),
            (
                r#"{"DataType":"Binary","BinaryValue":""}"#,
                "non-empty value of type 'Binary'",
            ),
            (
                r#"{"DataType":"Number","StringValue":"ten"}"#,
                "to a number",
            ),
            (
                r#"{"DataType":"Number","StringValue":"1e999"}"#,
                "to a number",
            ),
            (
                r#"{"DataType":"Number","StringValue":"1234567890123456789012345678901234567890"}"#,
                "to a number",
            ),
            (r#"{"DataType":"String","StringValue":"a\u0001"}"#, "'#x1'"),
            (
                r#"{"DataType":"Binary","BinaryValue":"not base64!"}"#,
                "not Base64",
            ),
            (
                r#"{"DataType":"Binary.gif","BinaryValue":"AAA"}"#,
                "not Base64",
            ),
            (
                r#"{"DataType":"String","StringValue":"v","BinaryValue":"AA=="}"#,
                "with type 'String' must use field 'String'",
            ),
            (
                r#"{"DataType":"Number","StringValue":"1","BinaryValue":"AA=="}"#,
                "with type 'Number' must use field 'String'",
            ),
            (
                r#"{"DataType":"Binary","StringValue":"v","BinaryValue":"AA=="}"#,
                "must use field 'Binary'",
            ),
        ] {
            let told = refused(&with_attribute("x", value)).message;
            assert!(told.contains(why), "{value}: {told}");
        }
        for (name, value) in [
            (
                "AWSTraceHeader",
                r#"{"DataType":"Number","StringValue":"1"}"#,
            ),
            ("Other", string),
        ] {
            refused(&format!(
                r#"{{"MessageBody":"x","MessageSystemAttributes":{{"{name}":{value}}}}}"#
            ));
        }
    }

    #[test]
    fn ten_attributes_are_the_most() {
        let attributes = |count: usize| {
            let one = |n| format!(r#""a{n}":{{"DataType":"String","StringValue":"v"}}"#);
            let all: Vec<String> = (0..count).map(one).collect();
            entry(&format!(
                r#"{{"MessageBody":"x","MessageAttributes":{{{}}}}}"#,
                all.join(",")
            ))
        };
        check_message(&attributes(10)).unwrap();
        for count in [11, 12, 50] {
            let refusal = check_message(&attributes(count)).unwrap_err();
            assert_eq!(refusal.code, "InvalidParameterValue");
            assert!(refusal.message.contains(&format!("[{count}]")));
        }
    }

    #[test]
    fn sizes_count_attributes() {
        let json = r#"{"MessageBody":"é12","MessageAttributes":{
            "k":{"DataType":"String","StringValue":"x"},"bin":{"DataType":"Binary","BinaryValue":"AAEC"},"b":{"DataType":"Binary","BinaryValue":"AA=="}}}"#;
        assert_eq!(
            size(&entry(json)),
            4 + (1 + 6 + 1) + (3 + 6 + 3) + (1 + 6 + 1)
        );
    }
}
