//! The configuration, as every command that needs it is told of it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::diagnostic::render;
use crate::config::{Config, Loaded, Source, load};

#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// The configuration file
    #[arg(
        id = "config",
        long = "config",
        value_name = "FILE",
        env = "EVENTCAST_CONFIG",
        default_value = "eventcast.yaml"
    )]
    pub(super) file: PathBuf,
    /// Set one value over file and environment, such as `environment=test` (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Configuration {
    /// The configuration with its text; `None` (and told) when the file cannot be read.
    pub(super) fn read(
        &self,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<(String, Loaded)>> {
        let file = self.file.display().to_string();
        let text = match fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) => {
                writeln!(
                    messages,
                    "error: reading the configuration `{file}`: {error}\nhelp: name the file with --config or EVENTCAST_CONFIG"
                )?;
                return Ok(None);
            }
        };
        let environment = std::env::vars()
            .filter(|(name, _)| name.starts_with("EVENTCAST_"))
            .collect();
        let loaded = load(&Source {
            file: &file,
            text: &text,
            environment,
            flags: self.set.clone(),
        });
        Ok(Some((text, loaded)))
    }

    /// The configuration when it has no errors; otherwise `None`, and what is wrong with it is told.
    pub(super) fn read_checked(&self, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
        let Some((text, loaded)) = self.read(messages)? else {
            return Ok(None);
        };
        for fault in &loaded.faults {
            if loaded.config.is_none() {
                render(fault, &text, messages)?;
            }
        }
        Ok(loaded.config)
    }
}
