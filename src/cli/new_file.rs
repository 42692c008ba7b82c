//! Files that a command writes to start from, and never over one that is there.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::Status;
use super::user_error::write_error;
use crate::escape::write_line;

/// Writes a file; over one that is there only with `force`. `then` says what it is good for, and
/// `help` how to write it elsewhere.
pub(super) fn write_new(
    path: &Path,
    text: &str,
    force: bool,
    (then, help): (&str, &str),
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let file = path.display();
    let written = options
        .open(path)
        .and_then(|mut opened| opened.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            write_line(messages, format_args!("note: {file} is written; {then}"))?;
            Ok(Status::Yes)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            write_error(messages, format_args!("`{file}` is there already"), help)?;
            Ok(Status::CannotAnswer)
        }
        Err(error) => {
            write_error(
                messages,
                format_args!("writing `{file}`: {error}"),
                "name a file in a folder that exists and can be written to",
            )?;
            Ok(Status::Failed)
        }
    }
}
