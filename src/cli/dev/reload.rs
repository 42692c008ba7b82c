//! Another configuration for a running `eventcast dev`: at SIGHUP, and with `--watch` when the file
//! changes.
//!
//! Routes, channels and roles take the place of the old ones all at once; with any fault the old
//! ones stay. A change of the settings of ports, queues and the broker takes a restart.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::assemble::Assembled;
use super::beside::Beside;
use super::people::People;
use super::show::ServedConfig;
use super::{Command, Read};
use crate::cli::user_error::write_any;
use crate::config::Config;
use crate::dev::broker::Broker;
use crate::escape::write_line;
use crate::policy::scope::Scope;

/// Interval between two looks at the file.
const LOOK: Duration = Duration::from_millis(250);

/// Parts of the running platform that go by the configuration.
pub(super) struct Reloader<'p> {
    pub(super) command: &'p Command,
    pub(super) people: &'p People,
    pub(super) scope: &'p Scope,
    pub(super) broker: &'p Broker,
    /// Nothing where the endpoints alone are served.
    pub(super) assembled: Option<&'p Assembled>,
    pub(super) beside: &'p Beside,
    /// The configuration that the platform was started with, as it was read.
    pub(super) started_with: Option<Config>,
}

/// Requests to reload.
pub(super) struct ReloadRequests {
    hang_up: Signal,
}

impl ReloadRequests {
    /// Listens to SIGHUP from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let hang_up = signal(SignalKind::hangup()).context("listening to SIGHUP")?;
        Ok(Self { hang_up })
    }
}

impl Reloader<'_> {
    /// Reloads at each request, for ever.
    ///
    /// # Errors
    /// Fails when messages cannot be written.
    pub(super) async fn follow(
        &self,
        mut requests: ReloadRequests,
        messages: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut file = WatchedFile::new(&self.command.configuration.file);
        loop {
            tokio::select! {
                _ = requests.hang_up.recv() => {}
                () = file.changed(), if self.command.watch => {}
            }
            self.reload(messages)?;
        }
    }

    fn reload(&self, messages: &mut impl Write) -> anyhow::Result<()> {
        let (Some(assembled), Some(started_with)) = (self.assembled, &self.started_with) else {
            return unchanged("with `--bare` there is no configuration", messages);
        };
        let config = match self.command.config(messages) {
            Ok(Read::Config(config)) => *config,
            Ok(Read::Wrong | Read::None) => {
                return unchanged(STAYS, messages);
            }
            Err(error) => {
                write_any(messages, &error)?;
                return unchanged(STAYS, messages);
            }
        };
        let served = ServedConfig::of(self.command, &config);
        let bridge_changed = match self.people.reload(&config, self.scope, messages) {
            Ok(changed) => changed,
            Err(error) => {
                write_any(messages, &error)?;
                return unchanged(STAYS, messages);
            }
        };
        for section in unchangeable(started_with, &config) {
            write_line(
                messages,
                format_args!("warning: {section} has changed; that takes a restart"),
            )?;
        }
        self.beside.set_config(&config);
        let client_ids = assembled.set_config(config, self.people);
        if bridge_changed {
            // Its connections come back at once, with its new rights.
            for id in self
                .broker
                .clients(usize::MAX, |id| id.starts_with(&client_ids))
                .0
            {
                self.broker.delete_connection(&id, false, true);
            }
        }
        write_line(messages, format_args!("reloaded: {served}"))?;
        messages.flush()?;
        Ok(())
    }
}

const STAYS: &str = "the configuration before stays in force";

/// Reports that a request to reload has changed nothing.
fn unchanged(why: &str, messages: &mut impl Write) -> anyhow::Result<()> {
    writeln!(messages, "nothing is reloaded: {why}")?;
    messages.flush()?;
    Ok(())
}

/// Sections that differ and were read once, at the start.
fn unchangeable(before: &Config, now: &Config) -> Vec<&'static str> {
    let (auth_before, auth_now) = (&before.authorizer, &now.authorizer);
    let sections = [
        ("`bridge`", before.bridge != now.bridge),
        (
            "whether there are roles",
            before.roles.is_empty() != now.roles.is_empty(),
        ),
        (
            "`authorizer.token_key`",
            auth_before.token_key != auth_now.token_key,
        ),
        (
            "`authorizer.region` or `authorizer.account`",
            auth_before.scope != auth_now.scope,
        ),
    ];
    let changed = sections.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(section, _)| section).collect()
}

/// A file by its time and size. Editors that write another file and rename it are seen too.
struct WatchedFile<'f> {
    path: &'f Path,
    known: Option<FileStamp>,
}

type FileStamp = (SystemTime, u64);

impl<'f> WatchedFile<'f> {
    fn new(path: &'f Path) -> Self {
        Self {
            path,
            known: stamp(path),
        }
    }

    /// Resolves when the file is another one than last time, and has not changed between two looks:
    /// it may be written in parts.
    async fn changed(&mut self) {
        let mut seen = self.known;
        loop {
            sleep(LOOK).await;
            let now = stamp(self.path);
            if now.is_some() && now != self.known && now == seen {
                self.known = now;
                return;
            }
            seen = now;
        }
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    let facts = fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}
