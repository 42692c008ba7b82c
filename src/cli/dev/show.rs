//! The output of `eventcast dev`: all addresses, and the progress of the demo.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use serde_json::{Map, json};

use super::Command;
use crate::cli::OutputFormat;
use crate::config::Config;
use crate::dev::inspector::ledger::pulse::LiveStatistics;
use crate::dev::inspector::views::PlatformAddresses;

/// Writes addresses once, then summaries: on a terminal in the same place, elsewhere one line each.
pub(super) struct AddressDisplay<'o, W> {
    out: &'o mut W,
    format: OutputFormat,
    /// `true` where lines can be written over.
    in_place: bool,
    /// Number of lines in the last summary.
    lines: usize,
}

/// The configuration that is served, in short.
pub(super) struct ServedConfig {
    /// Its file, or a name for the built-in one.
    configuration: String,
    routes: usize,
    roles: Vec<String>,
    /// `true` where the bridge is left to another process.
    no_bridge: bool,
}

impl ServedConfig {
    pub(super) fn of(command: &Command, config: &Config) -> Self {
        let roles = config.roles.iter();
        Self {
            configuration: command.source(),
            routes: config.routes.len(),
            roles: roles.map(|role| role.name.to_string()).collect(),
            no_bridge: command.no_bridge,
        }
    }
}

impl fmt::Display for ServedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (routes, s) = (self.routes, if self.routes == 1 { "" } else { "s" });
        write!(f, "{} ({routes} route{s}", self.configuration)?;
        match self.roles.as_slice() {
            [] => write!(f, ", no roles)"),
            [role] => write!(f, ", role {role})"),
            roles => write!(f, ", roles {})", roles.join(", ")),
        }
    }
}

/// State of the demo at one moment.
pub(super) struct Moment {
    pub(super) pulse: LiveStatistics,
    /// Clients with a session.
    pub(super) clients: usize,
    /// Messages that the demo's clients have heard.
    pub(super) heard: u64,
    /// Seconds since it began.
    pub(super) seconds: u64,
}

impl<'o, W: Write> AddressDisplay<'o, W> {
    pub(super) fn new(out: &'o mut W, format: OutputFormat) -> Self {
        Self {
            out,
            format,
            in_place: format == OutputFormat::Text && io::stdout().is_terminal(),
            lines: 0,
        }
    }

    /// Writes all addresses. `takes` is the time that the start took.
    pub(super) fn ready(
        &mut self,
        addresses: &PlatformAddresses,
        served: Option<&ServedConfig>,
        takes: std::time::Duration,
    ) -> io::Result<()> {
        let endpoint = &addresses.endpoint;
        match self.format {
            OutputFormat::Text => {
                let out = &mut self.out;
                writeln!(
                    out,
                    "event bus and queues  {endpoint}  (AWS_ENDPOINT_URL={endpoint})"
                )?;
                for url in addresses.mqtt.values() {
                    writeln!(out, "MQTT                  {url}")?;
                }
                if let Some(authority) = &addresses.authority {
                    writeln!(out, "CA certificate        {authority}")?;
                }
                if let Some(queue) = &addresses.queue {
                    if served.is_some_and(|served| served.no_bridge) {
                        writeln!(out, "bridge                not here; its queue is {queue}")?;
                    } else {
                        writeln!(
                            out,
                            "bridge                takes every event of the default bus"
                        )?;
                    }
                    writeln!(out, "inspector             {endpoint}/")?;
                }
                if let Some(served) = served {
                    writeln!(out, "configuration         {served}")?;
                    let clients = if served.roles.is_empty() {
                        "may do everything, without a token: there are no roles"
                    } else {
                        "need a token: eventcast listen, eventcast token mint --dev, or the inspector"
                    };
                    writeln!(out, "clients               {clients}")?;
                }
                writeln!(out, "ready after {} ms; Ctrl-C ends it", takes.as_millis())?;
            }
            OutputFormat::Json => {
                let page = addresses.queue.as_ref().map(|_| format!("{endpoint}/"));
                let assembled = [
                    ("page", page.as_deref()),
                    ("bus", addresses.bus.as_deref()),
                    ("queue", addresses.queue.as_deref()),
                    ("authority", addresses.authority.as_deref()),
                ];
                let mut told = Map::new();
                told.insert("endpoint".into(), endpoint.as_str().into());
                for (scheme, url) in &addresses.mqtt {
                    told.insert((*scheme).into(), url.as_str().into());
                }
                for (name, url) in assembled {
                    told.extend(url.map(|url| (name.to_owned(), url.into())));
                }
                if let Some(served) = served {
                    told.insert("configuration".into(), served.configuration.as_str().into());
                    told.insert("roles".into(), json!(served.roles));
                }
                writeln!(self.out, "{}", json!(told))?;
            }
        }
        self.out.flush()
    }

    /// Writes the progress of the demo; `last` for the last time.
    pub(super) fn moment(&mut self, moment: &Moment, last: bool) -> io::Result<()> {
        match self.format {
            OutputFormat::Json => writeln!(self.out, "{}", as_json(moment, last))?,
            OutputFormat::Text if self.in_place => {
                if self.lines > 0 {
                    // Up to the first line of the last summary.
                    write!(self.out, "\x1b[{}A", self.lines)?;
                }
                let table = table(moment);
                self.lines = table.len();
                for line in table {
                    // The rest of the line is cleared of older text.
                    writeln!(self.out, "{line}\x1b[K")?;
                }
            }
            OutputFormat::Text => writeln!(self.out, "{}", line(moment))?,
        }
        self.out.flush()
    }
}

fn as_json(moment: &Moment, last: bool) -> serde_json::Value {
    let Moment {
        pulse,
        clients,
        heard,
        seconds,
    } = moment;
    let flow = |flow: &crate::dev::inspector::ledger::pulse::EventRates| json!({ "total": flow.total, "per_second": flow.per_second });
    json!({
        "seconds": seconds,
        "events": flow(&pulse.events),
        "messages": flow(&pulse.messages),
        "deliveries": flow(&pulse.deliveries),
        "denied": flow(&pulse.denied),
        "heard": heard,
        "clients": clients,
        "latency": pulse.latency,
        "missed": pulse.missed,
        "last": last,
    })
}

fn table(moment: &Moment) -> Vec<String> {
    let pulse = &moment.pulse;
    let row = |name: &str, flow: &crate::dev::inspector::ledger::pulse::EventRates| {
        format!("  {name:<12}{:>9.1}/s {:>12}", flow.per_second, flow.total)
    };
    let latency = pulse.latency.as_ref().map_or_else(
        || "  bus to client       –".to_owned(),
        |latency| {
            format!(
                "  bus to client   p50 {:.1} ms, p99 {:.1} ms",
                latency.p50_ms, latency.p99_ms
            )
        },
    );
    vec![
        String::new(),
        row("events", &pulse.events),
        row("messages", &pulse.messages),
        row("deliveries", &pulse.deliveries),
        row("denied", &pulse.denied),
        latency,
        format!("  {} clients, {} s", moment.clients, moment.seconds),
    ]
}

fn line(moment: &Moment) -> String {
    let pulse = &moment.pulse;
    let latency = pulse.latency.as_ref().map_or_else(String::new, |latency| {
        format!(
            ", p50 {:.1} ms, p99 {:.1} ms",
            latency.p50_ms, latency.p99_ms
        )
    });
    format!(
        "{:>4} s  {} events, {} messages, {} deliveries ({:.1}/s){latency}, {} denied, {} clients",
        moment.seconds,
        pulse.events.total,
        pulse.messages.total,
        pulse.deliveries.total,
        pulse.deliveries.per_second,
        pulse.denied.total,
        moment.clients,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::inspector::ledger::pulse::EventRates;
    use crate::dev::inspector::rates::LatencyPercentiles;

    fn moment() -> Moment {
        let flow = |total, per_second| EventRates {
            total,
            per_second,
            seconds: [0; 60],
        };
        Moment {
            pulse: LiveStatistics {
                at: 0,
                events: flow(1_250, 25.0),
                messages: flow(3_700, 74.2),
                deliveries: flow(9_100, 181.4),
                denied: flow(12, 0.2),
                latency: Some(LatencyPercentiles {
                    p50_ms: 3.21,
                    p99_ms: 11.9,
                }),
                missed: 0,
            },
            clients: 17,
            heard: 9_090,
            seconds: 50,
        }
    }

    #[test]
    fn moments() {
        insta::assert_snapshot!(table(&moment()).join("\n"));
        insta::assert_snapshot!(line(&moment()));
        insta::assert_snapshot!(as_json(&moment(), true));
    }

    #[test]
    fn addresses() {
        let addresses = PlatformAddresses {
            endpoint: "http://127.0.0.1:4566".into(),
            mqtt: [
                ("mqtt", "mqtt://127.0.0.1:1883".into()),
                ("ws", "ws://127.0.0.1:9001/mqtt".into()),
            ]
            .into(),
            authority: Some("tls/ca.pem".to_owned()),
            bus: Some("default".into()),
            queue: Some("http://127.0.0.1:4566/000000000000/shop-events".into()),
        };
        let served = |roles: &[&str]| ServedConfig {
            configuration: "eventcast.yaml".into(),
            routes: roles.len() + 1,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            no_bridge: roles.is_empty(),
        };
        for format in [OutputFormat::Text, OutputFormat::Json] {
            let mut out = Vec::new();
            let takes = std::time::Duration::from_millis(120);
            AddressDisplay::new(&mut out, format)
                .ready(&addresses, Some(&served(&["customer", "courier"])), takes)
                .unwrap();
            insta::assert_snapshot!(String::from_utf8(out).unwrap());
        }
        let mut out = Vec::new();
        AddressDisplay::new(&mut out, OutputFormat::Text)
            .ready(&addresses, Some(&served(&[])), std::time::Duration::ZERO)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        let bridge = "\nbridge                not here; its queue is http://127.0.0.1:4566/000000000000/shop-events\n";
        assert!(text.contains(bridge), "{text}");
        assert_eq!(
            served(&[]).to_string(),
            "eventcast.yaml (1 route, no roles)"
        );
        assert_eq!(
            served(&["a"]).to_string(),
            "eventcast.yaml (2 routes, role a)"
        );
    }
}
