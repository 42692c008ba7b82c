//! The configuration, as every command that needs it is told of it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::diagnostic::render;
use crate::config::{Config, Loaded, Source, load};

/// Where it is looked for.
const USUAL: &str = "eventcast.yaml";

#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// The configuration file
    #[arg(
        id = "config",
        long = "config",
        value_name = "FILE",
        env = "EVENTCAST_CONFIG",
        default_value = USUAL
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
        let loaded = self.load(&file, &text);
        Ok(Some((text, loaded)))
    }

    /// Whether nobody named a file, and the usual one is not there.
    #[cfg(feature = "dev")]
    pub(super) fn is_absent(&self) -> bool {
        self.file == std::path::Path::new(USUAL) && !self.file.exists()
    }

    /// Whether the command line names a file, rather than the environment or nobody.
    #[cfg(feature = "dev")]
    pub(super) fn is_typed(&self) -> bool {
        let of_environment = std::env::var_os("EVENTCAST_CONFIG");
        self.file != std::path::Path::new(USUAL) && of_environment != Some(self.file.clone().into())
    }

    /// As [`read_checked`](Self::read_checked), of text that stands in for the file.
    #[cfg(feature = "dev")]
    pub(super) fn read_text(
        &self,
        name: &str,
        text: &str,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Config>> {
        checked(text, self.load(name, text), messages)
    }

    fn load(&self, file: &str, text: &str) -> Loaded {
        let environment = std::env::vars()
            .filter(|(name, _)| name.starts_with("EVENTCAST_"))
            .collect();
        load(&Source {
            file,
            text,
            environment,
            flags: self.set.clone(),
        })
    }

    /// The configuration when it has no errors; otherwise `None`, and what is wrong with it is told.
    pub(super) fn read_checked(&self, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
        let Some((text, loaded)) = self.read(messages)? else {
            return Ok(None);
        };
        checked(&text, loaded, messages)
    }
}

fn checked(
    text: &str,
    loaded: Loaded,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Config>> {
    for fault in &loaded.faults {
        if loaded.config.is_none() {
            render(fault, text, messages)?;
        }
    }
    Ok(loaded.config)
}
