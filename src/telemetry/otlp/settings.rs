//! Settings of the export in the environment, as far as the SDK does not read them itself, and
//! those that have no effect.

use std::time::Duration;

/// Destination of spans, and bounds of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSettings {
    /// Indicates that the collector is reached over TLS.
    pub secure: bool,
    /// Time that one request may take.
    pub timeout: Duration,
    /// The most spans that may wait to be sent.
    pub room: usize,
    /// Variables that are set but have no effect: one line each.
    pub warnings: Vec<String>,
}

/// Reason why spans cannot be exported as the environment asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The endpoint is no URL.
    #[error("{0} is `{1}`, which is not http://HOST:PORT or https://HOST:PORT")]
    Endpoint(&'static str, String),
    /// The protocol is another one.
    #[error("{0} is `{1}`; spans are sent as `http/protobuf`")]
    Protocol(&'static str, String),
    /// A number is none.
    #[error("{0} is `{1}`, which is not a whole number above 0")]
    Number(&'static str, String),
}

impl SettingsError {
    /// Advice on the fix.
    pub fn help(&self) -> String {
        match self {
            Self::Endpoint(name, _) => {
                // That of traces alone is taken as it is; to the other one the SDK adds the path.
                let path = if name.contains("TRACES") {
                    "/v1/traces"
                } else {
                    ""
                };
                format!(
                    "such as {name}=http://127.0.0.1:4318{path}, for a collector beside the daemon"
                )
            }
            Self::Protocol(name, _) => format!(
                "set {name}=http/protobuf, and the endpoint to the collector's port for HTTP, as a rule 4318"
            ),
            Self::Number(name, _) => format!("correct {name}, or unset it for the usual value"),
        }
    }
}

const ENDPOINT: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOL: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const COMPRESSION: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];
const TIMEOUT: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// Samplers that the SDK knows by name.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Reads the environment; `None` where nothing is to be exported: no endpoint is set, or exporting is switched off.
///
/// # Errors
/// [`SettingsError`] when spans could not arrive.
pub fn read(
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<ExportSettings>, SettingsError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let first = |names: [&'static str; 2]| {
        let mut names = names.into_iter();
        names.find_map(|name| Some((name, set(name)?)))
    };
    let is = |name, word: &str| set(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let off = is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none");
    let Some((name, endpoint)) = first(ENDPOINT).filter(|_| !off) else {
        return Ok(None);
    };
    let secure = match endpoint.split_once("://") {
        Some(("http", rest)) if is_address(rest) => false,
        Some(("https", rest)) if is_address(rest) => true,
        _ => return Err(SettingsError::Endpoint(name, endpoint)),
    };
    if let Some((name, protocol)) = first(PROTOCOL).filter(|(_, is)| is != "http/protobuf") {
        return Err(SettingsError::Protocol(name, protocol));
    }
    let number = |found: Option<(&'static str, String)>, usual: usize| match found {
        None => Ok(usual),
        Some((name, text)) => match text.parse() {
            Ok(number @ 1..) => Ok(number),
            _ => Err(SettingsError::Number(name, text)),
        },
    };
    let timeout = number(first(TIMEOUT), 10_000)?;
    let room = "OTEL_BSP_MAX_QUEUE_SIZE";
    let room = number(set(room).map(|text| (room, text)), 2_048)?;
    let mut warnings = Vec::new();
    if let Some((name, how)) = first(COMPRESSION).filter(|(_, how)| how != "none") {
        warnings.push(format!("{name} is `{how}`; spans are sent as they are"));
    }
    if let Some(other) = set("OTEL_TRACES_EXPORTER").filter(|name| name != "otlp") {
        warnings.push(format!(
            "OTEL_TRACES_EXPORTER is `{other}`; spans are sent by `otlp`"
        ));
    }
    sampling(set, &mut warnings);
    Ok(Some(ExportSettings {
        secure,
        timeout: Duration::from_millis(timeout as u64),
        room,
        warnings,
    }))
}

/// Returns `true` where a URL goes on with a host, and a valid port if it has one.
fn is_address(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once(':') {
        // The colon of an address in brackets.
        Some((_, port)) if port.ends_with(']') => true,
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => !authority.is_empty(),
    }
}

/// Warns of a sampler that the SDK cannot set up: it takes another, as the specification wants.
fn sampling(set: impl Fn(&'static str) -> Option<String>, warnings: &mut Vec<String>) {
    let Some(sampler) = set("OTEL_TRACES_SAMPLER") else {
        return;
    };
    if !SAMPLERS.contains(&&*sampler) {
        let known = SAMPLERS.join(", ");
        warnings.push(format!(
            "OTEL_TRACES_SAMPLER is `{sampler}`, which is none of {known}; parentbased_always_on is taken"
        ));
    } else if sampler.ends_with("traceidratio") {
        let share = set("OTEL_TRACES_SAMPLER_ARG").unwrap_or_default();
        let right = share
            .parse()
            .is_ok_and(|share: f64| (0.0..=1.0).contains(&share));
        if !right {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER_ARG is `{share}`, which is no share from 0 to 1, as {sampler} wants it"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders the result of some variables, given as `NAME=VALUE` words.
    fn told(variables: &str) -> String {
        let all: Vec<(&str, &str)> = variables
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .collect();
        let found = read(|name| {
            let mut all = all.iter();
            all.find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
        });
        match found {
            Ok(Some(settings)) => format!("{settings:?}"),
            Ok(None) => "off".into(),
            Err(error) => format!("{error}\nhelp: {}", error.help()),
        }
    }

    #[test]
    fn on_and_off() {
        let http = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318";
        for off in [
            "",
            "OTEL_SERVICE_NAME=x",
            "OTEL_EXPORTER_OTLP_ENDPOINT=",
            &format!("{http} OTEL_SDK_DISABLED=true"),
            &format!("{http} OTEL_TRACES_EXPORTER=none"),
        ] {
            assert_eq!(told(off), "off", "{off}");
        }
        insta::assert_snapshot!(told(http), @"ExportSettings { secure: false, timeout: 10s, room: 2048, warnings: [] }");
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_ENDPOINT=nonsense OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://c/v1/traces OTEL_EXPORTER_OTLP_TIMEOUT=500 OTEL_BSP_MAX_QUEUE_SIZE=9"), @"ExportSettings { secure: true, timeout: 500ms, room: 9, warnings: [] }");
    }

    #[test]
    fn faults() {
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"), @"
        OTEL_EXPORTER_OTLP_ENDPOINT is `collector:4318`, which is not http://HOST:PORT or https://HOST:PORT
        help: such as OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318, for a collector beside the daemon
        ");
        for no_address in ["http://", "http://c:port", "https://:4318", "http:///v1"] {
            let error = told(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={no_address}"));
            assert!(error.contains("which is not http://HOST:PORT"), "{error}");
        }
        for address in ["http://[::1]:4318", "http://[::1]", "http://c/otlp"] {
            let settings = told(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={address}"));
            assert!(settings.starts_with("ExportSettings"), "{settings}");
        }
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=grpc://collector:4317"), @"
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is `grpc://collector:4317`, which is not http://HOST:PORT or https://HOST:PORT
        help: such as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:4318/v1/traces, for a collector beside the daemon
        ");
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), @"
        OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`; spans are sent as `http/protobuf`
        help: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the endpoint to the collector's port for HTTP, as a rule 4318
        ");
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_EXPORTER_OTLP_TIMEOUT=10s"), @"
        OTEL_EXPORTER_OTLP_TIMEOUT is `10s`, which is not a whole number above 0
        help: correct OTEL_EXPORTER_OTLP_TIMEOUT, or unset it for the usual value
        ");
        insta::assert_snapshot!(told("OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_BSP_MAX_QUEUE_SIZE=0"), @"
        OTEL_BSP_MAX_QUEUE_SIZE is `0`, which is not a whole number above 0
        help: correct OTEL_BSP_MAX_QUEUE_SIZE, or unset it for the usual value
        ");
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let warned = |variables: &str| {
            let all = told(&format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://c {variables}"));
            all.split_once("warnings: ").unwrap().1.to_owned()
        };
        insta::assert_snapshot!(warned("OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.1"), @"[] }");
        insta::assert_snapshot!(warned("OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=10%"), @r#"["OTEL_TRACES_SAMPLER_ARG is `10%`, which is no share from 0 to 1, as traceidratio wants it"] }"#);
        insta::assert_snapshot!(warned("OTEL_TRACES_EXPORTER=console"), @r#"["OTEL_TRACES_EXPORTER is `console`; spans are sent by `otlp`"] }"#);
        insta::assert_snapshot!(warned("OTEL_TRACES_SAMPLER=xray OTEL_EXPORTER_OTLP_COMPRESSION=gzip"), @r#"["OTEL_EXPORTER_OTLP_COMPRESSION is `gzip`; spans are sent as they are", "OTEL_TRACES_SAMPLER is `xray`, which is none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio; parentbased_always_on is taken"] }"#);
    }
}
