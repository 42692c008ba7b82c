//! Event store: one timeline from the reports of several endpoints, and the bounds of everything.

use std::time::{Duration, SystemTime};

use super::*;
use crate::event::envelope::Envelope;

const EVENT: &str = r#"{"version":"0","id":"e1","detail-type":"OrderPlaced","source":"shop.orders","account":"0","time":"2026-11-25T10:00:00Z","region":"r","resources":[],"detail":{"orderId":"1"}}"#;

fn ledger() -> EventStore {
    let routes = RouteTable::new(Vec::new(), Envelope::EventBridge, None);
    EventStore::new(Arc::new(routes))
}

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn sight(ledger: &EventStore, millis: u64, what: Seen) {
    ledger.sight(Sighting {
        at: at(millis),
        what,
    });
}

fn observe(ledger: &EventStore, millis: u64, client: &str, what: BrokerEvent) {
    ledger.observe(BrokerObservation {
        at: at(millis),
        client_id: client.into(),
        what,
    });
}

fn put(id: &str, envelope: &str) -> Seen {
    Seen::Put {
        event_id: id.into(),
        bus: "default".into(),
        envelope: envelope.into(),
        rules: Some(1),
    }
}

fn queued(message: &str, body: &str, from: Option<&str>) -> Seen {
    Seen::Queued {
        queue: "events".into(),
        message_id: message.into(),
        body: serde_json::to_string(body).unwrap().into(),
        from: from.map(|id| (id.into(), "to-eventcast".into())),
        dead_letter: None,
    }
}

fn mark(id: &str, millis: u64) -> Option<Box<EventCorrelation>> {
    Some(Box::new(EventCorrelation {
        event_id: id.into(),
        route: Some("orders".into()),
        published: at(millis),
    }))
}

fn delivered(id: &str, topic: &str) -> BrokerEvent {
    BrokerEvent::Delivered {
        topic: topic.into(),
        bytes: 10,
        qos: 1,
        retained: false,
        again: false,
        mark: mark(id, 12),
    }
}

/// Records one event's whole timeline, in the order in which the endpoints might report it.
fn whole_way(ledger: &EventStore) {
    sight(ledger, 10, put("e1", EVENT));
    sight(ledger, 10, queued("m1", EVENT, Some("e1")));
    let (queue, message_id) = ("events".into(), "m1".into());
    let received = Seen::Received {
        queue,
        message_id,
        attempt: 1,
    };
    sight(ledger, 11, received);
    observe(ledger, 13, "c1", delivered("e1", "order/1"));
    let published = BrokerEvent::Published {
        topic: "order/1".into(),
        bytes: 10,
        qos: 1,
        retain: false,
        sessions: 2,
        mark: mark("e1", 12),
    };
    observe(ledger, 14, "bridge", published);
    let dropped = BrokerEvent::Dropped {
        topic: "order/1".into(),
        why: "no policy allows iot:Receive on its topic".into(),
        mark: mark("e1", 12),
    };
    observe(ledger, 15, "c2", dropped);
    let (queue, message_id) = ("events".into(), "m1".into());
    sight(ledger, 16, Seen::Deleted { queue, message_id });
}

#[test]
fn an_event_is_followed_from_the_bus_to_clients() {
    let ledger = ledger();
    whole_way(&ledger);
    let (trail, body) = ledger.trail("e1").unwrap();
    assert_eq!(body.unwrap(), EVENT);
    insta::assert_json_snapshot!(trail);
    let pulse = ledger.pulse();
    let totals = [
        &pulse.events,
        &pulse.messages,
        &pulse.deliveries,
        &pulse.denied,
    ];
    assert_eq!(totals.map(|flow| flow.total), [1, 1, 1, 1]);
    let latency = pulse.latency.unwrap();
    assert_eq!((latency.p50_ms, latency.p99_ms), (3.0, 3.0));
    let (_, denials) = ledger.of_client("c2", 9);
    assert!(matches!(&denials[..], [one] if matches!(one.what, BrokerEvent::Dropped { .. })));
}

#[test]
fn messages_that_come_by_themselves_are_read() {
    let ledger = ledger();
    sight(&ledger, 1, queued("m1", EVENT, None));
    sight(&ledger, 2, queued("m2", "not an event", None));
    let (queue, message_id) = ("events".into(), "m2".into());
    let to = "events-dlq".into();
    let redriven = Seen::Redriven {
        queue,
        message_id,
        to,
    };
    sight(&ledger, 3, redriven);
    assert_eq!(ledger.trail("e1").unwrap().0.hops.len(), 1);
    // A body that is no event has the message's id, as in the daemon's log.
    let (trail, _) = ledger.trail("m2").unwrap();
    assert!(trail.dead && trail.source.is_none());
}

#[test]
fn news_are_what_has_changed() {
    let ledger = ledger();
    whole_way(&ledger);
    let news = ledger.news(0, 10);
    assert_eq!((news.events.len(), news.denials.len()), (1, 1));
    assert!(news.events[0].hops.is_empty());
    assert!(ledger.news(news.version, 10).events.is_empty());
    observe(&ledger, 20, "c3", delivered("e1", "order/1"));
    let later = ledger.news(news.version, 10);
    assert_eq!((later.events.len(), later.denials.len()), (1, 0));
    assert_eq!(later.events[0].delivered, 2);
}

#[test]
fn the_oldest_events_are_forgotten_whole() {
    let ledger = ledger();
    let body = format!("{{\"id\":\"{}\"}}", "x".repeat(8_000));
    for number in 0..3_000 {
        let id = format!("e{number}");
        sight(&ledger, number, put(&id, &body));
        sight(
            &ledger,
            number,
            queued(&format!("m{number}"), &body, Some(&id)),
        );
    }
    assert!(ledger.trail("e1999").is_none() && ledger.trail("e2000").is_some());
    let state = ledger.state();
    assert_eq!(state.trails.tied("m1999"), None);
    assert_eq!(state.trails.tied("m2000").as_deref(), Some("e2000"));
    assert!(state.trails.bodies() <= 4 * 1024 * 1024);
    assert!(state.trails.bodies() > 3 * 1024 * 1024);
}

#[test]
fn a_forgotten_event_is_not_new_and_took_no_time() {
    let ledger = ledger();
    for number in 0..1_500 {
        sight(&ledger, number, put(&format!("e{number}"), EVENT));
    }
    observe(&ledger, 2_000, "c1", delivered("e7", "order/1"));
    let pulse = ledger.pulse();
    assert_eq!((pulse.events.total, pulse.latency), (1_500, None));
    // Without a bus and a queue, each event is new.
    let ledger = self::ledger();
    observe(&ledger, 2_000, "c1", delivered("e7", "order/1"));
    assert_eq!(ledger.pulse().events.total, 1);
}

#[test]
fn messages_without_a_mark_count_for_their_topic_only() {
    let ledger = ledger();
    let what = BrokerEvent::Published {
        topic: "a/b".into(),
        bytes: 1,
        qos: 0,
        retain: false,
        sessions: 0,
        mark: None,
    };
    observe(&ledger, 1, "device", what);
    assert_eq!(ledger.pulse().events.total, 0);
    assert_eq!(ledger.channels(9, |_| true).channels[0].published, 1);
}
