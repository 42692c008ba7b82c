//! Questions as JSON lines, each answered by a line, in order, for as long as they come.

use std::io::{BufRead, Read as _, Write};

use anyhow::Context as _;

use super::Status;
use super::input::INPUT_BYTES;
use super::user_error::UserError;

/// Answers each line of `input` that is not blank by the output of `answer`, which gets the line's
/// number, counted from 1, and returns `true` where the line could be answered. One line is held at
/// a time.
pub(super) fn answer_each<W: Write>(
    mut input: impl BufRead,
    out: &mut W,
    mut answer: impl FnMut(usize, &[u8], &mut W) -> anyhow::Result<bool>,
) -> anyhow::Result<Status> {
    let mut status = Status::Yes;
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let mut bounded = input.by_ref().take(INPUT_BYTES as u64 + 1);
        let length = bounded
            .read_until(b'\n', &mut line)
            .context("reading standard input")?;
        if length == 0 {
            return Ok(status);
        }
        number += 1;
        if length > INPUT_BYTES {
            // The answers so far have a reader; nothing says where the next line begins.
            out.flush()?;
            let what = format!("line {number} of standard input has more than {INPUT_BYTES} bytes");
            return Err(UserError::new(what, "write one JSON object a line").into());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if !answer(number, &line, out)? {
            status = Status::CannotAnswer;
        }
        writeln!(out)?;
        // A caller that asks line by line waits for each answer.
        if input.fill_buf().map_or(true, <[u8]>::is_empty) {
            out.flush()?;
        }
    }
}
