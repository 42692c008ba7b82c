//! SQS by AWS's query protocol, which its SDKs spoke until 2023: calls are forms, answers are XML.
//! Forms become calls of the JSON protocol, and its answers become XML; nothing else is different.
//!
//! Sources: the SQS API reference of 2012-11-05 (developer guide, "Making Query API requests") and
//! answers that LocalStack's tests recorded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::refusal::ApiRefusal;
use super::super::uuid::uuid;
use super::refusals::invalid;

/// The namespace of answers.
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// The members whose values are numbers.
const NUMBERS: [&str; 5] = [
    "DelaySeconds",
    "MaxNumberOfMessages",
    "MaxResults",
    "VisibilityTimeout",
    "WaitTimeSeconds",
];

/// The lists of texts: their names in forms, and in the JSON protocol.
const LISTS: [(&str, &str); 6] = [
    ("ActionName", "Actions"),
    ("AWSAccountId", "AWSAccountIds"),
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("TagKey", "TagKeys"),
];

/// The other members that are lists or maps, as the JSON protocol names them.
const COLLECTIONS: [&str; 6] = [
    "Attributes",
    "Entries",
    "MessageAttributes",
    "MessageSystemAttributes",
    "Tags",
    "tags",
];

/// The actions whose answers have no result.
const WITHOUT_RESULT: [&str; 9] = [
    "AddPermission",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "DeleteQueue",
    "PurgeQueue",
    "RemovePermission",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
];

/// The members of a form below one name: the rest of the name in its parts, and the value.
type FormFields<'f> = Vec<(Vec<&'f str>, &'f str)>;

/// The body of the call of the JSON protocol that a form is. `queue_url` is the address that was
/// called, where it is a queue's.
pub(in crate::dev) fn call(
    form: &[(String, String)],
    action: &str,
    queue_url: Option<&str>,
) -> Result<Vec<u8>, ApiRefusal> {
    let fields = form.iter().map(|(name, value)| {
        let parts = name.split('.').collect();
        (parts, value.as_str())
    });
    let mut members = members(fields.collect(), action)?;
    if let Some(url) = queue_url {
        members.entry("QueueUrl").or_insert_with(|| url.into());
    }
    Ok(Value::Object(members).to_string().into_bytes())
}

fn members(fields: FormFields<'_>, action: &str) -> Result<Map<String, Value>, ApiRefusal> {
    let mut by_name: BTreeMap<&str, FormFields<'_>> = BTreeMap::new();
    for (mut parts, value) in fields {
        let name = if parts.is_empty() {
            ""
        } else {
            parts.remove(0)
        };
        by_name.entry(name).or_default().push((parts, value));
    }
    let mut members = Map::new();
    for (name, fields) in by_name {
        // Some SDKs name an empty list or map, with nothing behind it.
        let is_empty = fields
            .iter()
            .all(|(parts, value)| parts.is_empty() && value.is_empty());
        if is_empty && (COLLECTIONS.contains(&name) || LISTS.iter().any(|(_, list)| *list == name))
        {
            continue;
        }
        if let Some((_, member)) = LISTS.iter().find(|(list, _)| *list == name) {
            let texts = numbered(fields).into_values();
            let texts = texts.filter_map(|fields| fields.first().map(|(_, value)| *value));
            members.insert((*member).to_owned(), texts.collect());
            continue;
        }
        let entry = format!("{action}RequestEntry");
        let (member, value) = match name {
            "Attribute" => ("Attributes", texts(fields, "Name")),
            "Tag" if action == "CreateQueue" => ("tags", texts(fields, "Key")),
            "Tag" => ("Tags", texts(fields, "Key")),
            "MessageAttribute" => ("MessageAttributes", message_attributes(fields)),
            "MessageSystemAttribute" => ("MessageSystemAttributes", message_attributes(fields)),
            name if name == entry => {
                let entries = numbered(fields).into_values();
                let entries = entries.map(|fields| members_of(fields, action));
                ("Entries", entries.collect::<Result<Value, ApiRefusal>>()?)
            }
            name => (name, scalar(name, &fields)?),
        };
        members.insert(member.to_owned(), value);
    }
    Ok(members)
}

fn members_of(fields: FormFields<'_>, action: &str) -> Result<Value, ApiRefusal> {
    members(fields, action).map(Value::Object)
}

fn scalar(name: &str, fields: &FormFields<'_>) -> Result<Value, ApiRefusal> {
    let value = fields.first().map_or("", |(_, value)| *value);
    if !NUMBERS.contains(&name) {
        return Ok(value.into());
    }
    let number: i64 = value.parse().map_err(|_| {
        invalid(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be an integer."
        ))
    })?;
    Ok(number.into())
}

/// Members by their number, which is the first part of the rest of their names.
fn numbered(fields: FormFields<'_>) -> BTreeMap<u32, FormFields<'_>> {
    let mut by_number: BTreeMap<u32, FormFields<'_>> = BTreeMap::new();
    for (mut parts, value) in fields {
        let number = parts.first().and_then(|number| number.parse().ok());
        if let Some(number) = number {
            parts.remove(0);
            by_number.entry(number).or_default().push((parts, value));
        }
    }
    by_number
}

/// The value of a field with this name.
fn field<'f>(fields: &FormFields<'f>, name: &[&str]) -> Option<&'f str> {
    let found = fields.iter().find(|(parts, _)| parts == name);
    found.map(|(_, value)| *value)
}

/// A map of texts, which is a list of names with values in a form.
fn texts(fields: FormFields<'_>, key: &str) -> Value {
    let pairs = numbered(fields).into_values().filter_map(|fields| {
        let name = field(&fields, &[key])?;
        let value = field(&fields, &["Value"]).unwrap_or_default();
        Some((name.to_owned(), Value::from(value)))
    });
    Value::Object(pairs.collect())
}

fn message_attributes(fields: FormFields<'_>) -> Value {
    let pairs = numbered(fields).into_values().filter_map(|fields| {
        let name = field(&fields, &["Name"])?.to_owned();
        let members = ["DataType", "StringValue", "BinaryValue"];
        let members = members.into_iter().filter_map(|member| {
            let value = field(&fields, &["Value", member])?;
            Some((member.to_owned(), Value::from(value)))
        });
        Some((name, Value::Object(members.collect())))
    });
    Value::Object(pairs.collect())
}

/// The XML of an answer of the JSON protocol.
pub(in crate::dev) fn answer(action: &str, body: &[u8]) -> String {
    let mut out = format!("<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\">");
    if !WITHOUT_RESULT.contains(&action) {
        let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        if members.is_empty() {
            out.push_str(&format!("<{action}Result/>"));
        } else {
            out.push_str(&format!("<{action}Result>"));
            write_members(&mut out, action, &members);
            out.push_str(&format!("</{action}Result>"));
        }
    }
    let id = uuid();
    out.push_str(&format!(
        "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    ));
    out
}

fn write_members(out: &mut String, action: &str, members: &Map<String, Value>) {
    for (name, value) in members {
        let entry = format!("{action}ResultEntry");
        match (name.as_str(), value) {
            ("Attributes", Value::Object(map)) => write_map(out, "Attribute", "Name", map),
            ("MessageAttributes", Value::Object(map)) => {
                write_map(out, "MessageAttribute", "Name", map);
            }
            ("Tags", Value::Object(map)) => write_map(out, "Tag", "Key", map),
            ("Messages", value) => write_element(out, "Message", action, value),
            ("QueueUrls" | "queueUrls", value) => write_element(out, "QueueUrl", action, value),
            ("Successful", value) => write_element(out, &entry, action, value),
            ("Failed", value) => write_element(out, "BatchResultErrorEntry", action, value),
            (name, value) => write_element(out, name, action, value),
        }
    }
}

/// A map as elements that have a name and a value each.
fn write_map(out: &mut String, element: &str, key: &str, map: &Map<String, Value>) {
    for (name, value) in map {
        out.push_str(&format!("<{element}><{key}>{}</{key}>", escaped(name)));
        write_element(out, "Value", "", value);
        out.push_str(&format!("</{element}>"));
    }
}

/// An element, or one for each member of a list.
fn write_element(out: &mut String, name: &str, action: &str, value: &Value) {
    if let Value::Array(all) = value {
        for one in all {
            write_element(out, name, action, one);
        }
        return;
    }
    out.push_str(&format!("<{name}>"));
    match value {
        Value::Object(members) => write_members(out, action, members),
        Value::String(text) => out.push_str(&escaped(text)),
        other => out.push_str(&other.to_string()),
    }
    out.push_str(&format!("</{name}>"));
}

/// The XML of a refusal.
pub(in crate::dev) fn refused(refusal: &ApiRefusal) -> String {
    // Recorded: the older protocol has its own words for this one.
    let message = match refusal.code {
        "AWS.SimpleQueueService.NonExistentQueue" => {
            "The specified queue does not exist for this wsdl version."
        }
        _ => &refusal.message,
    };
    format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message><Detail/></Error><RequestId>{}</RequestId></ErrorResponse>",
        refusal.code,
        escaped(message),
        uuid()
    )
}

/// Text as XML has it. Carriage returns would be read as line feeds.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            // XML has no other control characters; names in refusals may hold them.
            c if c.is_control() && !matches!(c, '\t' | '\n') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(action: &str, form: &[(&str, &str)], expected: &str) {
        let form: Vec<(String, String)> = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let body = call(&form, action, Some("http://x/0/q")).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(body, expected);
    }

    #[test]
    fn forms_are_calls() {
        check(
            "SetQueueAttributes",
            &[
                ("Attribute.2.Value", "5"),
                ("Attribute.2.Name", "DelaySeconds"),
                ("Attribute.1.Name", "Policy"),
                ("Attribute.1.Value", ""),
            ],
            r#"{"QueueUrl":"http://x/0/q","Attributes":{"Policy":"","DelaySeconds":"5"}}"#,
        );
        check(
            "ReceiveMessage",
            &[
                ("QueueUrl", "other"),
                ("AttributeName.2", "b"),
                ("AttributeName.1", "a"),
                ("WaitTimeSeconds", "-1"),
            ],
            r#"{"QueueUrl":"other","AttributeNames":["a","b"],"WaitTimeSeconds":-1}"#,
        );
        check(
            "SendMessageBatch",
            &[
                ("SendMessageBatchRequestEntry.1.Id", "a"),
                ("SendMessageBatchRequestEntry.1.DelaySeconds", "3"),
                (
                    "SendMessageBatchRequestEntry.1.MessageAttribute.1.Name",
                    "n",
                ),
                (
                    "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType",
                    "String",
                ),
                (
                    "SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue",
                    "v.w",
                ),
                ("SendMessageBatchRequestEntry.2.MessageBody", "b"),
            ],
            r#"{"QueueUrl":"http://x/0/q","Entries":[
                {"Id":"a","DelaySeconds":3,"MessageAttributes":{"n":{"DataType":"String","StringValue":"v.w"}}},{"MessageBody":"b"}]}"#,
        );
        check(
            "CreateQueue",
            &[("Tag.1.Key", "k"), ("Tag.1.Value", "v"), ("QueueName", "q")],
            r#"{"QueueUrl":"http://x/0/q","QueueName":"q","tags":{"k":"v"}}"#,
        );
        check(
            "ReceiveMessage",
            &[
                ("MessageAttributeNames", ""),
                ("Entries", ""),
                ("QueueName", ""),
            ],
            r#"{"QueueUrl":"http://x/0/q","QueueName":""}"#,
        );
        let form = [("DelaySeconds".to_owned(), "soon".to_owned())];
        assert_eq!(
            call(&form, "SendMessage", None).unwrap_err().code,
            "InvalidParameterValue"
        );
    }

    #[track_caller]
    fn check_answer(action: &str, body: &str, result: &str) {
        let xml = answer(action, body.as_bytes());
        let begin = format!("<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\">");
        let rest = xml.strip_prefix(&begin).unwrap();
        let (told, rest) = rest.split_once("<ResponseMetadata><RequestId>").unwrap();
        assert_eq!(told, result);
        let end = format!("</RequestId></ResponseMetadata></{action}Response>");
        assert_eq!(rest.strip_suffix(&end).unwrap().len(), 36);
    }

    #[test]
    fn answers_are_xml() {
        check_answer(
            "ReceiveMessage",
            r#"{"Messages":[{"MessageId":"1","Body":"a<b>&\"\r\n","Attributes":{"SenderId":"x"},"MessageAttributes":{"n":{"DataType":"String","StringValue":"v"}}},{"MessageId":"2"}]}"#,
            "<ReceiveMessageResult><Message><Attribute><Name>SenderId</Name><Value>x</Value></Attribute><Body>a&lt;b&gt;&amp;&quot;&#xD;\n</Body><MessageAttribute><Name>n</Name><Value><DataType>String</DataType><StringValue>v</StringValue></Value></MessageAttribute><MessageId>1</MessageId></Message><Message><MessageId>2</MessageId></Message></ReceiveMessageResult>",
        );
        check_answer("ReceiveMessage", "{}", "<ReceiveMessageResult/>");
        check_answer("DeleteQueue", "{}", "");
        check_answer(
            "ListQueues",
            r#"{"QueueUrls":["a","b"],"NextToken":"t"}"#,
            "<ListQueuesResult><NextToken>t</NextToken><QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl></ListQueuesResult>",
        );
        check_answer(
            "DeleteMessageBatch",
            r#"{"Successful":[{"Id":"a"}],"Failed":[{"Id":"b","SenderFault":true}]}"#,
            "<DeleteMessageBatchResult><BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault></BatchResultErrorEntry><DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry></DeleteMessageBatchResult>",
        );
    }

    #[test]
    fn refusals_are_xml() {
        let xml = refused(&invalid("a < b\u{1}"));
        assert!(xml.contains("<Type>Sender</Type><Code>InvalidParameterValue</Code><Message>a &lt; b\\u0001</Message><Detail/>"), "{xml}");
        let xml = refused(&super::super::refusals::no_queue());
        assert!(
            xml.contains("does not exist for this wsdl version."),
            "{xml}"
        );
    }
}
