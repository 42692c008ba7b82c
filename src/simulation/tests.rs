//! The model against arithmetic, against itself, and its invariants on random scenarios.

use proptest::prelude::*;

use super::engine::{InterruptedRun, simulate};
use super::file::load;
use super::outcome::{LossCause, SimulationOutcome};
use super::report::{NamedRun, RecoveryReport};
use super::scenario::RecoveryScenario;

const BASE: &str = "\
name: test
until: 2h
clients: { count: 30000, channels: 3 }
limits: { connect_quota: 300, subscribe_quota: 900, client_id_interval: 0s }
bridge: { events_per_second: 200, fan_out: 20 }
disturbances:
  - { name: outage, kind: outage, at: 10s, for: 60s }
";

#[track_caller]
fn scenario(text: &str, settings: &[&str]) -> RecoveryScenario {
    let settings: Vec<String> = settings.iter().map(|one| (*one).to_owned()).collect();
    load("test.yaml", text, &settings).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[track_caller]
fn run(settings: &[&str]) -> SimulationOutcome {
    run_text(BASE, settings)
}

#[track_caller]
fn run_text(text: &str, settings: &[&str]) -> SimulationOutcome {
    let outcome = simulate(&scenario(text, settings), &mut |_| true).unwrap();
    assert_eq!(outcome.violations, [""; 0]);
    outcome
}

fn lost(outcome: &SimulationOutcome, cause: LossCause) -> u64 {
    let lost = &outcome.messages.as_ref().unwrap().lost;
    lost.iter().find(|one| one.cause == cause).unwrap().count
}

/// Seconds until a part of the first wave is live.
fn until(outcome: &SimulationOutcome, percent: usize) -> f64 {
    let at = [50, 90, 99, 100]
        .iter()
        .position(|one| *one == percent)
        .unwrap();
    f64::from(outcome.waves[0].until_live[at].unwrap()) / 1_000.0
}

#[test]
fn the_connect_quota_sets_the_pace() {
    // 30,000 clients at 300 a second are 100 seconds; a bucket gives one second more at the begin.
    let outcome = run(&["clients.session_expiry=1h"]);
    assert_eq!(outcome.waves[0].affected, 30_000);
    let (half, late, all) = (
        until(&outcome, 50),
        until(&outcome, 99),
        until(&outcome, 100),
    );
    assert!((48.0..52.0).contains(&half), "{half}");
    // The last ones sleep up to half a minute while there is room already.
    assert!((97.0..112.0).contains(&late), "{late}");
    assert!((99.0..135.0).contains(&all), "{all}");
    assert!(outcome.is_settled && outcome.clients.live == 30_000);
}

#[test]
fn the_subscribe_quota_sets_it_where_it_is_smaller() {
    // Without sessions 90,000 filters at 450 a second are 200 seconds.
    let settings = [
        "clients.session_expiry=0s",
        "limits.subscribe_quota=450",
        "refused-channel=retried",
    ];
    let outcome = run(&settings);
    let late = until(&outcome, 99);
    assert!((190.0..215.0).contains(&late), "{late}");
    assert_eq!(outcome.subscribes.granted, 90_000);
}

#[test]
fn a_refused_channel_of_the_module_stays_refused() {
    let settings = ["clients.session_expiry=0s", "limits.subscribe_quota=450"];
    let outcome = run(&settings);
    assert!(outcome.clients.partly > 10_000, "{:?}", outcome.clients);
    assert_eq!(outcome.waves[0].until_live[3], None);
    assert!(outcome.is_settled);
    // With its session a client receives from its channels whatever SUBACK says.
    let kept = run(&["clients.session_expiry=1h", "limits.subscribe_quota=450"]);
    assert_eq!(kept.clients.live, 30_000);
    assert!(kept.clients.shown_refused > 1_000, "{:?}", kept.clients);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let json = |seed: &str| {
        let outcome = run(&["clients.count=5000", seed]);
        serde_json::to_string(&outcome).unwrap()
    };
    assert_eq!(json("seed=7"), json("seed=7"));
    assert_ne!(json("seed=7"), json("seed=8"));
}

#[test]
fn jitter_spreads_the_first_second() {
    let peak = |jitter: &str| {
        let outcome = run_text(
            "name: x\nclients: { count: 20000 }\nlimits: { connect_quota: 0, subscribe_quota: 0 }\ndisturbances: [{ name: cut, kind: disconnect }]\n",
            &[jitter],
        );
        outcome
            .series
            .samples
            .iter()
            .map(|sample| sample.admitted)
            .max()
            .unwrap()
    };
    // Within half a second in steps of a tenth, or all at once.
    assert!((3_500..4_500).contains(&peak("jitter=full")));
    assert_eq!(peak("jitter=none"), 20_000);
}

#[test]
fn an_authorizer_without_room_slows_everybody() {
    let fast = run(&["limits.connect_quota=0", "authorizer.concurrency=1000"]);
    let slow = run(&[
        "limits.connect_quota=0",
        "authorizer.concurrency=5",
        "authorizer.warm=5",
    ]);
    // Five calls of 50 ms are 100 clients a second.
    assert!(until(&slow, 99) > 250.0 && until(&fast, 99) < 60.0);
    assert_eq!(slow.authorizer_peak, 5);
    assert!(slow.connects.authorizer_throttled > 30_000);
}

#[test]
fn an_authorizer_that_is_silent_costs_its_time_limit() {
    let text = "\
name: x
clients: { count: 2000 }
authorizer: { warm: 1000, concurrency: 1000 }
disturbances:
  - { name: cut, kind: disconnect, at: 10s }
  - { name: function, kind: authorizer_outage, at: 10s, for: 30s }
";
    let outcome = run_text(text, &[]);
    assert!(
        outcome.connects.authorizer_timeout > 2_000,
        "{:?}",
        outcome.connects
    );
    assert!(until(&outcome, 50) > 30.0);
    assert_eq!(outcome.clients.live, 2_000);
}

#[test]
fn a_client_id_has_its_interval() {
    let outcome = run(&["limits.client_id_interval=10s"]);
    assert!(outcome.connects.client_id > 0);
    // The module keeps to the quota's second.
    let outcome = run(&["limits.client_id_interval=1s"]);
    assert_eq!(outcome.connects.client_id, 0);
}

#[test]
fn messages_are_lost_by_the_cause_that_fits() {
    // 4,000 messages a second, 500 of them stored.
    let kept = run(&["clients.session_expiry=1h"]);
    assert!(lost(&kept, LossCause::StoredQuota) > 100_000);
    assert_eq!(lost(&kept, LossCause::NoSession), 0);
    let messages = kept.messages.as_ref().unwrap();
    assert!(messages.delivered_late > 30_000, "{messages:?}");
    let expired = run(&["clients.session_expiry=30s"]);
    assert!(lost(&expired, LossCause::SessionExpired) > 10_000);
    assert!(lost(&expired, LossCause::NoSession) > 100_000);
    let none = run(&["clients.session_expiry=0s"]);
    assert_eq!(lost(&none, LossCause::StoredQuota), 0);
    assert!(lost(&none, LossCause::NoSession) > 200_000);
    let qos0 = run(&["clients.qos=0", "clients.session_expiry=1h"]);
    assert!(lost(&qos0, LossCause::OfflineQos0) > 200_000);
    let narrow = run(&["clients.qos=0", "limits.outbound_quota=1000"]);
    assert!(lost(&narrow, LossCause::OutboundQuota) > 10_000);
    let full = run(&[
        "clients.session_expiry=1h",
        "limits.stored_quota=0",
        "limits.stored_per_session=2",
    ]);
    assert!(lost(&full, LossCause::SessionFull) > 100_000);
    let broken = run(&["disturbances.outage.sessions=lost"]);
    assert_eq!(lost(&broken, LossCause::StoredQuota), 0);
    assert!(lost(&broken, LossCause::NoSession) > 100_000);
}

#[test]
fn the_gateway_restarts_task_by_task() {
    let text = "\
name: x
until: 1h
clients: { count: 40000 }
gateway: { percent: 50, tasks: 4, sessions_per_second: 100 }
disturbances: [{ name: restart, kind: gateway_restart, at: 10s, every: 30s }]
";
    let outcome = run_text(text, &[]);
    let affected = outcome.waves[0].affected;
    assert!((19_000..21_000).contains(&affected), "{affected}");
    assert!(outcome.connects.gateway > 0);
    assert_eq!(outcome.clients.live, 40_000);
}

#[test]
fn a_second_outage_takes_over_who_is_still_away() {
    let text = "\
name: x
clients: { count: 10000 }
limits: { connect_quota: 100 }
disturbances:
  - { name: first, kind: outage, at: 10s, for: 30s }
  - { name: second, kind: outage, at: 60s, for: 30s, fails: silent, sessions: lost, percent: 50 }
bridge: { events_per_second: 100, fan_out: 5 }
";
    let outcome = run_text(text, &["limits.subscribe_quota=0"]);
    let affected: Vec<u64> = outcome.waves.iter().map(|wave| wave.affected).collect();
    let recovered: Vec<u64> = outcome.waves.iter().map(|wave| wave.recovered).collect();
    assert_eq!(affected, recovered);
    assert!(
        affected[0] < 10_000 && (4_700..5_300).contains(&affected[1]),
        "{affected:?}"
    );
}

#[test]
fn a_run_can_be_ended() {
    let mut seen = 0;
    let ended = simulate(&scenario(BASE, &[]), &mut |_| {
        seen += 1;
        seen < 20
    });
    assert_eq!(ended.unwrap_err(), InterruptedRun);
    assert_eq!(seen, 20);
}

#[test]
fn reports() {
    let label = |label: &str, settings: &[&str]| NamedRun {
        label: label.to_owned(),
        outcome: run_text(include_str!("../cli/simulate/outage.yaml"), settings),
    };
    let small = ["clients.count=4000", "bridge.fan_out=10"];
    let more = [
        "clients.count=4000",
        "bridge.fan_out=10",
        "connect-quota=200",
    ];
    let runs = [
        label("as written", &small),
        label("connect-quota=200", &more),
    ];
    let curve = super::measured::MeasuredCurve::parse(
        r#"{"name": "dev <b>", "clients": 4000, "live": [[0, 0], [20000, 2000], [41000, 3960], [50000, 4000]]}"#,
    )
    .unwrap();
    let report = RecoveryReport {
        runs: &runs,
        measured: Some(&curve),
    };
    let text = report.text();
    for line in [
        "50,000 browsers: 4,000 clients, seed 1\n",
        "outage (outage) at 10.0s, for 3m 0s: 4,000 clients cut off\n",
        "live after",
        "  connect-quota=200  ",
        "authorizer: ",
        "messages to clients: ",
        "\n 50 % live: measured 20.0s, model ",
    ] {
        assert!(text.contains(line), "`{line}` is missing:\n{text}");
    }
    let html = report.html();
    assert_eq!(html, report.html());
    assert_eq!(
        html.matches("<svg viewBox=\"0 0 860").count(),
        html.matches("<h3>").count()
    );
    assert!(!html.contains("<script") && !html.contains("http") && !html.contains("<b>"));
    assert!(!html.contains("NaN") && !html.contains("Linf") && !html.contains("Minf"));
}

/// A random scenario; times and rates are small, so that it takes little time.
fn any_scenario() -> impl Strategy<Value = String> {
    let clients = (
        1..3_000_u32,
        1..12_u8,
        0..2_u8,
        0..60_u32,
        0..50_u8,
        any::<bool>(),
    );
    let limits = (
        0..300_u32,
        0..600_u32,
        0..3_000_u32,
        0..400_u32,
        0..5_u32,
        any::<bool>(),
    );
    let bridge = (0..300_u32, 1..400_u32, 0..2_u8);
    let first = (
        0..40_u32,
        1..60_u32,
        1..=100_u8,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let second = (0..90_u32, 0..6_u8, 1..60_u32, 1..=100_u8);
    (clients, limits, bridge, first, second, any::<u32>()).prop_map(
        |(clients, limits, bridge, first, second, seed)| {
            let (count, channels, qos, expiry, hidden, stays) = clients;
            let (connects, subscribes, outbound, stored, full, window) = limits;
            let word = |is: bool, a: &'static str, b: &'static str| if is { a } else { b };
            let kind = match second.1 {
                0 => format!("kind: outage, for: {}s, percent: {}", second.2, second.3),
                1 => format!("kind: disconnect, percent: {}", second.3),
                2 => format!("kind: authorizer_outage, for: {}s", second.2),
                3 => format!("kind: gateway_restart, every: {}s", second.2),
                4 => "kind: tasks_lost, tasks: 2".to_owned(),
                _ => format!("kind: burst, for: {}s", second.2),
            };
            format!(
                "name: random\nseed: {seed}\nuntil: 10m\n\
                 clients: {{ count: {count}, channels: {channels}, qos: {qos}, session_expiry: {expiry}s, hidden_percent: {hidden}, refused_channel: {} }}\n\
                 limits: {{ connect_quota: {connects}, subscribe_quota: {subscribes}, outbound_quota: {outbound}, stored_quota: {stored}, stored_per_session: {full}, counting: {} }}\n\
                 authorizer: {{ concurrency: 100, warm: 1, slow: 6s, slow_percent: 5, before_quota: {} }}\n\
                 gateway: {{ percent: 20, tasks: 3, sessions_per_second: 40 }}\n\
                 bridge: {{ events_per_second: {}, fan_out: {}, tasks: 3, hold: 5s, visibility: 7s, max_receives: {} }}\n\
                 disturbances:\n  - {{ name: a, kind: outage, at: {}s, for: {}s, percent: {}, sessions: {}, fails: {}, bridge: {} }}\n  - {{ name: b, at: {}s, {kind} }}\n",
                word(stays, "stays", "retried"),
                word(window, "window", "bucket"),
                !window,
                bridge.0,
                bridge.1.min(count),
                bridge.2 + 1,
                first.0,
                first.1,
                first.2,
                word(first.3, "kept", "lost"),
                word(first.4, "refused", "silent"),
                first.5,
                second.0,
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The invariants hold in every run, and every message has one fate.
    #[test]
    fn invariants_hold(text in any_scenario()) {
        if let Ok(scenario) = load("random.yaml", &text, &[]) {
            let outcome = simulate(&scenario, &mut |_| true).unwrap();
            prop_assert_eq!(&outcome.violations, &Vec::<String>::new(), "{}", text);
            let messages = outcome.messages.unwrap();
            let fates = messages.delivered + messages.stored + messages.waiting + messages.all_lost();
            prop_assert_eq!(fates, messages.addressed);
            let clients = outcome.clients;
            // Nobody is away, and nothing gives: nothing can be stored.
            prop_assert!(!outcome.is_settled || clients.away > 0 || messages.stored == 0, "{}", text);
            prop_assert_eq!(clients.live + clients.partly + clients.away, u64::from(outcome.scenario.clients.count));
        }
    }

    /// Doubling a quota never lengthens the recovery, but for the luck of the last delays.
    #[test]
    fn more_quota_is_never_slower(
        connects in 50..400_u32,
        subscribes in 50..400_u32,
        expiry in prop::sample::select(vec![0_u32, 20, 3_600]),
        which in any::<bool>(),
        seed in any::<u16>(),
    ) {
        let time = |connects: u32, subscribes: u32| {
            let settings = [
                "clients.count=3000".to_owned(),
                "clients.channels=2".to_owned(),
                "refused-channel=retried".to_owned(),
                format!("clients.session_expiry={expiry}s"),
                format!("limits.connect_quota={connects}"),
                format!("limits.subscribe_quota={subscribes}"),
                format!("seed={seed}"),
            ];
            let scenario = load("t.yaml", BASE, &settings).unwrap();
            let outcome = simulate(&scenario, &mut |_| true).unwrap();
            until(&outcome, 99)
        };
        let once = time(connects, subscribes);
        let twice = if which { time(2 * connects, subscribes) } else { time(connects, 2 * subscribes) };
        // One delay is up to half a minute, and the last hundredth are thirty clients.
        prop_assert!(twice <= once * 1.1 + 6.0, "{once} s, with twice the quota {twice} s");
    }
}
