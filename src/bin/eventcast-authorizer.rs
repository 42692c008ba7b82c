//! The custom authorizer of AWS IoT Core, as a function of AWS Lambda: `bootstrap` in its zip.

use std::process::ExitCode;

fn main() -> ExitCode {
    eventcast::cli::authorizer::lambda::main()
}
