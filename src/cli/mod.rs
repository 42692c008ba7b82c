//! The command line: one file per subcommand, and the only place that wires adapters to ports and
//! parts to each other.
//!
//! Data goes to standard output, everything else to standard error. Exit status: 0 yes or clean, 1
//! no (no match, findings), 2 cannot answer (usage, configuration, input), 3 ran and failed.

#[cfg(feature = "authorizer")]
mod authority;
#[cfg(feature = "authorizer")]
pub mod authorizer;
mod bridge;
mod broker;
mod config;
mod configuration;
mod counted;
#[cfg(feature = "dev")]
mod dev;
mod diagnostic;
mod dlq;
mod doctor;
mod endpoint_variables;
mod environment;
#[cfg(feature = "gateway")]
mod gateway;
#[cfg(feature = "guard")]
mod guard;
mod healthcheck;
mod http;
mod infra;
mod init;
mod input;
#[cfg(feature = "dev")]
mod inspect;
mod json;
mod lines;
#[cfg(feature = "dev")]
mod listen;
mod load;
mod man;
mod new_file;
mod pattern;
mod plan;
mod policy;
mod progress;
mod reachable;
#[cfg(feature = "dev")]
mod reader;
mod region;
#[cfg(feature = "guard")]
mod revision;
#[cfg(feature = "authorizer")]
mod revoked_file;
mod routes;
mod runtime;
mod sarif;
mod simulate;
mod terminal;
#[cfg(feature = "authorizer")]
mod token;
mod usage;
mod user_error;
mod xml;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::version::{COMMIT, FEATURES, VERSION};

/// Outcome of a command, from which the exit status is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Yes, or clean.
    Yes,
    /// No: no match, or findings.
    No,
    /// The question cannot be answered: usage, configuration, input.
    CannotAnswer,
    /// A failure while the command ran.
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Yes => Self::SUCCESS,
            Status::No => Self::from(1),
            Status::CannotAnswer => Self::from(2),
            Status::Failed => Self::from(3),
        }
    }
}

/// The version and the commit, where the build knows it.
fn short_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| match COMMIT {
        Some(commit) => format!("{VERSION} ({commit})"),
        None => VERSION.to_owned(),
    });
    &TEXT
}

/// The same with the features of the build.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features = match FEATURES {
            [] => "none".to_owned(),
            features => features.join(", "),
        };
        format!("{}\nfeatures: {features}", short_version())
    });
    &TEXT
}

/// Format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Format of reports of several results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
    /// For CI systems: JUnit XML.
    Junit,
}

const HELP: &str = "\
Examples:
  eventcast dev --demo            the whole platform on this machine, with a page that shows it
  eventcast init                  a commented eventcast.yaml to start from
  eventcast routes check          is eventcast.yaml right?
  eventcast doctor                is there everything that the daemon needs?
  eventcast bridge                events from the queue become messages on the broker
  eventcast gateway               polls and streams for clients without WebSockets

Exit status: 0 yes or clean, 1 no (denied, findings), 2 the question cannot be answered (usage, configuration, input), 3 it ran and \
failed. `eventcast COMMAND --help` has examples of each.";

/// The real-time layer of platforms built on Amazon EventBridge.
#[derive(Debug, Parser)]
#[command(
    name = "eventcast",
    version = short_version(),
    long_version = long_version(),
    propagate_version = true,
    max_term_width = 100,
    after_help = HELP
)]
struct Arguments {
    #[command(flatten)]
    terminal: terminal::TerminalOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: events from the queue become messages on the broker
    Bridge(bridge::Command),
    /// Serve clients without WebSockets: polls and streams over HTTP
    #[cfg(feature = "gateway")]
    Gateway(gateway::Command),
    /// Serve an event bus, queues and a broker on this machine, for development and tests
    #[cfg(feature = "dev")]
    Dev(dev::Command),
    /// Connect as a client, subscribe to channels, and print their messages
    #[cfg(feature = "dev")]
    Listen(listen::Command),
    /// Follow one event on its way, hop by hop
    #[cfg(feature = "dev")]
    Trace(inspect::trace::TraceCommand),
    /// Look at a client, a channel or a route
    #[cfg(feature = "dev")]
    #[command(subcommand)]
    Inspect(inspect::Command),
    /// Try everything the daemon needs, and say what is missing
    Doctor(doctor::Command),
    /// Ask a running daemon how it is
    Healthcheck(healthcheck::Command),
    /// Look at dead letters, and send them back
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// Check routes, and explain what they do with an event
    #[command(subcommand)]
    Routes(routes::Command),
    /// Try EventBridge event patterns
    #[command(subcommand)]
    Pattern(pattern::Command),
    /// Ask IoT policies who may listen to what, and put them into force
    #[command(subcommand)]
    Policy(policy::Command),
    /// Mint tokens, and say what a token is worth
    #[cfg(feature = "authorizer")]
    #[command(subcommand)]
    Token(token::Command),
    /// Try the custom authorizer on an event of IoT Core
    #[cfg(feature = "authorizer")]
    #[command(subcommand)]
    Authorizer(authorizer::Command),
    /// Make templates of infrastructure, and look for what loses events in them
    #[command(subcommand)]
    Infra(infra::Command),
    /// Check that real-time features of a repository stay on the real-time layer
    #[cfg(feature = "guard")]
    #[command(subcommand)]
    Guard(guard::Command),
    /// Plan capacity: quotas and their head-room, tasks, recovery times and the month's bill
    Plan(plan::Command),
    /// Simulate a recovery: how long until all clients are live again, and what is lost
    Simulate(simulate::Command),
    /// Write a commented eventcast.yaml to start from
    Init(init::Command),
    /// Describe the configuration file, and show the values in effect
    #[command(subcommand)]
    Config(config::Command),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  eventcast completions bash > ~/.local/share/bash-completion/completions/eventcast\n\nExit status: 0 printed."
    )]
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them
    Man(man::Command),
}

/// Runs the command line and returns its exit status.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match environment::prepare(&mut io::stderr()) {
        Ok(true) => {}
        // Without standard error there is nowhere to report it.
        Ok(false) | Err(_) => return Status::CannotAnswer.into(),
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is all that can go wrong here, and there is nowhere to report it.
            let _ = match error.kind() {
                ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.print(),
                _ => usage::explained(&error).write(&mut io::stderr()),
            };
            // Help and version are answers; everything else is a question that cannot be answered.
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    arguments.terminal.apply();
    let stdout = io::stdout();
    let mut out = BufWriter::new(stdout.lock());
    let result = run(arguments.command, &mut out).and_then(|status| {
        out.flush()?;
        Ok(status)
    });
    match result {
        Ok(status) => status.into(),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error is all that can go wrong, and nobody reads it.
            let _ = user_error::write_any(&mut io::stderr(), &error);
            Status::Failed.into()
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> anyhow::Result<Status> {
    let mut messages = terminal::Messages::new();
    match command {
        Command::Bridge(command) => bridge::run(&command, &mut messages),
        Command::Pattern(command) => pattern::run(command, piped(), out, &mut messages),
        Command::Policy(command) => policy::run(command, piped(), out, &mut messages),
        #[cfg(feature = "dev")]
        Command::Dev(command) => dev::run(&command, out, &mut messages),
        #[cfg(feature = "dev")]
        Command::Listen(command) => listen::run(&command, piped(), out, &mut messages),
        #[cfg(feature = "dev")]
        Command::Trace(command) => inspect::trace::run(&command, out, &mut messages),
        #[cfg(feature = "dev")]
        Command::Inspect(command) => inspect::run(&command, out, &mut messages),
        Command::Doctor(command) => doctor::run(&command, out, &mut messages),
        Command::Healthcheck(command) => healthcheck::run(&command, out, &mut messages),
        Command::Dlq(command) => dlq::run(&command, out, &mut messages),
        Command::Routes(command) => routes::run(command, piped(), out, &mut messages),
        #[cfg(feature = "authorizer")]
        Command::Token(command) => token::run(command, piped(), out, &mut messages),
        #[cfg(feature = "authorizer")]
        Command::Authorizer(command) => authorizer::run(command, piped(), out, &mut messages),
        #[cfg(feature = "gateway")]
        Command::Gateway(command) => gateway::run(&command, piped(), out, &mut messages),
        Command::Config(command) => config::run(&command, out, &mut messages),
        Command::Infra(command) => infra::run(&command, out, &mut messages),
        #[cfg(feature = "guard")]
        Command::Guard(command) => guard::run(&command, out, &mut messages),
        Command::Plan(command) => plan::run(&command, out, &mut messages),
        Command::Simulate(command) => simulate::run(&command, out, &mut messages),
        Command::Init(command) => init::run(&command, out, &mut messages),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "eventcast", &mut script);
            out.write_all(&script)?;
            Ok(Status::Yes)
        }
        Command::Man(command) => man::run(&command, out, &mut messages),
    }
}

/// A number of things, such as `1 route` and `2 routes`.
fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// Standard input, unless a person sits at it. It is not locked: `--config -` reads it as well.
fn piped() -> Option<io::BufReader<io::Stdin>> {
    let stdin = io::stdin();
    (!stdin.is_terminal()).then(|| io::BufReader::new(stdin))
}

/// Returns `true` where the reader of the output has closed the pipe, as `| head` does. That is no
/// failure of the command.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    /// Standard output whose reader has gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let error = json::write_json(&[1], &mut Closed).unwrap_err();
        assert!(is_closed_pipe(&error), "{error:?}");
        let other = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!is_closed_pipe(&other));
    }

    fn each(command: &clap::Command, way: &str, found: &mut Vec<(String, clap::Command)>) {
        let way = format!("{way}{} ", command.get_name());
        found.push((way.trim_end().to_owned(), command.clone()));
        for below in command.get_subcommands() {
            if below.get_name() != "help" {
                each(below, &way, found);
            }
        }
    }

    #[test]
    fn every_help_has_examples_that_fit_a_line() {
        let mut found = Vec::new();
        each(&Arguments::command(), "", &mut found);
        assert!(found.len() > 25, "{}", found.len());
        for (way, mut command) in found {
            let help = command.render_long_help().to_string();
            let after = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(after.contains("Example"), "{way} has no example");
            assert!(
                after.contains(&format!("  {way}")),
                "{way} has no example of itself"
            );
            let is_leaf = command.get_subcommands().next().is_none();
            assert!(
                !is_leaf || after.contains("Exit status: 0"),
                "{way} has no exit status"
            );
            for example in after.lines().filter(|line| line.starts_with("  ")) {
                assert!(example.chars().count() <= 100, "{way}: {example}");
                assert!(help.contains(example), "{way}: {example}");
            }
        }
    }
}
