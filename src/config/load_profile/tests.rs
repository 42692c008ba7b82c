//! Contents read from load descriptions, and every message about faults in them.

use super::*;

fn read(text: &str, flags: &[&str]) -> LoadedProfile {
    let flags = flags.iter().map(|flag| ("--with", (*flag).to_owned()));
    load_profile(&LoadSource {
        file: "load.yaml",
        text,
        flags: flags.collect(),
        routes: Some(vec!["order-updates", "prices.live"]),
    })
}

fn lines(faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {}: {} | accepted: {} | help: {}\n",
            fault.place,
            fault.code,
            fault.message,
            text(&fault.accepted),
            text(&fault.help),
        )
    };
    faults.iter().map(line).collect()
}

const GOOD: &str = "
region: us-east-1
clients: 1M
connected: 2h
reconnects: 6
polling: 3 %
routes:
  order-updates: { events: 50/d per client, payload: 4 KB }
  prices.live: { events: 2/s, subscribers: all, qos: 0, conflated: 0.5 }
";

#[test]
fn what_is_read() {
    let read = read(
        GOOD,
        &["clients=10k", "routes.prices.live.events=3/s", "peak=5"],
    );
    assert_eq!(read.faults, []);
    let profile = read.profile.unwrap();
    assert_eq!((profile.clients, profile.peak), (10_000.0, 5.0));
    assert_eq!(profile.connected, Duration::from_secs(7_200));
    assert_eq!(profile.polling_share, 0.03);
    let [orders, prices] = profile.routes.as_slice() else {
        panic!("two routes")
    };
    assert_eq!(orders.payload_bytes, 4_096.0);
    assert_eq!(orders.events.per_second(864.0), 0.5);
    assert_eq!(prices.events, EventRate::fixed(3.0));
    assert_eq!(prices.subscribers, FanOut::All);
    assert_eq!((prices.qos, prices.conflated_share), (Some(0), 0.5));
}

#[test]
fn without_a_file_each_route_has_an_assumed_load() {
    let profile = read("", &[]).profile.unwrap();
    let names: Vec<&str> = profile.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["order-updates", "prices.live"]);
    let flagged = read("", &["routes.order-updates.events=9/s"]);
    assert_eq!(flagged.profile.unwrap().routes.len(), 1);
    assert!(lines(&flagged.faults).contains("`prices.live` has no load"));
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = "
region: 7
client: 5
clients: 1e6
connected: 25h
reconnects: -1
peak: 0.5
polling: 130 %
outage: soon
recover_within: 0s
authorizer: 2m
publications: 5
unrouted: 9999G/s
event_bytes: 2 MB
routes:
  order-updates: { events: 5/w, topics: many, subscribers: some, payload: 0, qos: 2, conflated: yes }
  order-update: { events: 1/s, event: 2 }
";
    let faults = read(text, &["clients", "hidden=2", "routes.other.events=1/s"]);
    assert!(faults.profile.is_none());
    insta::assert_snapshot!(lines(&faults.faults));
}

#[test]
fn a_text_that_is_no_yaml() {
    let faults = read("a: [", &[]).faults;
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].message.starts_with("not YAML"),
        "{}",
        faults[0].message
    );
}

#[test]
fn always_connected_clients_come_back_once_a_day() {
    let read = read("reconnects: 0.2", &[]);
    assert_eq!(read.profile.unwrap().reconnects_per_day, 1.0);
    assert!(lines(&read.faults).contains("ends a WebSocket after 24 hours"));
}

#[test]
fn a_profile_that_is_written_is_read_again() {
    for flags in [
        &[][..],
        &[
            "recover_within=5m",
            "authorizer=1500ms",
            "region=eu-west-1",
            "routes.prices.live.topics=2",
        ],
    ] {
        let profile = read(GOOD, flags).profile.unwrap();
        let again = read(&profile.to_yaml(), &[]);
        assert_eq!(again.faults, []);
        assert_eq!(again.profile, Some(profile));
    }
}
