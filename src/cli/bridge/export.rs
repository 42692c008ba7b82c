//! The export of traces, where this build has it and the environment asks for it.

use std::io::Write;

use crate::bridge::Ending;
use crate::telemetry::traces::Traces;

#[cfg(feature = "otlp")]
use crate::cli::user_error::write_error;
#[cfg(feature = "otlp")]
use crate::telemetry::otlp::{self, settings};

/// Time to export the last spans when the process ends.
#[cfg(feature = "otlp")]
const FLUSH: std::time::Duration = std::time::Duration::from_secs(2);

/// The export, or none.
#[derive(Default)]
pub(super) struct SpanExport {
    pub(super) traces: Traces,
    #[cfg(feature = "otlp")]
    running: Option<otlp::RunningExport>,
}

#[cfg(feature = "otlp")]
impl SpanExport {
    /// Starts the export that the environment asks for. Returns `None`, after it reports the
    /// reason, when the export cannot start.
    pub(super) fn start(messages: &mut impl Write) -> std::io::Result<Option<Self>> {
        let settings = match settings::read(|name| std::env::var(name).ok()) {
            Ok(Some(settings)) => settings,
            Ok(None) => return Ok(Some(Self::default())),
            Err(error) => {
                write_error(messages, format_args!("{error}"), error.help())?;
                return Ok(None);
            }
        };
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        match otlp::RunningExport::start(&settings) {
            Ok((running, traces)) => {
                tracing::info!("traces are exported");
                let running = Some(running);
                Ok(Some(Self { traces, running }))
            }
            Err(error) => {
                write_error(
                    messages,
                    format_args!("exporting traces: {error}"),
                    "SSL_CERT_FILE names authorities to trust; without OTEL_EXPORTER_OTLP_ENDPOINT nothing is exported",
                )?;
                Ok(None)
            }
        }
    }

    /// Sends the last spans. After an end that was cut short nothing is waited for.
    pub(super) fn end(self, ending: Option<Ending>) {
        let drained = ending == Some(Ending::Drained);
        if let Some(running) = self.running {
            running.end(if drained {
                FLUSH
            } else {
                std::time::Duration::ZERO
            });
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl SpanExport {
    /// There is none in this build; says so where the environment asks for one.
    pub(super) fn start(_: &mut impl Write) -> std::io::Result<Option<Self>> {
        if crate::cli::environment::variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
            tracing::warn!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build exports no traces: it is without the Cargo feature `otlp`"
            );
        }
        Ok(Some(Self::default()))
    }

    /// There is nothing to end.
    pub(super) fn end(self, _: Option<Ending>) {}
}
