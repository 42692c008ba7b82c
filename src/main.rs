//! Arguments -> runtime -> exit status. Everything else is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A sixth of the daemon's time went into the system's allocator (`bench/peers`, with a profiler).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    eventcast::cli::main(std::env::args_os())
}
