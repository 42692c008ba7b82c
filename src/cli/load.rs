//! The load description, as every command that needs it is given it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::diagnostic::render;
use super::input::{self, INPUT_BYTES};
use super::user_error::write_error;
use crate::config::Config;
use crate::config::fault::Severity;
use crate::config::load_profile::{LoadProfile, LoadSource, load_profile};

/// Name of values that no file has, in messages.
const NO_FILE: &str = "(no load description)";

#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    /// The load description (docs/capacity.md); `-` is standard input
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Clients that come in a day, such as 250k or 1M
    #[arg(long, value_name = "NUMBER")]
    clients: Option<String>,
    /// Set one value of the load over its file, such as `peak=5` (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    with: Vec<String>,
}

impl LoadArguments {
    /// Returns `true` where any part of a load is given.
    pub(super) fn is_given(&self) -> bool {
        self.load.is_some() || self.clients.is_some() || !self.with.is_empty()
    }

    /// Returns `true` where routes have loads of their own.
    pub(super) fn describes_routes(&self) -> bool {
        self.load.is_some() || self.with.iter().any(|value| value.starts_with("routes"))
    }

    /// Reads the load for a configuration; `learned` values, `KEY=VALUE`, stand above the file and
    /// below flags. `None` when something is wrong, which is reported.
    pub(super) fn read(
        &self,
        config: Option<&Config>,
        learned: &[String],
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<LoadProfile>> {
        let (file, text) = match &self.load {
            Some(path) => match input::read_text(path, INPUT_BYTES) {
                Ok(text) => (input::shown(path), text),
                Err(error) => {
                    let what = format!("reading the load `{}`: {error}", input::shown(path));
                    write_error(
                        messages,
                        what,
                        "eventcast plan --print-load writes one to start from",
                    )?;
                    return Ok(None);
                }
            },
            None => (NO_FILE.to_owned(), String::new()),
        };
        let learned = learned.iter().map(|value| ("--learn", value.clone()));
        let mut flags: Vec<(&'static str, String)> = learned.collect();
        if let Some(clients) = &self.clients {
            flags.push(("--clients", format!("clients={clients}")));
        }
        flags.extend(self.with.iter().map(|value| ("--with", value.clone())));
        let routes = config.map(|config| config.routes.iter().map(|route| &*route.name).collect());
        let loaded = load_profile(&LoadSource {
            file: &file,
            text: &text,
            flags,
            routes,
        });
        for fault in &loaded.faults {
            // Idle routes and the like are warnings: the plan is made all the same.
            if loaded.profile.is_none() || fault.severity == Severity::Warning {
                render(fault, &text, messages)?;
            }
        }
        Ok(loaded.profile)
    }
}
