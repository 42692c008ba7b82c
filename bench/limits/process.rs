//! Child processes, and the CPU time of them, of this process and of the machine, as the system has
//! it.

use std::fs;
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::{Child, Command};

/// Clock ticks of `/proc` in a second: USER_HZ is 100 on every architecture that Linux has today.
const TICKS: f64 = 100.0;

/// A child that ends with this value, and no other process with it.
pub(crate) struct Process {
    pub(crate) child: Child,
    pid: u32,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        let pid = child.id().context("the process has ended at once")?;
        Ok(Self { child, pid })
    }

    /// Seconds of CPU so far; those of a process that has ended are 0.
    pub(crate) fn cpu(&self) -> f64 {
        cpu_of(&self.pid.to_string())
    }

    pub(crate) async fn end(mut self) {
        // One that has ended by itself is as good.
        let _ = self.child.kill().await;
    }
}

/// Seconds of CPU of this process so far.
pub(crate) fn own_cpu() -> f64 {
    cpu_of("self")
}

fn cpu_of(pid: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}

/// Seconds that the machine's cores worked, and that they idled.
pub(crate) fn machine() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    let all: f64 = fields.iter().sum();
    ((all - idle) / TICKS, idle / TICKS)
}
