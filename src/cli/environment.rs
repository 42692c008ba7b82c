//! The environment of the process, for eventcast and for the libraries that read it on their own.
//!
//! A variable that is set to nothing counts as not set, as with the AWS CLI: Compose files and
//! charts write `VAR=${VAR:-}`. Libraries (the AWS SDK, TLS, proxies, the OTLP exporter) disagree
//! about it, and a running process cannot change its environment safely. So where one of their
//! variables is set to nothing, the process starts its program anew without them: `exec` keeps the
//! process id, the files and the arguments.
//!
//! Variables that are not UTF-8 matter only when they are eventcast's own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;

use super::user_error::write_error;

/// The prefix of eventcast's own variables.
const PREFIX: &str = "EVENTCAST_";

/// Beginnings and endings of the names that eventcast or a library of it reads.
const READ_PREFIXES: [&str; 6] = [PREFIX, "AWS_", "OTEL_", "SSL_", "CLICOLOR", "RUST_"];
const READ_SUFFIX: &str = "_PROXY";
const READ_NAMES: [&str; 9] = [
    "NO_COLOR",
    "TERM",
    "COLUMNS",
    "HOME",
    "USERPROFILE",
    "TMPDIR",
    "SSLKEYLOGFILE",
    "REQUEST_METHOD",
    "ECS_CONTAINER_METADATA_URI_V4",
];

/// Starts the program anew where variables are set to nothing, and refuses variables of eventcast's
/// own that are not UTF-8. Returns false when the process cannot go on; the reason has been
/// written.
pub(super) fn prepare(messages: &mut impl Write) -> std::io::Result<bool> {
    let empty: Vec<OsString> = env::vars_os()
        .filter(|(name, value)| value.is_empty() && is_read(name))
        .map(|(name, _)| name)
        .collect();
    if !empty.is_empty() {
        let error = start_anew_without(&empty);
        let names: Vec<_> = empty.iter().map(|name| name.to_string_lossy()).collect();
        writeln!(
            messages,
            "warning: {} cannot be removed from the environment: {error}; unset what is set to nothing",
            names.join(", ")
        )?;
    }
    let Some((name, what)) = env::vars_os().find_map(|(name, value)| unreadable(&name, &value))
    else {
        return Ok(true);
    };
    write_error(
        messages,
        format_args!("{what} of the environment variable `{name}` is not UTF-8"),
        "correct it, or unset it",
    )?;
    Ok(false)
}

/// The variables of eventcast's own, those that are set to nothing left out.
pub(super) fn own() -> Vec<(String, String)> {
    let text = |text: OsString| text.into_string().ok();
    env::vars_os()
        .filter_map(|(name, value)| text(name).zip(text(value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .collect()
}

/// The value of a variable, unless it is missing or set to nothing.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_read(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    READ_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.to_ascii_uppercase().ends_with(READ_SUFFIX)
        || READ_NAMES.contains(&&*name)
}

/// A variable of eventcast's own that cannot be read, and which part of it.
fn unreadable(name: &OsStr, value: &OsStr) -> Option<(String, &'static str)> {
    let shown = name.to_string_lossy();
    if !shown.starts_with(PREFIX) {
        return None;
    }
    let part = match (name.to_str(), value.to_str()) {
        (None, _) => "the name",
        (_, None) => "the value",
        _ => return None,
    };
    Some((shown.into_owned(), part))
}

/// Replaces the process by its own program; returns only when that fails.
fn start_anew_without(names: &[OsString]) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(own_name) = arguments.next() {
        command.arg0(own_name);
    }
    command.args(arguments);
    for name in names {
        command.env_remove(name);
    }
    command.exec()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn variables_that_are_read() {
        for name in [
            "AWS_ENDPOINT_URL_SQS",
            "AWS_PROFILE",
            "EVENTCAST_CONFIG",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https_proxy",
            "NO_PROXY",
            "NO_COLOR",
            "SSL_CERT_FILE",
        ] {
            assert!(is_read(OsStr::new(name)), "{name}");
        }
        for name in ["LS_COLORS", "PS1", "SHOP_QUEUE"] {
            assert!(!is_read(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn only_our_own_must_be_text() {
        let odd = OsStr::from_bytes(b"\xff");
        assert_eq!(unreadable(OsStr::new("SHOP"), odd), None);
        assert_eq!(unreadable(OsStr::new("AWS_REGION"), odd), None);
        let ours = unreadable(OsStr::new("EVENTCAST_ENVIRONMENT"), odd);
        assert_eq!(ours, Some(("EVENTCAST_ENVIRONMENT".into(), "the value")));
        let name = OsStr::from_bytes(b"EVENTCAST_\xff");
        let ours = unreadable(name, OsStr::new("1"));
        assert_eq!(ours.map(|(_, part)| part), Some("the name"));
    }
}
