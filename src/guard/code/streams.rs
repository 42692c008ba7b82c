//! Event streams in JavaScript and TypeScript: served, asked for, and read by hand.

use tree_sitter::Node;

use super::bindings::field;
use super::script::ScriptReader;
use crate::guard::rules;

/// Text that says that a body is read as a stream of messages, and not as a file.
const STREAM_SIGNS: [&str; 4] = ["TextDecoder", "event-stream", "ndjson", "jsonl"];

impl<'t> ScriptReader<'t> {
    /// `response.body.getReader()` in a file that decodes text.
    pub(super) fn body_reader(&mut self, node: Node<'t>, function: Node<'t>) {
        let object = field(function, "object").map(|one| self.source.text(one));
        let is_body = object.is_some_and(|text| {
            text.contains(".body") || text.contains("?.body") || text.ends_with("body")
        });
        if is_body && self.has_stream_signs() {
            let message = "a response's body is read as a stream of messages by hand";
            self.found(&rules::stream_reader::RULE, node, message.to_owned());
        }
    }

    /// `for await (const chunk of response.body)` in a file that decodes text.
    pub(super) fn stream_loop(&mut self, node: Node<'t>) {
        let Some(right) = field(node, "right") else {
            return;
        };
        let text = self.source.text(right);
        let is_await = self.source.text(node).starts_with("for await");
        let is_body = text.ends_with(".body") || text.contains(".body!") || text.contains(".body.");
        if is_await && is_body && self.has_stream_signs() {
            let message = "a response's body is read as a stream of messages by hand";
            self.found(&rules::stream_reader::RULE, node, message.to_owned());
        }
    }

    fn has_stream_signs(&self) -> bool {
        STREAM_SIGNS
            .iter()
            .any(|sign| self.source.text.contains(sign))
    }

    /// `Accept: "text/event-stream"` and `"Content-Type": "text/event-stream"`.
    pub(super) fn accepts_stream(&mut self, node: Node<'t>) {
        let (Some(key), Some(value)) = (field(node, "key"), field(node, "value")) else {
            return;
        };
        let is_stream = self.source.literal(value).is_some_and(is_event_stream);
        if is_stream && is_header(self.source.text(key)) {
            let message = "an event stream beside the real-time layer";
            self.found(&rules::stream_reader::RULE, node, message.to_owned());
        }
    }

    /// `response.setHeader("Content-Type", "text/event-stream")`.
    pub(super) fn header_call(
        &mut self,
        node: Node<'t>,
        function: Node<'t>,
        arguments: &[Node<'t>],
    ) {
        const SETTERS: [&str; 6] = [
            "setHeader",
            "set",
            "append",
            "header",
            "type",
            "setRequestHeader",
        ];
        let setter = field(function, "property").map(|one| self.source.text(one));
        let literals: Vec<&str> = arguments
            .iter()
            .filter_map(|one| self.source.literal(*one))
            .collect();
        let is_stream = match (setter, &*literals) {
            (Some("type"), [only]) => is_event_stream(only),
            (Some(setter), [key, value]) => {
                SETTERS.contains(&setter) && is_header(key) && is_event_stream(value)
            }
            _ => false,
        };
        if is_stream {
            let message = "an event stream beside the real-time layer";
            self.found(&rules::stream_reader::RULE, node, message.to_owned());
        }
    }
}

fn is_event_stream(text: &str) -> bool {
    text.split([';', ','])
        .any(|part| part.trim() == "text/event-stream")
}

fn is_header(key: &str) -> bool {
    let key = key.trim_matches(['"', '\'']);
    ["accept", "content-type", "contenttype"]
        .iter()
        .any(|known| key.eq_ignore_ascii_case(known))
}
