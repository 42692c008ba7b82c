//! Curves of bounded length: when they grow too long, two samples become one.

use super::bridge_queue::STEP_MS;
use super::outcome::{RunSample, SampleSeries};

/// The most samples of a run.
const MOST_SAMPLES: usize = 1_200;

/// Samples so far.
#[derive(Debug)]
pub(crate) struct SeriesRecorder {
    every_steps: u32,
    steps: u32,
    open: Option<RunSample>,
    samples: Vec<RunSample>,
}

impl SeriesRecorder {
    pub(crate) fn new() -> Self {
        Self {
            every_steps: 1,
            steps: 0,
            open: None,
            samples: Vec::new(),
        }
    }

    /// Enters a step.
    pub(crate) fn enter(&mut self, step: RunSample) {
        self.open = Some(match self.open {
            Some(open) => merged(open, step),
            None => step,
        });
        self.steps += 1;
        if self.steps == self.every_steps {
            self.samples.extend(self.open.take());
            self.steps = 0;
            if self.samples.len() == MOST_SAMPLES {
                self.samples = self
                    .samples
                    .chunks_exact(2)
                    .filter_map(|pair| Some(merged(*pair.first()?, *pair.last()?)))
                    .collect();
                self.every_steps *= 2;
            }
        }
    }

    /// The curves. A last sample that is not whole is left out, unless it is the only one.
    pub(crate) fn finish(mut self) -> SampleSeries {
        if self.samples.is_empty() {
            self.samples.extend(self.open);
        }
        SampleSeries {
            every_ms: self.every_steps * STEP_MS,
            samples: self.samples,
        }
    }
}

fn merged(a: RunSample, b: RunSample) -> RunSample {
    RunSample {
        live: b.live,
        connected: b.connected,
        attempts: a.attempts + b.attempts,
        admitted: a.admitted + b.admitted,
        refused: a.refused + b.refused,
        granted: a.granted + b.granted,
        filters_refused: a.filters_refused + b.filters_refused,
        authorizer: a.authorizer.max(b.authorizer),
        stored: b.stored,
        backlog: a.backlog.max(b.backlog),
        age_ms: a.age_ms.max(b.age_ms),
        tasks: b.tasks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_few_samples_that_add_up() {
        let mut recorder = SeriesRecorder::new();
        let steps = 100_000;
        for step in 0..steps {
            recorder.enter(RunSample {
                live: step,
                attempts: 2,
                backlog: if step == 777 { 5 } else { 1 },
                ..RunSample::default()
            });
        }
        let series = recorder.finish();
        assert!(
            (600..=1_200).contains(&series.samples.len()),
            "{}",
            series.samples.len()
        );
        let covered = series.samples.len() as u64 * u64::from(series.every_ms / STEP_MS);
        let attempts: u64 = series.samples.iter().map(|sample| sample.attempts).sum();
        assert_eq!(attempts, 2 * covered);
        assert!(series.samples.iter().any(|sample| sample.backlog == 5));
        assert_eq!(series.samples.last().unwrap().live, covered - 1);
    }
}
