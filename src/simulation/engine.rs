//! The loop: ticks of the wheel, steps of the queue and the ledger, points of the timeline.

mod attempt;
mod fate;
mod losing;
mod subscribing;

use fastrand::Rng;

use super::bridge_queue::{BridgeQueue, STEP_MS};
use super::disturbance::{TimelinePoint, timeline};
use super::function_pool::FunctionPool;
use super::invariant;
use super::ledger::{Audience, MessageLedger};
use super::outcome::{
    ClientTotals, ConnectTotals, LIVE_PERCENTS, RecoveryWave, RunSample, SimulationOutcome,
    SubscribeTotals,
};
use super::population::ClientPopulation;
use super::quota::RateQuota;
use super::scenario::{AttemptFailure, RecoveryScenario};
use super::series::SeriesRecorder;
use super::wheel::{ClientPhase, EventWheel, ms_of, tick_of};

/// Progress of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunProgress {
    /// Simulated time, in milliseconds.
    pub now_ms: u32,
    /// Live clients.
    pub live: u64,
}

/// A run that was asked to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulation was interrupted")]
pub struct InterruptedRun;

/// The time that curves go on after the last point of the timeline.
const TAIL_MS: u32 = 10_000;

/// An outage at present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentOutage {
    disturbance: usize,
    percent: u8,
    fails: AttemptFailure,
    cuts_bridge: bool,
}

/// A wave, and when its clients were live again, by step.
#[derive(Debug)]
pub(crate) struct WaveRecord {
    name: String,
    kind: &'static str,
    began_ms: u32,
    reachable_ms: u32,
    affected: u64,
    live: Vec<u32>,
}

/// Counts of the current step.
#[derive(Debug, Default)]
struct StepCounts {
    attempts: u64,
    admitted: u64,
    refused: u64,
    granted: u64,
    filters_refused: u64,
    authorizer: u32,
}

/// A run.
pub(crate) struct SimulationRun<'s> {
    scenario: &'s RecoveryScenario,
    rng: Rng,
    /// Salt of the choice of clients by percentages.
    salt: u64,
    pub(crate) clients: ClientPopulation,
    wheel: EventWheel,
    connects: RateQuota,
    subscribes: RateQuota,
    sessions: RateQuota,
    function: Option<FunctionPool>,
    pub(crate) bridge: Option<BridgeQueue>,
    pub(crate) ledger: MessageLedger,
    outages: Vec<CurrentOutage>,
    waves: Vec<WaveRecord>,
    /// Clients that are away with a session, and how many of these sessions expire in which step.
    kept: u64,
    expiring: std::collections::BTreeMap<u32, u64>,
    shown_refused: u64,
    pub(crate) connect_totals: ConnectTotals,
    subscribe_totals: SubscribeTotals,
    counts: StepCounts,
    /// CONNECTs and filters that were admitted in the current second, and the most of any.
    second: [u64; 2],
    pub(crate) busiest_second: [u64; 2],
    pub(crate) unconserved_steps: u64,
    now_ms: u32,
    step: u32,
}

/// Runs a scenario. `watch` sees the run once a simulated second and returns `false` to end it.
///
/// # Errors
/// [`InterruptedRun`] where `watch` ended it.
pub fn simulate(
    scenario: &RecoveryScenario,
    watch: &mut dyn FnMut(RunProgress) -> bool,
) -> Result<SimulationOutcome, InterruptedRun> {
    let mut run = SimulationRun::new(scenario);
    let points = timeline(scenario);
    let mut points = points.iter().peekable();
    let last_point = points.clone().map(|point| point.at_ms).max().unwrap_or(0);
    let mut peak = (0, 0);
    let mut series = SeriesRecorder::new();
    let mut is_settled = false;
    while run.now_ms < scenario.until_ms {
        if run.now_ms.is_multiple_of(STEP_MS) {
            if run.now_ms > 0 {
                series.enter(run.sample(&mut peak));
            }
            if run.now_ms.is_multiple_of(1_000) {
                run.end_second();
                let progress = RunProgress {
                    now_ms: run.now_ms,
                    live: run.clients.live,
                };
                if !watch(progress) {
                    return Err(InterruptedRun);
                }
                is_settled = run.now_ms >= last_point + TAIL_MS && run.is_settled();
                if is_settled {
                    break;
                }
            }
            run.begin_step();
        }
        while let Some(point) = points.next_if(|point| point.at_ms <= run.now_ms) {
            run.pass(point);
        }
        run.tick();
    }
    Ok(run.finish(series, is_settled, peak))
}

impl<'s> SimulationRun<'s> {
    fn new(scenario: &'s RecoveryScenario) -> Self {
        let mut rng = Rng::with_seed(scenario.seed);
        let salt = rng.u64(..);
        let quota = |rate| RateQuota::new(rate, scenario.limits.counting);
        let sessions = scenario.gateway.as_ref().map_or(0, |gateway| {
            gateway.sessions_per_second.saturating_mul(gateway.tasks)
        });
        Self {
            scenario,
            rng,
            salt,
            clients: ClientPopulation::new(scenario),
            wheel: EventWheel::new(),
            connects: quota(scenario.limits.connect_quota),
            subscribes: quota(scenario.limits.subscribe_quota),
            sessions: quota(sessions),
            function: scenario.authorizer.as_ref().map(FunctionPool::new),
            bridge: scenario
                .bridge
                .as_ref()
                .map(|load| BridgeQueue::new(load, &scenario.limits)),
            ledger: MessageLedger::new(scenario),
            outages: Vec::new(),
            waves: Vec::new(),
            kept: 0,
            expiring: std::collections::BTreeMap::new(),
            shown_refused: 0,
            connect_totals: ConnectTotals::default(),
            subscribe_totals: SubscribeTotals::default(),
            counts: StepCounts::default(),
            second: [0; 2],
            busiest_second: [0; 2],
            unconserved_steps: 0,
            now_ms: 0,
            step: 0,
        }
    }

    /// Begins a step of the queue and of the ledger.
    fn begin_step(&mut self) {
        self.step = self.now_ms / STEP_MS;
        let published = match &mut self.bridge {
            Some(bridge) => bridge.step(self.step),
            None => 0,
        };
        if let Some(expired) = self.expiring.remove(&self.step) {
            self.kept -= expired;
            let lost_at = self.step - self.expiry_steps();
            let each = self.ledger.stored_since(lost_at);
            self.ledger.stored_now = (self.ledger.stored_now - each * expired as f64).max(0.0);
        }
        let audience = Audience {
            live: self.clients.live,
            kept: self.kept,
        };
        // The tables have an entry for the end of this step, so that a change within it counts
        // from its begin on.
        self.ledger.step(published, audience);
        self.counts = StepCounts::default();
    }

    fn expiry_steps(&self) -> u32 {
        self.scenario.clients.session_expiry_ms / STEP_MS
    }

    /// The events of a tick.
    fn tick(&mut self) {
        let bucket = self.wheel.take();
        for event in &bucket {
            match event.phase {
                ClientPhase::Connect => self.connect(*event, false),
                ClientPhase::ConnectTooSoon => self.connect(*event, true),
                ClientPhase::Authorized => self.authorized(*event),
                ClientPhase::NotAuthorized => self.not_authorized(*event),
                ClientPhase::Subscribe => self.subscribe(*event),
            }
        }
        self.wheel.give_back(bucket);
        self.now_ms = ms_of(tick_of(self.now_ms) + 1);
    }

    fn pass(&mut self, point: &TimelinePoint) {
        let Some(disturbance) = self.scenario.disturbances.get(point.disturbance) else {
            return;
        };
        self.disturb(disturbance, point);
    }

    fn sample(&mut self, peak: &mut (u64, u32)) -> RunSample {
        let queue = self.bridge.as_ref();
        let backlog = queue.map_or(0, BridgeQueue::backlog);
        let age_ms = queue.map_or(0, |bridge| bridge.oldest_ms(self.step));
        *peak = (peak.0.max(backlog), peak.1.max(age_ms));
        RunSample {
            live: self.clients.live,
            connected: self.clients.live + self.clients.connected,
            attempts: self.counts.attempts,
            admitted: self.counts.admitted,
            refused: self.counts.refused,
            granted: self.counts.granted,
            filters_refused: self.counts.filters_refused,
            authorizer: self.counts.authorizer,
            stored: self.ledger.stored_now as u64,
            backlog,
            age_ms,
            tasks: queue.map_or(0, BridgeQueue::running),
        }
    }

    fn end_second(&mut self) {
        let [connects, filters] = std::mem::take(&mut self.second);
        let [most_connects, most_filters] = self.busiest_second;
        self.busiest_second = [most_connects.max(connects), most_filters.max(filters)];
        if self
            .bridge
            .as_ref()
            .is_some_and(|bridge| !bridge.is_conserved())
        {
            self.unconserved_steps += 1;
        }
    }

    /// Returns `true` where nothing more will change.
    fn is_settled(&self) -> bool {
        let queue_is_idle = self.bridge.as_ref().is_none_or(BridgeQueue::is_idle);
        self.wheel.waiting() == 0 && self.ledger.is_idle() && queue_is_idle
    }

    fn finish(
        mut self,
        series: SeriesRecorder,
        is_settled: bool,
        peak: (u64, u32),
    ) -> SimulationOutcome {
        self.end_second();
        let addressed = self.settle_all();
        let violations = invariant::check(&self, addressed);
        let messages = self
            .bridge
            .is_some()
            .then(|| self.message_totals(addressed));
        let events = self
            .bridge
            .as_ref()
            .map(|bridge| fate::queue_totals(bridge, peak));
        let waves = self.waves.iter().map(WaveRecord::recovery).collect();
        SimulationOutcome {
            scenario: self.scenario.clone(),
            ended_ms: self.now_ms,
            is_settled,
            waves,
            clients: ClientTotals {
                live: self.clients.live,
                partly: self.clients.connected,
                away: self.clients.away,
                shown_refused: self.shown_refused,
            },
            connects: self.connect_totals,
            subscribes: self.subscribe_totals,
            authorizer_peak: self.function.as_ref().map_or(0, |function| function.peak),
            messages,
            events,
            series: series.finish(),
            violations,
        }
    }

    pub(crate) fn scenario(&self) -> &RecoveryScenario {
        self.scenario
    }

    /// The most that the two quotas admit in a second: CONNECTs, and filters.
    pub(crate) fn most_in_a_second(&self) -> [Option<u64>; 2] {
        [
            self.connects.most_in_a_second(),
            self.subscribes.most_in_a_second(),
        ]
    }
}

impl WaveRecord {
    fn recovery(&self) -> RecoveryWave {
        let recovered = self.live.iter().map(|count| u64::from(*count)).sum();
        let until = |percent: u64| {
            let wanted = (self.affected * percent).div_ceil(100);
            let mut sum = 0;
            let step = self.live.iter().position(|count| {
                sum += u64::from(*count);
                sum >= wanted
            })?;
            let at = (step as u32 + 1) * STEP_MS;
            Some(at.saturating_sub(self.reachable_ms))
        };
        RecoveryWave {
            name: self.name.clone(),
            kind: self.kind,
            began_ms: self.began_ms,
            reachable_ms: self.reachable_ms,
            affected: self.affected,
            recovered,
            until_live: LIVE_PERCENTS.map(|percent| until(percent).filter(|_| self.affected > 0)),
        }
    }
}
