//! Scenario files: YAML, checked against a description, with flags above them.

use super::keys;
use super::scenario::{
    AccountQuotas, AttemptFailure, AuthorizerLoad, BridgeModel, ClientFleet, Disturbance,
    DisturbanceKind, GatewayLoad, JitterKind, MOST_DISTURBANCES, QuotaCounting, RecoveryScenario,
    RefusedChannel,
};
use crate::config::described::{DescribedFile, DescribedSection};
use crate::config::fault::Fault;

/// The longest run.
const MOST_MS: u32 = 7 * 86_400_000;

/// Messages a second that IoT Core takes for a connection (AWS General Reference, "AWS IoT Core
/// endpoints and quotas"); messages beyond them are discarded, which the model does not do.
const MESSAGES_PER_CONNECTION: u64 = 100;

/// Reads a scenario. Each of `settings` is `path=value`, as in
/// `disturbances.outage.for=10m` or, where no other path ends so, `connect-quota=1000`.
///
/// # Errors
/// All faults, in the order of the file.
pub fn load(file: &str, source: &str, settings: &[String]) -> Result<RecoveryScenario, Vec<Fault>> {
    let described = DescribedFile::read(file, source, settings, keys::FILE)?;
    let mut faults = Vec::new();
    let scenario = scenario(described.top(), &mut faults);
    if faults.is_empty() {
        Ok(scenario)
    } else {
        Err(faults)
    }
}

fn scenario(top: DescribedSection<'_>, faults: &mut Vec<Fault>) -> RecoveryScenario {
    let until_ms = time(top, "until", (1_000, MOST_MS), faults);
    let clients = clients(top.section("clients"), faults);
    let bridge = top.section("bridge");
    let gateway = top.section("gateway");
    let authorizer = top.section("authorizer");
    let scenario = RecoveryScenario {
        name: top.text("name"),
        seed: top.number("seed"),
        until_ms,
        limits: limits(top.section("limits"), faults),
        authorizer: authorizer
            .is_there()
            .then(|| authorizer_load(authorizer, faults)),
        bridge: bridge
            .is_there()
            .then(|| bridge_load(bridge, &clients, faults)),
        gateway: gateway.is_there().then(|| GatewayLoad {
            percent: small(gateway, "percent"),
            tasks: gateway.number32("tasks"),
            sessions_per_second: gateway.number32("sessions_per_second"),
        }),
        disturbances: Vec::new(),
        clients,
    };
    let disturbances = disturbances(top, &scenario, faults);
    RecoveryScenario {
        disturbances,
        ..scenario
    }
}

/// A number that its description bounds by 255 or less.
fn small(section: DescribedSection<'_>, key: &str) -> u8 {
    u8::try_from(section.number(key)).unwrap_or(u8::MAX)
}

/// A time within bounds, both of which belong to it.
fn time(
    section: DescribedSection<'_>,
    key: &str,
    (least, most): (u32, u32),
    faults: &mut Vec<Fault>,
) -> u32 {
    let time = section.time_ms(key);
    if !(least..=most).contains(&time) {
        let message = format!("`{key}` is {}", section.text(key));
        let help = format!("it is from {} to {}", shown(least), shown(most));
        faults.push(section.fault("out-of-range", key, message, help));
    }
    time.clamp(least, most)
}

/// A time as a file has it.
fn shown(ms: u32) -> String {
    match ms {
        0 => "0s".into(),
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

const HOUR: u32 = 3_600_000;

fn clients(section: DescribedSection<'_>, faults: &mut Vec<Fault>) -> ClientFleet {
    let first = time(section, "backoff_first", (1, HOUR), faults);
    let longest = time(section, "backoff_longest", (1, HOUR), faults);
    if longest < first {
        let message = "`backoff_longest` is shorter than `backoff_first`".to_owned();
        let help = format!("at least {}", shown(first));
        faults.push(section.fault("out-of-range", "backoff_longest", message, help));
    }
    ClientFleet {
        count: section.number32("count"),
        channels: small(section, "channels"),
        session_expiry_ms: time(section, "session_expiry", (0, MOST_MS), faults),
        backoff_first_ms: first,
        backoff_longest_ms: longest,
        jitter: match &*section.text("jitter") {
            "equal" => JitterKind::Equal,
            "none" => JitterKind::None,
            _ => JitterKind::Full,
        },
        connect_interval_ms: time(section, "connect_interval", (0, HOUR), faults),
        hidden_percent: small(section, "hidden_percent"),
        round_trip_ms: time(section, "round_trip", (0, 10_000), faults),
        stable_ms: time(section, "stable_after", (0, HOUR), faults),
        connect_timeout_ms: time(section, "connect_timeout", (100, HOUR), faults),
        heartbeat_ms: time(section, "heartbeat", (100, HOUR), faults),
        answer_ms: time(section, "answer", (100, HOUR), faults),
        qos: small(section, "qos"),
        refused_channel: match &*section.text("refused_channel") {
            "retried" => RefusedChannel::Retried,
            _ => RefusedChannel::Stays,
        },
    }
}

fn limits(section: DescribedSection<'_>, faults: &mut Vec<Fault>) -> AccountQuotas {
    AccountQuotas {
        connect_quota: section.number32("connect_quota"),
        subscribe_quota: section.number32("subscribe_quota"),
        client_id_interval_ms: time(section, "client_id_interval", (0, HOUR), faults),
        inbound_quota: section.number32("inbound_quota"),
        outbound_quota: section.number32("outbound_quota"),
        stored_quota: section.number32("stored_quota"),
        stored_rate: section.number32("stored_rate"),
        stored_per_session: u16::try_from(section.number("stored_per_session")).unwrap_or(u16::MAX),
        counting: match &*section.text("counting") {
            "window" => QuotaCounting::Window,
            _ => QuotaCounting::Bucket,
        },
    }
}

fn authorizer_load(section: DescribedSection<'_>, faults: &mut Vec<Fault>) -> AuthorizerLoad {
    let load = AuthorizerLoad {
        concurrency: section.number32("concurrency"),
        scaling: section.number32("scaling"),
        warm: section.number32("warm"),
        duration_ms: time(section, "duration", (1, 60_000), faults),
        slow_percent: small(section, "slow_percent"),
        slow_ms: time(section, "slow", (1, 60_000), faults),
        cold_start_ms: time(section, "cold_start", (0, 60_000), faults),
        timeout_ms: time(section, "timeout", (1, 5_000), faults),
        before_quota: section.flag("before_quota"),
    };
    if load.warm > load.concurrency {
        let message = format!(
            "`warm` is {}, `concurrency` is {}",
            load.warm, load.concurrency
        );
        let help = "no more environments are warm than may run".to_owned();
        faults.push(section.fault("out-of-range", "warm", message, help));
    }
    load
}

fn bridge_load(
    section: DescribedSection<'_>,
    clients: &ClientFleet,
    faults: &mut Vec<Fault>,
) -> BridgeModel {
    let load = BridgeModel {
        events_per_second: section.number32("events_per_second"),
        fan_out: section.number32("fan_out"),
        tasks: section.number32("tasks"),
        max_tasks: section.number32("max_tasks"),
        events_per_task: section.number32("events_per_task"),
        backlog_per_task: section.number32("backlog_per_task"),
        max_age_ms: time(section, "max_age", (1_000, 24 * HOUR), faults),
        task_start_ms: time(section, "task_start", (0, HOUR), faults),
        scale_interval_ms: time(section, "scale_interval", (1_000, HOUR), faults),
        scale_out_cooldown_ms: time(section, "scale_out_cooldown", (0, HOUR), faults),
        scale_in_after_ms: time(section, "scale_in_after", (0, 24 * HOUR), faults),
        in_flight: section.number32("in_flight"),
        hold_ms: time(section, "hold", (1_000, 12 * HOUR), faults),
        visibility_ms: time(section, "visibility", (1_000, 12 * HOUR), faults),
        max_receives: small(section, "max_receives"),
        settle_ms: time(section, "settle", (0, 60_000), faults),
    };
    if load.max_tasks < load.tasks {
        let message = format!(
            "`max_tasks` is {}, `tasks` is {}",
            load.max_tasks, load.tasks
        );
        let help = format!("at least {}", load.tasks);
        faults.push(section.fault("out-of-range", "max_tasks", message, help));
    }
    if load.fan_out > clients.count {
        let message = format!(
            "`fan_out` is {}, of {} clients",
            load.fan_out, clients.count
        );
        let help = format!("at most {}", clients.count);
        faults.push(section.fault("out-of-range", "fan_out", message, help));
    }
    let copies = u64::from(load.events_per_second) * u64::from(load.fan_out);
    if copies / u64::from(clients.count.max(1)) >= MESSAGES_PER_CONNECTION {
        let message = format!(
            "{} events a second to {} of {} clients are {} messages a second for each",
            load.events_per_second,
            load.fan_out,
            clients.count,
            copies / u64::from(clients.count.max(1)),
        );
        let help = format!("fewer than {MESSAGES_PER_CONNECTION}, the limit of a connection");
        faults.push(section.fault("out-of-range", "events_per_second", message, help));
    }
    load
}

fn disturbances(
    top: DescribedSection<'_>,
    scenario: &RecoveryScenario,
    faults: &mut Vec<Fault>,
) -> Vec<Disturbance> {
    let sections = top.list("disturbances");
    if sections.len() > MOST_DISTURBANCES {
        let message = format!("{} disturbances", sections.len());
        let help = format!("at most {MOST_DISTURBANCES}");
        faults.push(top.fault("out-of-range", "disturbances", message, help));
    }
    let mut all: Vec<Disturbance> = Vec::new();
    for section in sections {
        let one = disturbance(section, scenario, faults);
        if all.iter().any(|other| other.name == one.name) {
            let message = format!("there is a disturbance `{}` already", one.name);
            let help = "--set tells disturbances apart by their names".to_owned();
            faults.push(section.fault("repeated-name", "name", message, help));
        }
        all.push(one);
    }
    all.sort_by_key(|one| one.at_ms);
    all
}

fn disturbance(
    section: DescribedSection<'_>,
    scenario: &RecoveryScenario,
    faults: &mut Vec<Fault>,
) -> Disturbance {
    let word = section.text("kind");
    let belongs = keys::keys_of(&word);
    for key in keys::KIND_KEYS {
        if section.has(key) && !belongs.contains(&key) {
            let message = format!("`{key}` says nothing of `{word}`");
            let help = format!("it takes {}", belongs.join(", "));
            faults.push(section.fault("unknown-key", key, message, help));
        }
    }
    let needs = |part: &str| {
        (
            format!("`{word}` without `{part}`"),
            format!("add `{part}:`"),
        )
    };
    let missing = match &*word {
        "authorizer_outage" if scenario.authorizer.is_none() => Some(needs("authorizer")),
        "gateway_restart" if scenario.gateway.is_none() => Some(needs("gateway")),
        "tasks_lost" | "burst" if scenario.bridge.is_none() => Some(needs("bridge")),
        _ => None,
    };
    if let Some((message, help)) = missing {
        faults.push(section.fault("missing-part", "kind", message, help));
    }
    let at_ms = time(section, "at", (0, MOST_MS), faults);
    if at_ms >= scenario.until_ms {
        let message = format!(
            "it begins at {}, and the run ends at {}",
            shown(at_ms),
            shown(scenario.until_ms)
        );
        let help = "let it begin earlier, or raise `until`".to_owned();
        faults.push(section.fault("out-of-range", "at", message, help));
    }
    let lasts = |faults: &mut Vec<Fault>| time(section, "for", (1_000, MOST_MS), faults);
    let kind = match &*word {
        "outage" => DisturbanceKind::Outage {
            for_ms: lasts(faults),
            percent: small(section, "percent"),
            fails: match &*section.text("fails") {
                "silent" => AttemptFailure::Silent,
                _ => AttemptFailure::Refused,
            },
            keeps_sessions: section.text("sessions") != "lost",
            cuts_bridge: section.flag("bridge"),
        },
        "disconnect" => DisturbanceKind::Disconnect {
            percent: small(section, "percent"),
        },
        "authorizer_outage" => DisturbanceKind::AuthorizerOutage {
            for_ms: lasts(faults),
        },
        "gateway_restart" => DisturbanceKind::GatewayRestart {
            every_ms: time(section, "every", (1_000, 24 * HOUR), faults),
        },
        "tasks_lost" => DisturbanceKind::TasksLost {
            tasks: section.number32("tasks"),
        },
        _ => DisturbanceKind::Burst {
            for_ms: lasts(faults),
            factor: section.number32("factor"),
        },
    };
    Disturbance {
        name: section.text("name"),
        at_ms,
        kind,
    }
}
