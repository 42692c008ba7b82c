//! Waiting polls of the gateway: what each costs in memory, and how much later than a WebSocket
//! client they hear. `bench/gateway/run` builds and runs this; `docs/benchmarks.md` has figures.
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
mod platform;
mod poller;
#[allow(dead_code, reason = "the benchmark of limits uses the rest")]
#[path = "../limits/process.rs"]
mod process;
mod report;
mod round;

use std::process::ExitCode;

use clap::Parser;
use tokio::task::LocalSet;

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        LocalSet::new().block_on(&runtime, async {
            // Children end with the work that has started them.
            tokio::select! {
                rounds = measure(&arguments) => rounds.map(Some),
                stopped = tokio::signal::ctrl_c() => stopped.map(|()| None).map_err(Into::into),
            }
        })
    });
    match done {
        Ok(Some(rounds)) => {
            print!("{}", report::text(&rounds));
            ExitCode::from(u8::from(!rounds.iter().all(report::is_met)))
        }
        Ok(None) => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
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
