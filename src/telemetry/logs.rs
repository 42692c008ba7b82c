//! Structured logs on standard error.
//!
//! Payloads never reach a log, whatever the filter asks for. Our own lines hold none. Lines of the
//! libraries are cut off below `debug`: at `trace` the AWS SDK writes whole requests and answers,
//! bodies and receipt handles included (`aws_smithy_runtime::client::orchestrator`), and HTTP, TLS
//! and WebSocket libraries write what they send.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, filter, fmt, registry};

/// The target of our own lines, and the prefix of those of our modules.
const OWN_TARGET: &str = "eventcast";

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process. `filter` is a level or a list of directives, such as
/// `info,eventcast::mqtt=debug`.
///
/// # Errors
/// One line that names the fault of the filter, or says that logging was started before.
pub fn start(format: Format, filter: &str) -> Result<(), String> {
    subscriber(format, filter, io::stderr().is_terminal(), io::stderr)?
        .try_init()
        .map_err(|error| error.to_string())
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    colour: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let asked = EnvFilter::try_new(filter)
        .map_err(|error| format!("the log filter `{filter}` is not one: {error}"))?;
    let lines = fmt::layer().with_writer(writer).with_ansi(colour);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let cap = filter::filter_fn(without_payloads).with_max_level_hint(LevelFilter::TRACE);
    Ok(Box::new(
        registry().with(asked).with(lines.with_filter(cap)),
    ))
}

/// Returns `true` where a line or a span may be written at all.
fn without_payloads(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix(OWN_TARGET);
    let own = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    own || *metadata.level() <= Level::DEBUG
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct CapturedLines(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedLines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_are_cut_off_below_debug() {
        for format in [Format::Text, Format::Json] {
            for filter in [
                "trace",
                "info,aws_smithy_runtime=trace",
                "aws_smithy_runtime::client::orchestrator::http=trace,hyper=trace,eventcast=trace",
            ] {
                let lines = CapturedLines::default();
                let writer = lines.clone();
                let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
                tracing::subscriber::with_default(subscriber, || {
                    tracing::trace!(target: "aws_smithy_runtime::client::orchestrator::http", body = "secret", "response");
                    tracing::trace!(target: "aws_smithy_runtime", "secret");
                    tracing::trace!(target: "hyper::proto::h1", "secret");
                    tracing::trace!(target: "eventcaster", "secret");
                    let span = tracing::trace_span!(target: "hyper", "span", body = "secret");
                    let _entered = span.enter();
                    tracing::debug!(target: "aws_smithy_runtime", "debug line");
                    tracing::trace!(target: "eventcast::mqtt", "own line");
                });
                let bytes = lines.0.lock().unwrap().clone();
                let text = String::from_utf8(bytes).unwrap();
                assert!(!text.contains("secret"), "{filter}: {text}");
                let below = filter.contains("http=trace");
                assert_eq!(text.contains("debug line"), !below, "{filter}: {text}");
                let own = !filter.starts_with("info");
                assert_eq!(text.contains("own line"), own, "{filter}: {text}");
            }
        }
    }

    #[test]
    fn a_filter_that_is_none() {
        let told = subscriber(Format::Text, "info,=x=", false, io::sink).err();
        assert!(
            told.unwrap()
                .contains("the log filter `info,=x=` is not one")
        );
    }
}
