//! Questions as JSON lines, each answered by a line, in order, for as long as they come.

use std::io::{BufRead, Write};

use anyhow::Context as _;

use super::Status;

/// Answers each line of `input` that is not blank by what `answer` writes, which gets the line's number, counted from 1, and
/// says whether the line could be answered. One line is held at a time.
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
        if input
            .read_until(b'\n', &mut line)
            .context("reading standard input")?
            == 0
        {
            return Ok(status);
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if !answer(number, &line, out)? {
            status = Status::CannotAnswer;
        }
        writeln!(out)?;
        // Who asks line by line waits for each answer.
        if input.fill_buf().map_or(true, <[u8]>::is_empty) {
            out.flush()?;
        }
    }
}
