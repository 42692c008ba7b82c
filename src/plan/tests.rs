//! The plan against hand arithmetic, and properties that must hold for every load.

use std::time::Duration;

use proptest::prelude::*;

use super::bill::CostGroup;
use super::capacity_plan::{CapacityPlan, PlanBasis};
use super::facts::{PlatformFacts, RouteFacts};
use super::prices::PriceTable;
use super::quotas::{QuotaName, QuotaTable};
use crate::config::load_profile::{DAY, EventRate, FanOut, LoadProfile, RouteLoad};

fn basis(profile: LoadProfile) -> PlanBasis {
    PlanBasis {
        profile,
        facts: PlatformFacts::default(),
        quotas: QuotaTable::try_of_region("us-east-1").unwrap(),
        prices: PriceTable::try_of_region("us-east-1").unwrap(),
        headroom: 0.3,
    }
}

/// A row of the hand arithmetic: clients, hours a day, messages a client and day, connections a
/// day, QoS, fan-out.
fn row(
    (clients, hours, messages): (f64, u64, f64),
    reconnects: f64,
    qos: u8,
    fan_out: f64,
) -> PlanBasis {
    let mut profile = LoadProfile {
        clients,
        connected: Duration::from_secs(hours * 3_600),
        reconnects_per_day: reconnects,
        // The rows have no stored messages and no authorizer.
        session_expiry: Duration::ZERO,
        authorizer: Duration::ZERO,
        ..LoadProfile::default()
    };
    profile.routes = vec![RouteLoad {
        events: EventRate::per_client(messages / fan_out / 86_400.0),
        subscribers: FanOut::Clients(fan_out),
        qos: Some(qos),
        ..RouteLoad::assumed("route")
    }];
    basis(profile)
}

/// Eight rows that were added up by hand: connection, milliards of messages, messages, and both
/// together, in whole dollars.
#[test]
fn eight_rows_by_hand() {
    let always = |clients, messages| (clients, 24, messages);
    let web = |clients, messages| (clients, 2, messages);
    for (name, basis, connection, milliards, messages, total) in [
        (
            "always on, 20 a day, QoS 0",
            row(always(1e6, 20.0), 2.0, 0, 1.0),
            3_456,
            1.32,
            1_256,
            4_712,
        ),
        (
            "the same, QoS 1",
            row(always(1e6, 20.0), 2.0, 1, 1.0),
            3_456,
            1.92,
            1_736,
            5_192,
        ),
        (
            "web, 50 a day, QoS 0",
            row(web(1e6, 50.0), 6.0, 0, 1.0),
            288,
            3.36,
            2_888,
            3_176,
        ),
        (
            "the same, QoS 1",
            row(web(1e6, 50.0), 6.0, 1, 1.0),
            288,
            4.86,
            4_088,
            4_376,
        ),
        (
            "1 a minute, QoS 1",
            row(always(1e6, 1_440.0), 2.0, 1, 1.0),
            3_456,
            129.72,
            91_504,
            94_960,
        ),
        (
            "1 a minute, fan-out 10, QoS 0",
            row(always(1e6, 1_440.0), 2.0, 0, 10.0),
            3_456,
            47.64,
            34_048,
            37_504,
        ),
        (
            "10 M, 20 a day, QoS 1",
            row(always(1e7, 20.0), 2.0, 1, 1.0),
            34_560,
            19.2,
            14_140,
            48_700,
        ),
        (
            "10 M web, QoS 1",
            row(web(1e7, 50.0), 6.0, 1, 1.0),
            2_880,
            48.6,
            34_720,
            37_600,
        ),
    ] {
        let bill = basis.plan().bill;
        let line = |name: &str| {
            let found = bill.lines.iter().find(|line| line.name == name);
            found.unwrap_or_else(|| panic!("no line {name}")).dollars
        };
        let units: f64 = bill
            .lines
            .iter()
            .filter(|line| line.group == CostGroup::Messages)
            .map(|line| line.units)
            .sum();
        let clients = line("client-connections");
        let of_messages = bill.of_group(CostGroup::Messages);
        let whole = |dollars: f64| dollars.round() as i64;
        assert_eq!(whole(clients), connection, "{name}");
        assert!((units / 1e9 - milliards).abs() < 1e-6, "{name}: {units}");
        assert_eq!(whole(of_messages), messages, "{name}");
        assert_eq!(whole(clients + of_messages), total, "{name}");
    }
}

/// Times of recovery of a million clients, and of ten, by hand: 5.6 minutes for CONNECT, 16.7 for
/// three filters each, 50 s for a broadcast.
#[test]
fn recovery_by_hand() {
    let times = |clients: f64| {
        let recovery = row((clients, 24, 20.0), 2.0, 1, 1.0).plan().recovery;
        [
            recovery.connect_seconds,
            recovery.subscribe_seconds,
            recovery.broadcast_seconds,
            recovery.live_seconds,
        ]
        .map(|seconds| seconds.round() as i64)
    };
    assert_eq!(times(1e6), [333, 1_000, 50, 1_010]);
    assert_eq!(times(1e7), [3_333, 10_000, 500, 10_010]);
}

#[test]
fn an_authorizer_may_be_the_bound() {
    let mut basis = row((1e6, 24, 20.0), 2.0, 1, 1.0);
    basis.profile.channels = 1.0;
    basis.profile.authorizer = Duration::from_millis(500);
    // 1,000 executions of half a second admit 2,000 a second.
    assert_eq!(basis.plan().recovery.live_seconds, 510.0);
    basis.quotas = basis.quotas.with(QuotaName::LambdaConcurrency, 4_000.0);
    assert_eq!(basis.plan().recovery.live_seconds.round() as i64, 343);
}

#[test]
fn stored_and_lost_messages() {
    let mut basis = row((1e4, 24, 864.0), 2.0, 1, 1.0);
    // 100 messages a second, at the peak 300, for a minute of outage.
    basis.profile.outage = Duration::from_secs(60);
    let lost = |basis: &PlanBasis| basis.plan().recovery.lost;
    assert_eq!(lost(&basis).expired, 18_000.0);
    basis.profile.session_expiry = Duration::from_secs(300);
    let recovery = basis.plan().recovery;
    assert_eq!(recovery.lost.total(), 0.0);
    assert_eq!(recovery.stored_messages, 18_000.0);
    // 20,000 a second go out, 300 of them new.
    assert_eq!(recovery.stored_drain_seconds, Some(18_000.0 / 19_700.0));
    basis.quotas = basis.quotas.with(QuotaName::QueuedPerSecond, 200.0);
    assert_eq!(lost(&basis).over_quota, 6_000.0);
    basis.profile.routes[0].qos = Some(0);
    assert_eq!(lost(&basis).qos0, 18_000.0);
}

#[test]
fn payloads_over_5_kb_cost_twice_and_the_lever_says_so() {
    let mut basis = row((1e6, 24, 20.0), 2.0, 0, 1.0);
    let before = basis.plan().bill.total;
    basis.profile.routes[0].payload_bytes = 5_000.0;
    let plan = basis.plan();
    let lever = plan
        .levers
        .iter()
        .find(|lever| lever.name == "payload")
        .unwrap();
    assert!((plan.bill.total - before - lever.saves).abs() < 1e-6);
    assert!(lever.saves > 900.0, "{}", lever.saves);
}

#[test]
fn each_lever_saves_what_it_says() {
    let mut basis = row((1e6, 2, 50.0), 6.0, 1, 1.0);
    let route = RouteFacts {
        name: "route".to_owned(),
        targets: 1.0,
        qos: 1,
        retain: false,
        conflate: false,
    };
    basis.facts.routes = vec![route];
    basis.facts.publishes_by_https = true;
    basis.profile.authorizer = Duration::from_millis(50);
    basis.profile.hidden_share = 0.5;
    basis.profile.routes[0].conflated_share = 0.4;
    basis.profile.routes[0].payload_bytes = 9_000.0;
    let names: Vec<&str> = basis.plan().levers.iter().map(|lever| lever.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "authorizer-refresh",
            "conflate",
            "hidden-pages",
            "payload",
            "publish-by-mqtt",
            "qos",
            "reconnects"
        ]
    );
    assert!(basis.plan().levers.iter().all(|lever| lever.saves >= 1.0));
}

#[test]
fn requests_ask_for_the_wanted_headroom() {
    let mut basis = row((1e6, 24, 20.0), 2.0, 1, 1.0);
    let request = |plan: &CapacityPlan, name| {
        let quota = plan.quotas.iter().find(|quota| quota.name == name).unwrap();
        quota.request.as_ref().map(|request| request.desired)
    };
    let plan = basis.plan();
    assert_eq!(request(&plan, QuotaName::Connections), Some(1_500_000.0));
    assert_eq!(request(&plan, QuotaName::Subscriptions), Some(4_300_000.0));
    assert_eq!(request(&plan, QuotaName::ConnectsPerSecond), None);
    // All live in a minute takes far more of both buckets.
    basis.profile.recover_within = Some(Duration::from_secs(60));
    let plan = basis.plan();
    assert_eq!(request(&plan, QuotaName::ConnectsPerSecond), Some(20_000.0));
    assert_eq!(
        request(&plan, QuotaName::SubscriptionsPerSecond),
        Some(60_000.0)
    );
    // With the requested quotas recovery is as fast as wanted.
    for name in [
        QuotaName::ConnectsPerSecond,
        QuotaName::SubscriptionsPerSecond,
    ] {
        basis.quotas = basis.quotas.with(name, request(&plan, name).unwrap());
    }
    assert!(basis.plan().recovery.live_seconds <= 60.0);
}

#[test]
fn old_lines_are_remarked() {
    let basis = row((1e4, 24, 20.0), 2.0, 1, 1.0);
    let stale = |today: &str| {
        let remarks = basis.remarks(today.parse().unwrap());
        remarks
            .iter()
            .filter(|remark| remark.contains("over 180 days ago"))
            .count()
    };
    assert_eq!(stale("2026-11-28"), 0);
    assert_eq!(stale("2027-05-22"), 0);
    assert!(stale("2027-05-23") > 10);
    assert!(stale("2028-01-01") > 30);
}

#[test]
fn assertions() {
    let plan = row((1e4, 24, 20.0), 2.0, 1, 1.0).plan();
    let check = |text: &str| {
        text.parse::<super::assertion::PlanAssertion>()
            .unwrap()
            .check(&plan)
    };
    for (text, holds) in [
        ("cost<=5000", true),
        ("cost <= $10", false),
        ("headroom>=30%", true),
        ("headroom>=99.9 %", false),
        ("recovery<=1m", true),
        ("recovery<=1s", false),
        ("broadcast<=500ms", true),
        ("tasks<=4", true),
        ("lost<=0", false),
        ("drain<=1s", true),
        ("backlog<=10m", true),
    ] {
        assert_eq!(check(text).holds, holds, "{text}: {}", check(text).found);
    }
    for text in [
        "",
        "cost",
        "cost<5",
        "cost<=x",
        "price<=5",
        "headroom>=0.3",
        "recovery<=5",
        "cost<=NaN",
    ] {
        let error = text.parse::<super::assertion::PlanAssertion>().unwrap_err();
        assert!(error.starts_with("accepted: "), "{text}: {error}");
    }
}

/// Any load of one or two routes.
fn loads() -> impl Strategy<Value = LoadProfile> {
    let route = (
        1e-6..0.1_f64,
        0.0..20.0_f64,
        1.0..100_000.0_f64,
        0..2_u8,
        0.0..1.0_f64,
    );
    let routes = prop::collection::vec((route, any::<bool>()), 1..3);
    let client = (1e3..1e7_f64, 60..86_400_u64, 1.0..50.0_f64, 1.0..50.0_f64);
    let other = (1.0..10.0_f64, 0.0..1.0_f64, 0..3_600_u64, 1..3_600_u64);
    (client, other, routes).prop_map(|(client, other, routes)| {
        let (clients, connected, reconnects, channels) = client;
        let (peak, polling, expiry, outage) = other;
        let mut profile = LoadProfile {
            clients,
            connected: Duration::from_secs(connected),
            reconnects_per_day: reconnects,
            channels,
            peak,
            polling_share: polling,
            session_expiry: Duration::from_secs(expiry),
            outage: Duration::from_secs(outage),
            ..LoadProfile::default()
        };
        let routes = routes.into_iter().enumerate();
        profile.routes = routes
            .map(
                |(index, ((rate, fan_out, payload, qos, conflated), is_broadcast))| RouteLoad {
                    name: format!("route-{index}"),
                    events: if is_broadcast {
                        EventRate::fixed(rate)
                    } else {
                        EventRate::per_client(rate)
                    },
                    topics: None,
                    subscribers: if is_broadcast {
                        FanOut::All
                    } else {
                        FanOut::Clients(fan_out)
                    },
                    payload_bytes: payload,
                    qos: Some(qos),
                    conflated_share: conflated,
                },
            )
            .collect();
        profile
    })
}

/// One way in which a load may grow.
fn grown(profile: &LoadProfile, way: usize, factor: f64) -> LoadProfile {
    let mut grown = profile.clone();
    match way {
        0 => grown.clients *= factor,
        1 => grown.reconnects_per_day *= factor,
        2 => grown.channels *= factor,
        3 => grown.peak *= factor,
        4 => grown.polling_share = (grown.polling_share * factor).min(1.0),
        5 => grown.routes[0].payload_bytes *= factor,
        6 => {
            let rate = grown.routes[0].events.per_second(1.0) * factor;
            grown.routes[0].events = match grown.routes[0].subscribers {
                FanOut::All => EventRate::fixed(rate),
                FanOut::Clients(_) => EventRate::per_client(rate),
            };
        }
        7 => {
            if let FanOut::Clients(clients) = &mut grown.routes[0].subscribers {
                *clients *= factor;
            }
        }
        8 => grown.routes[0].qos = Some(1),
        9 => {
            grown.connected = grown.connected.mul_f64(factor).min(DAY);
            // Fewer messages come while a client is away that is seldom away.
            grown.session_expiry = Duration::ZERO;
        }
        _ => grown.publications = EventRate::per_client(factor),
    }
    grown
}

const WAYS: usize = 11;

proptest! {
    /// Cost and use never fall when the load grows.
    #[test]
    fn more_load_is_never_cheaper(profile in loads(), way in 0..WAYS, factor in 1.0..8.0_f64) {
        let mut less = profile.clone();
        if way == 9 {
            less.session_expiry = Duration::ZERO;
        }
        let (less, more) = (basis(less).plan(), basis(grown(&profile, way, factor)).plan());
        let slack = less.bill.total * 1e-9;
        prop_assert!(more.bill.total >= less.bill.total - slack, "{} {}", less.bill.total, more.bill.total);
        for quota in &less.quotas {
            let after = more.quotas.iter().find(|other| other.name == quota.name).unwrap().used;
            // One client's rate in the busiest second falls when its share of the day grows.
            let is_of_one = matches!(
                quota.name,
                QuotaName::PublishesPerSecondPerConnection | QuotaName::BytesPerSecondPerConnection
            );
            if !(is_of_one && matches!(way, 0 | 3 | 9)) {
                prop_assert!(after >= quota.used * (1.0 - 1e-9), "{:?}: {} {after}", quota.name, quota.used);
            }
        }
    }

    /// Doubling a quota never lengthens any time of recovery, and never loses more.
    #[test]
    fn more_quota_is_never_slower(profile in loads(), which in 0..QuotaName::ALL.len(), factor in 1.0..4.0_f64) {
        let before = basis(profile);
        let name = QuotaName::ALL[which];
        let mut after = before.clone();
        // The time between two CONNECTs of one client id is a time, and no rate: more of it is
        // worse.
        let value = before.quotas.value(name);
        let value = if name == QuotaName::SecondsBetweenConnectsPerClientId { value / factor } else { value * factor };
        after.quotas = after.quotas.with(name, value);
        let (before, after) = (before.plan().recovery, after.plan().recovery);
        let never = f64::INFINITY;
        for (title, first, second) in [
            ("live", before.live_seconds, after.live_seconds),
            ("kept", before.kept_sessions_seconds, after.kept_sessions_seconds),
            ("broadcast", before.broadcast_seconds, after.broadcast_seconds),
            ("backlog", before.backlog_drain_seconds.unwrap_or(never), after.backlog_drain_seconds.unwrap_or(never)),
            ("lost", before.lost.total(), after.lost.total()),
        ] {
            prop_assert!(second <= first * (1.0 + 1e-9), "{title}: {first} {second}");
        }
        // More room for stored messages stores more, which takes longer to deliver.
        if name != QuotaName::QueuedPerSecond {
            let drain = |recovery: &super::recovery::RecoveryTime| recovery.stored_drain_seconds.unwrap_or(never);
            prop_assert!(drain(&after) <= drain(&before) * (1.0 + 1e-9));
        }
    }

    /// The bill is the sum of its lines, and no lever makes it negative.
    #[test]
    fn bills_add_up(profile in loads()) {
        let plan = basis(profile).plan();
        let lines: f64 = plan.bill.lines.iter().map(|line| line.dollars).sum();
        prop_assert!((lines - plan.bill.total).abs() <= plan.bill.total * 1e-9);
        prop_assert!(plan.levers.iter().all(|lever| lever.saves <= plan.bill.total));
        prop_assert!(plan.bill.lines.iter().all(|line| line.dollars >= 0.0 && line.units >= 0.0));
        let fleet = &plan.fleet.bridge;
        prop_assert!(fleet.least <= fleet.most && fleet.mean <= fleet.most);
    }
}
