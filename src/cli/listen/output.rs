//! Messages as lines: topic and payload for people, one JSON object for programs.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cli::OutputFormat;
use crate::escape::escaped;
use crate::mqtt::listener::Heard;

/// Counts of received messages.
#[derive(Default)]
pub(super) struct ListenTotals {
    pub(super) messages: u64,
}

/// Writes a line for each message, and flushes it: the reader may be a program that waits for it.
pub(super) struct MessageWriter<'o, W> {
    out: &'o mut W,
    format: OutputFormat,
}

impl<'o, W: Write> MessageWriter<'o, W> {
    pub(super) fn new(out: &'o mut W, format: OutputFormat) -> Self {
        Self { out, format }
    }

    pub(super) fn write(&mut self, message: &Heard) -> io::Result<()> {
        match self.format {
            OutputFormat::Text => {
                let payload = String::from_utf8_lossy(&message.payload);
                let line = format!("{} {payload}", message.topic);
                writeln!(self.out, "{}", escaped(&line))?;
            }
            OutputFormat::Json => writeln!(self.out, "{}", as_json(message))?,
        }
        self.out.flush()
    }
}

/// The payload is JSON where it is JSON, text where it is UTF-8, and else Base64 under another
/// name.
fn as_json(message: &Heard) -> Value {
    let payload = &message.payload;
    let (name, payload) = match (
        serde_json::from_slice(payload),
        std::str::from_utf8(payload),
    ) {
        (Ok(value), _) => ("payload", value),
        (Err(_), Ok(text)) => ("payload", Value::from(text)),
        (Err(_), Err(_)) => ("payload_base64", Value::from(STANDARD.encode(payload))),
    };
    let properties = message.properties.iter();
    let properties: Map<String, Value> = properties
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "topic": message.topic,
        name: payload,
        "retain": message.retain,
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payload: &'static [u8]) -> Heard {
        Heard {
            topic: "order/1".into(),
            payload: payload.into(),
            retain: false,
            properties: vec![("eb-id".into(), "7".into())],
        }
    }

    fn lines(format: OutputFormat, payload: &'static [u8]) -> String {
        let mut out = Vec::new();
        MessageWriter::new(&mut out, format)
            .write(&heard(payload))
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages_as_text_are_one_line_each() {
        assert_eq!(
            lines(OutputFormat::Text, b"{\"n\":1}"),
            "order/1 {\"n\":1}\n"
        );
        let forged = lines(OutputFormat::Text, b"a\norder/2 \x1b[31mb");
        assert_eq!(forged, "order/1 a\\norder/2 \\u{1b}[31mb\n");
    }

    #[test]
    fn messages_as_json() {
        let told =
            |payload| serde_json::from_str::<Value>(&lines(OutputFormat::Json, payload)).unwrap();
        assert_eq!(told(b"{\"n\":1}")["payload"], json!({ "n": 1 }));
        assert_eq!(told(b"{\"n\":1}")["properties"]["eb-id"], "7");
        assert_eq!(told(b"on its way")["payload"], "on its way");
        assert_eq!(told(&[0xff, 0])["payload_base64"], "/wA=");
        assert_eq!(told(&[0xff, 0]).get("payload"), None);
    }
}
