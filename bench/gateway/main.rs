//! Waiting polls of the gateway: the memory of each, and the delay after a WebSocket client's
//! messages. `bench/gateway/run` builds and runs this.
//!
//! Everything runs on this machine: `eventcast dev` as the broker, with TLS; `eventcast gateway`,
//! whose resident memory is read; and this program, which keeps so many polls waiting, each with a
//! session, token and TLS connection to the broker of its own. Some channels have a WebSocket
//! client beside their poll, so that both wait for the same events.
//!
//! Exit status: 0 every target is met, 1 one is missed, 2 it could not be run.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark: it prints, keeps the time of the real clock, and knows its own numbers"
)]

mod http;
#[path = "../interruptible.rs"]
mod interruptible;
mod platform;
mod poller;
#[allow(dead_code, reason = "the benchmark of limits uses the rest")]
#[path = "../limits/process.rs"]
mod process;
mod report;
mod round;

use std::process::ExitCode;

use clap::Parser;

/// Waiting polls of the gateway, on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench/gateway/run")]
struct Arguments {
    /// The build that is measured
    #[arg(long, value_name = "BINARY")]
    eventcast: String,
    /// How many polls wait; one round for each number
    #[arg(long, value_name = "COUNT", num_args = 1.., default_values_t = [5_000, 10_000])]
    polls: Vec<usize>,
    /// How many channels have a WebSocket client beside their poll
    #[arg(long, value_name = "COUNT", default_value = "50")]
    twins: usize,
    /// Events a second, spread over those channels
    #[arg(long, value_name = "COUNT", default_value = "100")]
    rate: u32,
    /// How long events are published, in seconds
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    interruptible::run(measure(&arguments), |rounds| {
        print!("{}", report::text(&rounds));
        ExitCode::from(u8::from(!rounds.iter().all(report::is_met)))
    })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<Vec<round::Figures>> {
    let mut rounds = Vec::new();
    for polls in &arguments.polls {
        let load = round::Load {
            polls: *polls,
            twins: arguments.twins.min(*polls),
            rate: arguments.rate,
            seconds: arguments.seconds,
        };
        rounds.push(round::round(&arguments.eventcast, load).await?);
    }
    Ok(rounds)
}
