//! Arguments -> runtime -> exit status. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    eventcast::cli::main(std::env::args_os())
}
