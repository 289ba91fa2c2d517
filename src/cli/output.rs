//! What commands print.
//!
//! Separate from the commands, because `println!` panics where nobody reads any more and where the disk is full. The first
//! is no failure: whoever runs `muleteer policy | head` has what they wanted. The second is one that the exit code tells.

use std::io::{ErrorKind, Write};

use anyhow::Context as _;

/// Prints `text`, one line or several, and ends the last, on standard output. A reader that is gone is no error.
///
/// # Errors
/// Standard output cannot be written: its disk is full, say.
pub fn say(text: &str) -> anyhow::Result<()> {
    end_quietly(write_lines(std::io::stdout().lock(), text)).context("standard output cannot be written")
}

/// Tells on standard error what went wrong, with our name before it. Where that cannot be told, the exit code tells it.
pub fn complain(text: &str) {
    remark(&format!("muleteer: {text}"));
}

/// Tells a person something on standard error that is no result, if anybody reads it.
pub fn remark(text: &str) {
    let _ = write_lines(std::io::stderr().lock(), text);
}

fn write_lines(mut output: impl Write, text: &str) -> std::io::Result<()> {
    writeln!(output, "{text}")?;
    output.flush()
}

fn end_quietly(outcome: std::io::Result<()>) -> std::io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
