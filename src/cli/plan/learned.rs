//! Loads learned: from the text of a bridge's `/metrics`, and from an `eventcast dev` that runs.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::cli::http;
use crate::cli::input::{self, INPUT_BYTES};
use crate::cli::runtime::block_on;
use crate::cli::user_error::write_error;
use crate::config::duration;
use crate::plan::learn::BridgeCounters;

/// Time between two readings of a URL where nothing else is said.
const USUAL_SPAN: Duration = Duration::from_secs(10);

/// Longest time between two readings.
const LONGEST_SPAN: Duration = Duration::from_secs(3_600);

/// Time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Source of a load.
enum LoadOrigin<'a> {
    /// A file with metrics.
    File(&'a Path),
    /// Metrics of a running bridge: address and path.
    Metrics(String, String),
    /// A running `eventcast dev`: its address.
    Platform(String),
}

/// Values of a load, `KEY=VALUE`; `None` when they cannot be learned, which is reported.
pub(super) fn values(
    sources: &[String],
    over: Option<&str>,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Vec<String>>> {
    let Some(span) = span(over, messages)? else {
        return Ok(None);
    };
    let mut origins = Vec::new();
    for source in sources {
        match origin(source) {
            Ok(origin) => origins.push((source, origin)),
            Err((what, help)) => {
                write_error(messages, what, help)?;
                return Ok(None);
            }
        }
    }
    let has_files = origins
        .iter()
        .any(|(_, origin)| matches!(origin, LoadOrigin::File(_)));
    if has_files && over.is_none() {
        let what = "--learn with a file needs --over: the time in which its counters grew";
        write_error(
            messages,
            what,
            "add --over 24h, for a bridge that started a day ago",
        )?;
        return Ok(None);
    }
    match block_on(learn(&origins, span))? {
        Ok(values) => Ok(Some(values)),
        Err((what, help)) => {
            write_error(messages, what, help)?;
            Ok(None)
        }
    }
}

fn span(over: Option<&str>, messages: &mut impl Write) -> anyhow::Result<Option<Duration>> {
    let Some(text) = over else {
        return Ok(Some(USUAL_SPAN));
    };
    let span = duration(text).filter(|span| !span.is_zero());
    if span.is_none() {
        let what = format!("--over is `{text}`");
        write_error(messages, what, "accepted: a time such as 30s, 1h, 7d")?;
    }
    Ok(span)
}

type LearnFault = (String, String);

fn origin(source: &str) -> Result<LoadOrigin<'_>, LearnFault> {
    let Some((scheme, rest)) = source.split_once("://") else {
        return Ok(LoadOrigin::File(Path::new(source)));
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let shown = http::shown(source);
    if scheme != "http" || !matches!(host, "127.0.0.1" | "::1" | "localhost") {
        return Err((
            format!("--learn `{shown}` is not on this machine"),
            "save the metrics to a file (curl -s URL/metrics > metrics.txt), and name it with --over"
                .to_owned(),
        ));
    }
    let authority = if authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    Ok(match path.trim_end_matches('/') {
        "" => LoadOrigin::Platform(authority),
        path => LoadOrigin::Metrics(authority, format!("/{path}")),
    })
}

async fn learn(
    origins: &[(&String, LoadOrigin<'_>)],
    span: Duration,
) -> Result<Vec<String>, LearnFault> {
    let mut counted = BridgeCounters::default();
    let mut values = Vec::new();
    let mut earlier = Vec::new();
    for (source, origin) in origins {
        match origin {
            LoadOrigin::File(path) => {
                let text = input::read_text(path, INPUT_BYTES).map_err(|error| {
                    let what = format!("reading metrics `{}`: {error}", input::shown(path));
                    (what, "name what /metrics of a bridge answered".to_owned())
                })?;
                counted = counted.plus(bridge(source, &text)?);
            }
            LoadOrigin::Metrics(authority, path) => {
                let text = ask(source, authority, path).await?;
                earlier.push((*source, authority, path, bridge(source, &text)?));
            }
            LoadOrigin::Platform(authority) => {
                values.extend(platform(source, authority).await?);
            }
        }
    }
    if !earlier.is_empty() {
        sleep(span.min(LONGEST_SPAN)).await;
    }
    for (source, authority, path, before) in &earlier {
        let text = ask(source, authority, path).await?;
        counted = counted.plus(bridge(source, &text)?.since(before));
    }
    if counted.is_bridge() {
        values.extend(counted.values(span.as_secs_f64()));
    }
    Ok(values)
}

fn bridge(source: &str, text: &str) -> Result<BridgeCounters, LearnFault> {
    let counters = BridgeCounters::parse(text);
    if counters.is_bridge() {
        return Ok(counters);
    }
    let shown = http::shown(source);
    Err((
        format!("`{shown}` has no metrics of a bridge"),
        "name /metrics of `eventcast bridge`, or the address of `eventcast dev` without a path"
            .to_owned(),
    ))
}

async fn ask(source: &str, authority: &str, path: &str) -> Result<String, LearnFault> {
    let shown = http::shown(source);
    let help = || "is it running, and is this its port?".to_owned();
    let answer = timeout(PATIENCE, http::get(authority.to_owned(), path)).await;
    let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {PATIENCE:?}")));
    let (status, body) =
        answer.map_err(|error| (format!("asking `{shown}`: {error:#}"), help()))?;
    let text = String::from_utf8(body.to_vec())
        .ok()
        .filter(|_| status == 200);
    text.ok_or_else(|| {
        (
            format!("`{shown}` answers {path} with HTTP {status}"),
            help(),
        )
    })
}

/// Values of a running `eventcast dev` (`src/dev/inspector/load.rs`).
async fn platform(source: &str, authority: &str) -> Result<Vec<String>, LearnFault> {
    let text = ask(source, authority, "/_dev/load").await?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    let values = value
        .as_ref()
        .and_then(|value| value.get("values"))
        .and_then(Value::as_array);
    let Some(values) = values else {
        let shown = http::shown(source);
        return Err((
            format!("`{shown}` does not answer as `eventcast dev` does"),
            "name the address of `eventcast dev`, without --bare".to_owned(),
        ));
    };
    let texts = values.iter().filter_map(Value::as_str);
    Ok(texts.map(str::to_owned).collect())
}
