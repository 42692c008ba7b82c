//! The configuration: the arguments by which every command finds it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::diagnostic::render_in;
use super::terminal::Palette;
use super::user_error::write_error;
use super::{environment, input};
use crate::config::effective::{EffectiveValue, effective};
use crate::config::fault::Fault;
use crate::config::{Config, ConfigSource, Loaded, MAX_FILE_BYTES, load};

/// The file that is read where none is named.
const USUAL: &str = "eventcast.yaml";

/// Variable with the text itself, for containers that have no file: ECS sets it from a parameter of
/// SSM. A file of the command line wins, and it wins over EVENTCAST_CONFIG, which images set.
const TEXT_VARIABLE: &str = "EVENTCAST_CONFIG_TEXT";

/// The shop of the examples, used where there is no configuration.
#[cfg(any(feature = "dev", feature = "authorizer"))]
const SHOP: &str = include_str!("../../policies/eventcast.yaml");
/// The shop in messages.
#[cfg(any(feature = "dev", feature = "authorizer"))]
pub(super) const SHOP_NAME: &str = "the built-in shop";

#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// The configuration file; `-` is standard input. EVENTCAST_CONFIG_TEXT may have the text
    /// itself
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
    /// Text that was read elsewhere, and its name.
    #[arg(skip)]
    given: Option<(String, String)>,
}

impl Configuration {
    /// The configuration of a program without arguments.
    #[cfg(feature = "lambda")]
    pub(super) fn of_environment() -> Self {
        let file = std::env::var_os("EVENTCAST_CONFIG").unwrap_or_else(|| USUAL.into());
        Self {
            file: file.into(),
            set: Vec::new(),
            given: None,
        }
    }

    /// A configuration whose text was read elsewhere, under the name that messages have for it.
    #[cfg(feature = "lambda")]
    pub(super) fn of_text(name: &str, text: String) -> Self {
        Self {
            given: Some((name.to_owned(), text)),
            ..Self::of_environment()
        }
    }

    /// The configuration, and its text without secrets, for messages; `None` when the file cannot
    /// be read, which is reported.
    pub(super) fn read(
        &self,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<(String, Loaded)>> {
        let Some(text) = self.text_or_error(messages)? else {
            return Ok(None);
        };
        let file = self.shown();
        let loaded = self.load(&file, &text);
        Ok(Some((loaded.redacted(&text), loaded)))
    }

    /// The text of the file; `None` when it cannot be read, which is reported.
    fn text_or_error(&self, messages: &mut impl Write) -> io::Result<Option<String>> {
        let file = self.shown();
        match self.text() {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let help = if error.kind() == io::ErrorKind::NotFound
                    && self.file == Path::new(USUAL)
                {
                    "eventcast init writes one; or name the file with --config or EVENTCAST_CONFIG"
                } else {
                    "name the file with --config or EVENTCAST_CONFIG"
                };
                write_error(
                    messages,
                    format_args!("reading the configuration `{file}`: {error}"),
                    help,
                )?;
                Ok(None)
            }
        }
    }

    /// The text of the file. Standard input is kept, since a daemon reads its configuration more
    /// than once.
    fn text(&self) -> io::Result<String> {
        static STANDARD_INPUT: OnceLock<String> = OnceLock::new();
        if let Some((_, text)) = &self.given {
            return Ok(text.clone());
        }
        if let Some(text) = self.text_of_variable() {
            return Ok(text);
        }
        if !input::is_standard(&self.file) {
            return input::read_text(&self.file, MAX_FILE_BYTES);
        }
        if let Some(text) = STANDARD_INPUT.get() {
            return Ok(text.clone());
        }
        let text = input::read_text(&self.file, MAX_FILE_BYTES)?;
        Ok(STANDARD_INPUT.get_or_init(|| text).clone())
    }

    /// The same with the file that an argument names, if it names one; `None` when --config names
    /// another, which is reported.
    pub(super) fn with_argument(
        &self,
        file: Option<&Path>,
        messages: &mut impl Write,
    ) -> io::Result<Option<Self>> {
        if let Some(file) = file.filter(|_| self.is_typed()) {
            let typed = self.file.display();
            let what = format!("both `{}` and --config `{typed}` are given", file.display());
            write_error(messages, what, "name one file")?;
            return Ok(None);
        }
        Ok(Some(Self {
            file: file.unwrap_or(&self.file).to_owned(),
            set: self.set.clone(),
            given: None,
        }))
    }

    /// The values in effect; `None` when there are errors, which are reported.
    pub(super) fn effective(
        &self,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Vec<EffectiveValue>>> {
        let Some(text) = self.text_or_error(messages)? else {
            return Ok(None);
        };
        let file = self.shown();
        let (loaded, values) = effective(&self.source(&file, &text));
        let config = checked(&text, loaded, Palette::of_messages(), messages)?;
        Ok(config.map(|_| values))
    }

    /// The text in the environment, unless the command line names a file.
    fn text_of_variable(&self) -> Option<String> {
        environment::variable(TEXT_VARIABLE).filter(|_| !self.is_typed())
    }

    /// The name for messages.
    fn shown(&self) -> String {
        if let Some((name, _)) = &self.given {
            return name.clone();
        }
        match self.text_of_variable() {
            Some(_) => TEXT_VARIABLE.to_owned(),
            None => input::shown(&self.file),
        }
    }

    /// Returns `true` where no file is named and the usual one does not exist.
    pub(super) fn is_absent(&self) -> bool {
        let is_unnamed = self.file == Path::new(USUAL) && self.text_of_variable().is_none();
        is_unnamed && !self.file.exists()
    }

    /// Returns `true` where the command line names the file, not the environment.
    pub(super) fn is_typed(&self) -> bool {
        let of_environment = std::env::var_os("EVENTCAST_CONFIG");
        self.file != Path::new(USUAL) && of_environment != Some(self.file.clone().into())
    }

    /// Reads the configuration as [`read_checked`](Self::read_checked) does. For the development
    /// key without a configuration, it reads the shop that `eventcast dev` serves, which a note
    /// says.
    #[cfg(feature = "authorizer")]
    pub(super) fn read_for_tokens(
        &self,
        is_development: bool,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<Config>> {
        if !is_development || !self.is_absent() {
            return self.read_checked(messages);
        }
        writeln!(
            messages,
            "note: there is no {USUAL}; {SHOP_NAME} of `eventcast dev` is read instead"
        )?;
        self.read_shop(messages)
    }

    /// Reads the built-in shop, as [`read_checked`](Self::read_checked) does.
    #[cfg(any(feature = "dev", feature = "authorizer"))]
    pub(super) fn read_shop(&self, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
        // A machine of one's own is no place with a name.
        let text = SHOP.replace("environment: prod\n", "");
        let loaded = self.load(SHOP_NAME, &text);
        checked(&text, loaded, Palette::of_messages(), messages)
    }

    fn source<'s>(&self, file: &'s str, text: &'s str) -> ConfigSource<'s> {
        ConfigSource {
            file,
            text,
            environment: environment::own(),
            flags: self.set.clone(),
        }
    }

    fn load(&self, file: &str, text: &str) -> Loaded {
        load(&self.source(file, text))
    }

    /// Returns the configuration when it has no errors. Otherwise reports them and returns `None`.
    pub(super) fn read_checked(&self, messages: &mut impl Write) -> anyhow::Result<Option<Config>> {
        let read = self.read_with_warnings(messages)?;
        Ok(read.map(|(config, _)| config))
    }

    /// Reads as [`read_checked`](Self::read_checked) does, with the warnings, which are not
    /// written.
    pub(super) fn read_with_warnings(
        &self,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<(Config, Vec<Fault>)>> {
        self.read_with(Palette::of_messages(), messages)
    }

    /// Reads as [`read_with_warnings`](Self::read_with_warnings) does, with messages for a log:
    /// without colours.
    pub(super) fn read_for_log(
        &self,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<(Config, Vec<Fault>)>> {
        self.read_with(Palette::PLAIN, messages)
    }

    /// Reads the configuration anew at each SIGHUP and hands it to `apply`, with its warnings. With
    /// any fault nothing changes, and the log says so with the words `kept`. Ends only when signals
    /// cannot be listened to.
    pub(super) async fn reload_at_signals(
        &self,
        kept: &str,
        mut apply: impl FnMut(Config, &[Fault]),
    ) -> anyhow::Error {
        let mut hang_up = match signal(SignalKind::hangup()) {
            Ok(signals) => signals,
            Err(error) => return anyhow::Error::new(error).context("listening to SIGHUP"),
        };
        loop {
            hang_up.recv().await;
            let mut faults = Vec::new();
            match self.read_for_log(&mut faults) {
                Ok(Some((config, warnings))) => apply(config, &warnings),
                Ok(None) => tracing::error!(
                    faults = %String::from_utf8_lossy(&faults),
                    "the configuration has faults: {kept}"
                ),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the configuration cannot be read: {kept}"
                ),
            }
        }
    }

    fn read_with(
        &self,
        palette: Palette,
        messages: &mut impl Write,
    ) -> anyhow::Result<Option<(Config, Vec<Fault>)>> {
        let Some(text) = self.text_or_error(messages)? else {
            return Ok(None);
        };
        let mut loaded = self.load(&self.shown(), &text);
        let warnings = match &loaded.config {
            Some(_) => std::mem::take(&mut loaded.faults),
            None => Vec::new(),
        };
        let config = checked(&text, loaded, palette, messages)?;
        Ok(config.map(|config| (config, warnings)))
    }
}

/// The configuration, or its faults written with the text around them. Secrets are looked for where
/// there are faults alone: their patterns take longer to compile than the rest takes to read.
fn checked(
    text: &str,
    loaded: Loaded,
    palette: Palette,
    messages: &mut impl Write,
) -> anyhow::Result<Option<Config>> {
    if loaded.config.is_none() {
        let redacted = loaded.redacted(text);
        for fault in &loaded.faults {
            render_in(palette, fault, &redacted, messages)?;
        }
    }
    Ok(loaded.config)
}
