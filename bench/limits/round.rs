//! One round: a run with one build of the daemon, or with the rig alone, on a platform of its own.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::daemon::{Build, Daemon};
use super::platform::{BrokerCounts, Manner, Platform};
use super::process::{machine, own_cpu};
use super::record::{Latencies, Record};
use super::scenario::Run;
use super::schedule::Schedule;
use super::{relay, subscriber};

/// Time for which everything is left alone before the load: from rest means from rest.
const REST: Duration = Duration::from_secs(2);

/// Events that were put on the bus just before the end of the load are no backlog.
const UNDER_WAY: Duration = Duration::from_millis(250);

const PUBLISHED: &str = "eventcast_published_total";

const LOOK: Duration = Duration::from_millis(50);

/// The figures of one round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Of the measured part, without the hot topic.
    pub(crate) latencies: Latencies,
    pub(crate) hot: Option<Latencies>,
    /// Of the whole load.
    pub(crate) sent: usize,
    pub(crate) received: usize,
    /// Sent, not received, and in no queue any more.
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Events that had not come at the end of the load, without the hot topic and the last quarter
    /// of a second.
    pub(crate) backlog: usize,
    /// Messages a second in the measured part.
    pub(crate) rate: f64,
    /// Messages that the broker discarded for a limit.
    pub(crate) discarded: u64,
    /// Connections that the daemon opened.
    pub(crate) connections: u64,
    /// Seconds of CPU of all tasks for 10,000 messages.
    pub(crate) cpu: f64,
    /// Publishes a second of each task in the measured part.
    pub(crate) shares: Vec<f64>,
    /// Lateness of calls of PutEvents, 99th percentile in milliseconds.
    pub(crate) lag: f64,
    /// The parts of all cores that idled, and that processes took which do not belong to the run.
    pub(crate) idle: f64,
    pub(crate) others: f64,
}

/// The bridge of a round.
enum Bridge {
    Rig(JoinSet<anyhow::Result<()>>),
    Daemons(Vec<Daemon>),
}

impl Bridge {
    fn cpu(&self) -> f64 {
        match self {
            Self::Rig(_) => 0.0,
            Self::Daemons(daemons) => daemons.iter().map(|one| one.process.cpu()).sum(),
        }
    }

    /// A metric of each task.
    async fn metric(&self, name: &str) -> anyhow::Result<Vec<u64>> {
        let mut values = Vec::new();
        if let Self::Daemons(daemons) = self {
            for daemon in daemons {
                values.push(daemon.metric(name).await?);
            }
        }
        Ok(values)
    }

    /// Messages that the broker discarded, and the connections that were opened: by the broker's
    /// counters or, of a platform that has none, by the daemon's own metrics, which count refusals
    /// and connections that are up.
    async fn seen_by_broker(
        &self,
        platform: &mut Platform,
        before: Option<BrokerCounts>,
    ) -> anyhow::Result<(u64, u64)> {
        if let (Some(counts), Some(before)) = (platform.counts().await?, before) {
            return Ok((
                counts.throttled - before.throttled,
                counts.connected - before.connected,
            ));
        }
        let throttled = self.metric("eventcast_throttled_total").await?;
        let connections = self.metric("eventcast_connections").await?;
        Ok((throttled.iter().sum(), connections.iter().sum()))
    }

    /// Fails where the rig's tasks have.
    fn check(&mut self) -> anyhow::Result<()> {
        if let Self::Rig(tasks) = self
            && let Some(ended) = tasks.try_join_next()
        {
            ended??;
        }
        Ok(())
    }

    async fn end(self) {
        if let Self::Daemons(daemons) = self {
            for daemon in daemons {
                daemon.process.end().await;
            }
        }
    }
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!(
            "eventcast-limits-{}-{:x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The rest is a few kilobytes in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// CPU times at one moment, in seconds.
struct Clocks {
    ours: f64,
    busy: f64,
    idle: f64,
}

impl Clocks {
    fn read(platform: &Platform, bridge: &Bridge) -> Self {
        let (busy, idle) = machine();
        Self {
            ours: own_cpu() + platform.process.cpu() + bridge.cpu(),
            busy,
            idle,
        }
    }
}

/// Runs it: `build` is `None` for the rig alone, which has no limits to keep.
///
/// # Errors
/// Fails when a process does not start or ends, and when the bus refuses an event.
pub(crate) async fn round(
    run: &Run,
    build: Option<&Build>,
    platform_binary: &str,
    has_limits: bool,
    messages_per_second: u32,
) -> anyhow::Result<Outcome> {
    let folder = Folder::new()?;
    let manner = Manner {
        has_limits: has_limits && build.is_some(),
        account_publishes: run
            .quota
            .filter(|_| build.is_some())
            .map(|quota| quota.publishes),
        acknowledged_after: build.map_or(Duration::ZERO, |_| run.acknowledged_after),
    };
    let mut platform = Platform::start(platform_binary, manner).await?;
    let connections = subscriber::subscribe(platform.mqtt, run.load, messages_per_second).await?;
    let before = platform.counts().await?;
    let mut bridge = match build {
        None => Bridge::Rig(relay::start(&platform).await?),
        Some(build) => {
            let start = |number| Daemon::start(build, &platform, run.quota, &folder.0, number);
            let mut daemons: Vec<Daemon> = (0..run.tasks).map(start).collect::<Result<_, _>>()?;
            for daemon in &mut daemons {
                daemon.ready().await?;
            }
            Bridge::Daemons(daemons)
        }
    };
    sleep(REST).await;

    let length = run.warm_up + run.measured;
    let schedule = Rc::new(Schedule::new(run.load, length));
    let cpu_before = bridge.cpu();
    let clocks_before = Clocks::read(&platform, &bridge);
    let record = Rc::new(Record::new(&schedule));
    let mut listeners = subscriber::listen(connections, &record);
    let start = Instant::from_std(record.start());
    let looked = async {
        sleep_until(start + run.warm_up).await;
        let (received, published) = (record.received(), bridge.metric(PUBLISHED).await?);
        sleep_until(start + length).await;
        let backlog = record.missing(length.saturating_sub(UNDER_WAY));
        let seconds = run.measured.as_secs_f64();
        let rate = (record.received() - received) as f64 / seconds;
        let later = bridge.metric(PUBLISHED).await?;
        let shares = later.iter().zip(published);
        let shares = shares.map(|(later, before)| (later - before) as f64 / seconds);
        anyhow::Ok((backlog, rate, shares.collect::<Vec<f64>>()))
    };
    let (played, looked) = tokio::join!(schedule.play(&record, &platform.address), looked);
    played?;
    let (backlog, rate, shares) = looked?;
    let clocks = Clocks::read(&platform, &bridge);

    let patience = Instant::now() + run.drain;
    let mut left = platform.left().await?;
    while Instant::now() < patience && (left > 0 || record.received() < record.sent()) {
        if let Some(ended) = listeners.try_join_next() {
            ended??;
        }
        bridge.check()?;
        sleep(LOOK).await;
        left = platform.left().await?;
    }
    anyhow::ensure!(record.foreign() == 0, "messages came that nobody sent");
    let (discarded, connections) = bridge.seen_by_broker(&mut platform, before).await?;
    let cpu = bridge.cpu() - cpu_before;
    let missing = (record.sent() - record.received()) as u64;
    let (busy, idle) = (
        clocks.busy - clocks_before.busy,
        clocks.idle - clocks_before.idle,
    );
    let all = (busy + idle).max(f64::EPSILON);
    let outcome = Outcome {
        latencies: record.latencies(run.warm_up, false),
        hot: (run.load.hot_rate > 0).then(|| record.latencies(run.warm_up, true)),
        sent: record.sent(),
        received: record.received(),
        lost: missing.saturating_sub(left),
        duplicates: record.duplicates(),
        backlog,
        rate,
        discarded,
        connections,
        cpu: cpu / record.received().max(1) as f64 * 10_000.0,
        shares,
        lag: record.lag(),
        idle: idle / all,
        others: (busy - (clocks.ours - clocks_before.ours)).max(0.0) / all,
    };
    bridge.end().await;
    platform.process.end().await;
    Ok(outcome)
}
