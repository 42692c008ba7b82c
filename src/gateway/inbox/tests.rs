//! The inbox against a broker that sends unacknowledged messages again, and a client whose
//! responses are lost.

use proptest::prelude::*;

use super::*;

fn message(key: u64) -> Message {
    Message {
        json: Bytes::from(format!("{{\"k\":{key}}}")),
        key: Some(key),
    }
}

/// A persistent session at a broker.
#[derive(Default)]
struct BrokerSession {
    /// Messages that are not acknowledged, each with its packet identifier where it is on its way.
    kept: Vec<(MessageKey, Option<PacketId>)>,
    last_id: PacketId,
}

impl BrokerSession {
    /// Sends the messages that it has not sent on this connection.
    fn send(&mut self, inbox: &mut Inbox, acknowledged: &mut Vec<PacketId>) {
        for (key, packet) in &mut self.kept {
            if packet.is_none() {
                self.last_id += 1;
                *packet = Some(self.last_id);
                acknowledged.extend(inbox.arrive(message(*key), Some(self.last_id)));
            }
        }
    }

    fn reconnect(&mut self) {
        for (_, packet) in &mut self.kept {
            *packet = None;
        }
    }

    /// The keys that are acknowledged so.
    fn acknowledge(&mut self, packets: &[PacketId]) -> Vec<MessageKey> {
        let is_known = |packet: Option<PacketId>| packet.is_some_and(|it| packets.contains(&it));
        let (done, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|(_, packet)| is_known(*packet));
        self.kept = kept;
        let done: Vec<(MessageKey, Option<PacketId>)> = done;
        done.into_iter().map(|(key, _)| key).collect()
    }
}

#[derive(Clone, Debug)]
enum TestStep {
    /// So many messages are published.
    Publish(u64),
    /// The client polls; its response arrives, or is lost.
    Poll { most: usize, arrives: bool },
    /// A stream writes so many messages, of which so many arrive.
    Stream { count: usize, arrive: usize },
    /// Another connection takes over; the last acknowledgements reached the broker, or did not.
    TakeOver { acknowledged: bool },
}

fn step() -> impl Strategy<Value = TestStep> {
    prop_oneof![
        (1_u64..5).prop_map(TestStep::Publish),
        (1_usize..4, any::<bool>()).prop_map(|(most, arrives)| TestStep::Poll { most, arrives }),
        (1_usize..4, 0_usize..4).prop_map(|(count, arrive)| TestStep::Stream { count, arrive }),
        any::<bool>().prop_map(|acknowledged| TestStep::TakeOver { acknowledged }),
    ]
}

/// Everything that takes part.
struct TestWorld {
    broker: BrokerSession,
    inbox: Inbox,
    epoch: u64,
    cursor: Cursor,
    seen: Vec<MessageKey>,
    published: u64,
    /// Packets whose acknowledgement is on its way.
    under_way: Vec<PacketId>,
}

impl TestWorld {
    fn new() -> Self {
        let inbox = Inbox::new(1);
        Self {
            broker: BrokerSession::default(),
            cursor: inbox.cursor(0),
            inbox,
            epoch: 1,
            seen: Vec::new(),
            published: 0,
            under_way: Vec::new(),
        }
    }

    /// The acknowledgements reach the broker: of nothing that the client does not have.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let packets = std::mem::take(&mut self.under_way);
        for key in self.broker.acknowledge(&packets) {
            prop_assert!(
                self.seen.contains(&key),
                "{key} is acknowledged, and the client never had it"
            );
        }
        Ok(())
    }

    fn receive(&mut self) {
        self.broker.send(&mut self.inbox, &mut self.under_way);
    }

    fn show_cursor(&mut self) {
        let confirmed = self
            .inbox
            .confirm(&self.cursor)
            .expect("cursors are shown in order");
        self.under_way.extend(confirmed);
    }

    fn see(&mut self, json: &[u8]) {
        let text = std::str::from_utf8(json).unwrap();
        let key = text.trim_start_matches("{\"k\":").trim_end_matches('}');
        self.seen.push(key.parse().unwrap());
    }

    fn poll(&mut self, most: usize, arrives: bool) {
        self.show_cursor();
        if self.inbox.unconfirmed_count() == 0 {
            for _ in 0..most {
                let _ = self.inbox.give();
            }
        }
        let given: Vec<Bytes> = self.inbox.unconfirmed().map(|it| it.json.clone()).collect();
        if arrives {
            self.cursor = self.inbox.cursor(given.len());
            for json in given {
                self.see(&json);
            }
        }
    }

    fn stream(&mut self, count: usize, arrive: usize) {
        self.show_cursor();
        let mut written = 0;
        for n in 0..count {
            let Some((number, json, cursor)) = self.inbox.give_after(written) else {
                break;
            };
            written = number;
            if n < arrive {
                self.cursor = cursor;
                self.see(&json);
            }
        }
    }

    fn take(&mut self, step: &TestStep) -> Result<(), TestCaseError> {
        match *step {
            TestStep::Publish(count) => {
                for _ in 0..count {
                    self.published += 1;
                    self.broker.kept.push((self.published, None));
                }
                self.receive();
            }
            TestStep::Poll { most, arrives } => self.poll(most, arrives),
            TestStep::Stream { count, arrive } => self.stream(count, arrive),
            TestStep::TakeOver { acknowledged } => {
                if acknowledged {
                    self.settle()?;
                }
                self.under_way.clear();
                self.broker.reconnect();
                self.epoch += 1;
                self.inbox = Inbox::new(self.epoch);
                self.show_cursor();
                self.receive();
            }
        }
        self.settle_sometimes()
    }

    fn settle_sometimes(&mut self) -> Result<(), TestCaseError> {
        if self.published.is_multiple_of(2) {
            self.settle()?;
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_acknowledged_before_it_arrived_and_nothing_is_lost(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = TestWorld::new();
        for step in &steps {
            world.take(step)?;
        }
        // Once nothing is lost any more, everything arrives.
        for _ in 0..3 * world.published + 3 {
            world.receive();
            world.poll(100, true);
            world.settle()?;
        }
        world.poll(100, true);
        world.settle()?;
        for key in 1..=world.published {
            prop_assert!(world.seen.contains(&key), "{key} is lost");
        }
        prop_assert!(world.broker.kept.is_empty(), "{:?}", world.broker.kept);
    }
}

#[test]
fn a_cursor_before_what_was_confirmed_is_stale() {
    let mut inbox = Inbox::new(1);
    let begin = inbox.cursor(0);
    assert_eq!(inbox.arrive(message(1), Some(1)), None);
    inbox.give();
    let first = inbox.cursor(1);
    assert_eq!(inbox.confirm(&begin), Ok(vec![]));
    assert_eq!(inbox.confirm(&first), Ok(vec![1]));
    assert_eq!(inbox.confirm(&first), Ok(vec![]));
    assert_eq!(inbox.confirm(&begin), Err(StaleCursor));
}

#[test]
fn messages_without_an_event_come_again_on_another_connection() {
    let anonymous = || Message {
        key: None,
        ..message(1)
    };
    let mut inbox = Inbox::new(1);
    inbox.arrive(anonymous(), Some(1));
    inbox.give();
    let cursor = inbox.cursor(1);
    let mut other = Inbox::new(2);
    assert_eq!(other.confirm(&cursor), Ok(vec![]));
    assert_eq!(other.arrive(anonymous(), Some(9)), None);
    assert!(!other.is_empty());
}
