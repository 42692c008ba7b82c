//! Server-sent events as a browser reads them (HTML, section 9.2.6, "Interpreting an event
//! stream"), and how a stream ended.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::client::OpenAnswer;

/// Something that came on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamItem {
    /// A line that begins with a colon.
    Comment,
    /// An event with data.
    Event(StreamEvent),
    /// The last chunk: a proper end.
    End,
    /// The connection broke off; why.
    Broken(String),
    /// Nothing more until the deadline.
    Silence,
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamEvent {
    /// `message` unless the stream names another.
    pub(super) name: String,
    /// The last id that the stream has named.
    pub(super) id: String,
    pub(super) data: String,
}

/// A stream that is read as it comes.
pub(super) struct EventStream {
    answer: OpenAnswer,
    parser: EventStreamParser,
    waiting: std::collections::VecDeque<StreamItem>,
    has_ended: bool,
    opened: Instant,
}

impl EventStream {
    pub(super) fn new(answer: OpenAnswer) -> Self {
        Self {
            answer,
            parser: EventStreamParser::default(),
            waiting: std::collections::VecDeque::new(),
            has_ended: false,
            opened: Instant::now(),
        }
    }

    /// The time since its head was read.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The reconnection time that it has asked for, in milliseconds.
    pub(super) fn retry_ms(&self) -> Option<u64> {
        self.parser.retry_ms
    }

    /// Returns the next event, until a moment.
    pub(super) async fn next(&mut self, until: Instant) -> StreamItem {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return item;
            }
            if self.has_ended {
                return StreamItem::End;
            }
            match timeout_at(until, self.answer.next()).await {
                Err(_) => return StreamItem::Silence,
                Ok(Err(why)) => {
                    self.has_ended = true;
                    return StreamItem::Broken(why);
                }
                Ok(Ok(None)) => {
                    self.has_ended = true;
                    return StreamItem::End;
                }
                Ok(Ok(Some(bytes))) => {
                    self.parser.feed(&bytes, &mut self.waiting);
                }
            }
        }
    }
}

/// Lines, and the event that they are building.
#[derive(Default)]
struct EventStreamParser {
    line: Vec<u8>,
    event: StreamEvent,
    has_data: bool,
    retry_ms: Option<u64>,
    /// `true` where the last byte was a carriage return, whose line feed is a part of it.
    after_return: bool,
}

impl EventStreamParser {
    fn feed(&mut self, bytes: &[u8], out: &mut std::collections::VecDeque<StreamItem>) {
        for byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.take(&String::from_utf8_lossy(&line), out);
                }
                byte => self.line.push(*byte),
            }
        }
    }

    fn take(&mut self, line: &str, out: &mut std::collections::VecDeque<StreamItem>) {
        if line.is_empty() {
            let id = self.event.id.clone();
            let mut event = std::mem::take(&mut self.event);
            self.event.id = id;
            if std::mem::take(&mut self.has_data) {
                event.data.pop();
                if event.name.is_empty() {
                    event.name = "message".into();
                }
                out.push_back(StreamItem::Event(event));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => out.push_back(StreamItem::Comment),
            "event" => self.event.name = value.to_owned(),
            "id" if !value.contains('\0') => self.event.id = value.to_owned(),
            "data" => {
                self.has_data = true;
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, id: &str, data: &str) -> StreamItem {
        StreamItem::Event(StreamEvent {
            name: name.into(),
            id: id.into(),
            data: data.into(),
        })
    }

    #[test]
    fn events_as_browsers_read_them() {
        let text = ":\nretry: 2000\n\nid: 1\nevent: advice\ndata: {\"a\":1}\n\ndata:x\r\ndata\r\n\r\nevent: none\n\n";
        let expected = [
            StreamItem::Comment,
            event("advice", "1", "{\"a\":1}"),
            event("message", "1", "x\n"),
        ];
        // The result is the same for pieces of any size.
        for size in [1, 2, 3, 7, 100] {
            let mut parser = EventStreamParser::default();
            let mut found = std::collections::VecDeque::new();
            for piece in text.as_bytes().chunks(size) {
                parser.feed(piece, &mut found);
            }
            assert_eq!(found, expected, "pieces of {size}");
            assert_eq!(parser.retry_ms, Some(2000));
        }
    }
}
