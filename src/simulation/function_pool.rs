//! The authorizer's function: environments, the most calls at a time, cold starts and IoT Core's
//! time limit.
//!
//! Lambda adds environments at a bounded pace and refuses a call that finds none (AWS Lambda
//! developer guide, "Understanding Lambda function scaling": 1,000 in ten seconds for a function).
//! An environment that was started stays: recoveries last minutes, idle environments longer.

use fastrand::Rng;

use super::scenario::AuthorizerLoad;

const SCALING_MS: u64 = 10_000;

/// The environments of a function.
#[derive(Clone, Debug)]
pub(crate) struct FunctionPool {
    load: AuthorizerLoad,
    warm: u32,
    busy: u32,
    /// Environments that may start now, in ten-thousandths.
    startable: u64,
    at_ms: u32,
    /// The most calls at a time so far.
    pub(crate) peak: u32,
    /// `true` while it does not answer.
    pub(crate) is_out: bool,
}

/// The fate of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionCall {
    /// An answer after so many milliseconds.
    Answered(u32),
    /// IoT Core gives it up after so many.
    TimedOut(u32),
    /// No environment may take it.
    Throttled,
}

impl FunctionPool {
    pub(crate) fn new(load: &AuthorizerLoad) -> Self {
        Self {
            warm: load.warm,
            startable: u64::from(load.scaling) * SCALING_MS,
            load: load.clone(),
            busy: 0,
            at_ms: 0,
            peak: 0,
            is_out: false,
        }
    }

    /// Begins a call; [`Self::end`] is due when it is over, unless it was throttled.
    pub(crate) fn begin(&mut self, now_ms: u32, rng: &mut Rng) -> FunctionCall {
        let mut duration = if rng.u32(0..100) < u32::from(self.load.slow_percent) {
            around(self.load.slow_ms, rng)
        } else {
            around(self.load.duration_ms, rng)
        };
        if self.busy == self.warm {
            let more = u64::from(self.load.scaling) * u64::from(now_ms - self.at_ms);
            let most = u64::from(self.load.scaling) * SCALING_MS;
            self.startable = (self.startable + more).min(most);
            self.at_ms = now_ms;
            if self.warm >= self.load.concurrency || self.startable < SCALING_MS {
                return FunctionCall::Throttled;
            }
            self.startable -= SCALING_MS;
            self.warm += 1;
            duration += self.load.cold_start_ms;
        }
        self.busy += 1;
        self.peak = self.peak.max(self.busy);
        if self.is_out || duration > self.load.timeout_ms {
            return FunctionCall::TimedOut(self.load.timeout_ms);
        }
        FunctionCall::Answered(duration)
    }

    /// Ends a call.
    pub(crate) fn end(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }

    /// Calls at present.
    pub(crate) fn busy(&self) -> u32 {
        self.busy
    }
}

/// A time from half of `ms` to one and a half.
fn around(ms: u32, rng: &mut Rng) -> u32 {
    rng.u32(ms / 2..=ms + ms / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> AuthorizerLoad {
        AuthorizerLoad {
            concurrency: 50,
            scaling: 20,
            warm: 10,
            duration_ms: 100,
            slow_percent: 0,
            slow_ms: 1,
            cold_start_ms: 1_000,
            timeout_ms: 5_000,
            before_quota: false,
        }
    }

    #[test]
    fn environments_start_at_a_bounded_pace() {
        let mut rng = Rng::with_seed(1);
        let mut pool = FunctionPool::new(&load());
        let calls: Vec<FunctionCall> = (0..40).map(|_| pool.begin(0, &mut rng)).collect();
        let cold = |call: &&FunctionCall| matches!(call, FunctionCall::Answered(ms) if *ms > 1_000);
        assert_eq!(calls.iter().filter(cold).count(), 20);
        let is_refused = |call: &&FunctionCall| **call == FunctionCall::Throttled;
        assert_eq!(calls.iter().filter(is_refused).count(), 10);
        // Half a second later one more may start.
        assert_ne!(pool.begin(500, &mut rng), FunctionCall::Throttled);
        assert_eq!(pool.begin(500, &mut rng), FunctionCall::Throttled);
        // The bound holds however long one waits.
        for _ in 0..30 {
            pool.begin(1_000_000, &mut rng);
        }
        assert_eq!((pool.busy(), pool.peak), (50, 50));
    }

    #[test]
    fn iot_core_gives_up_after_its_limit() {
        let mut rng = Rng::with_seed(1);
        let slow = AuthorizerLoad {
            duration_ms: 20_000,
            ..load()
        };
        let mut pool = FunctionPool::new(&slow);
        assert_eq!(pool.begin(0, &mut rng), FunctionCall::TimedOut(5_000));
        let mut pool = FunctionPool::new(&load());
        pool.is_out = true;
        assert_eq!(pool.begin(0, &mut rng), FunctionCall::TimedOut(5_000));
        pool.end();
        assert_eq!(pool.busy(), 0);
    }
}
