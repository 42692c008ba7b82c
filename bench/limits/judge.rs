//! Targets against figures: met, missed, or nothing that this machine can show.

use serde::Serialize;

use super::round::Outcome;
use super::scenario::{Run, Target};

/// The part of all cores that must have idled before a rate below the wanted one is the daemon's.
const IDLE: f64 = 0.05;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The rig misses the target too, was late itself, or had no core left.
    Inconclusive,
}

/// The figures of one run by one build, or by the rig: medians of its rounds, the worst of figures
/// that should be 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures<'r> {
    pub(crate) rounds: &'r [Outcome],
    /// The rounds of the run before, in the table's order.
    pub(crate) before: &'r [Outcome],
}

/// A figure that is so many times worse than the machine's own is the daemon's, on the busiest
/// machine.
const TIMES_WORSE: f64 = 3.0;

/// `true` where lower is better, and by how much a figure misses otherwise.
#[derive(Clone, Copy)]
struct Bound {
    value: f64,
    most: Option<f64>,
    least: Option<f64>,
}

impl Bound {
    fn holds(self) -> bool {
        self.most.is_none_or(|most| self.value <= most)
            && self.least.is_none_or(|least| self.value >= least)
    }

    /// Returns `true` where it is not far worse than `other`, which the machine did by itself.
    fn is_near(self, other: f64) -> bool {
        match self.most {
            Some(_) => self.value <= other * TIMES_WORSE,
            None => self.value * TIMES_WORSE >= other,
        }
    }
}

/// A target's judgement, in words as well.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judgement {
    pub(crate) run: &'static str,
    pub(crate) build: String,
    pub(crate) target: Target,
    pub(crate) value: Option<f64>,
    pub(crate) verdict: Verdict,
    pub(crate) words: String,
}

/// The median; a missing value counts as the largest.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::INFINITY)
}

/// The greatest.
pub(crate) fn worst(values: impl Iterator<Item = u64>) -> u64 {
    values.max().unwrap_or_default()
}

fn bound(target: Target, run: &Run, figures: Figures<'_>) -> Bound {
    let infinite = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    let of = |figure: &dyn Fn(&Outcome) -> f64| median(figures.rounds.iter().map(figure));
    let p99 = |outcome: &Outcome| infinite(outcome.latencies.p99);
    let most = |value, most| Bound {
        value,
        most: Some(most),
        least: None,
    };
    let least = |value, least| Bound {
        value,
        most: None,
        least: Some(least),
    };
    match target {
        Target::P50Milliseconds(bound) => most(of(&|one| infinite(one.latencies.p50)), bound),
        Target::P99Milliseconds(bound) => most(of(&p99), bound),
        Target::P99TimesTheRunBefore(times) => {
            let before = median(figures.before.iter().map(p99));
            most(of(&p99) / before, times)
        }
        Target::NoBacklog => most(of(&|one| one.backlog as f64), 0.0),
        Target::PartOfRate(part) => least(of(&|one| one.rate / f64::from(run.load.rate)), part),
        Target::ShareWithin(part) => most(of(&uneven), part),
        Target::PartOfQuota(part) => {
            let quota = run
                .quota
                .map_or(f64::INFINITY, |quota| f64::from(quota.publishes));
            least(of(&|one| one.shares.iter().sum::<f64>() / quota), part)
        }
        Target::NoLoss => most(worst(figures.rounds.iter().map(|one| one.lost)) as f64, 0.0),
        Target::NoDiscards => most(
            worst(figures.rounds.iter().map(|one| one.discarded)) as f64,
            0.0,
        ),
    }
}

/// Distance from an equal share of the task that is furthest from it, as a part of it.
fn uneven(outcome: &Outcome) -> f64 {
    let equal = outcome.shares.iter().sum::<f64>() / outcome.shares.len().max(1) as f64;
    if equal == 0.0 {
        return f64::INFINITY;
    }
    let differences = outcome.shares.iter();
    let differences = differences.map(|share| (share - equal).abs() / equal);
    differences.fold(0.0, f64::max)
}

/// Judges a target; the rig's own figures say whether the machine could show it.
pub(crate) fn judge(
    target: Target,
    run: &Run,
    build: &str,
    figures: Figures<'_>,
    rig: Option<Figures<'_>>,
) -> Judgement {
    let found = bound(target, run, figures);
    let lag = median(figures.rounds.iter().map(|one| one.lag));
    let idle = median(figures.rounds.iter().map(|one| one.idle));
    let excuse = match target {
        Target::NoLoss | Target::ShareWithin(_) => None,
        Target::P99Milliseconds(most) if lag > most / 2.0 && found.is_near(lag) => {
            Some(format!("the generator was {lag:.1} ms late itself"))
        }
        // A broker that gets no core reads in one second the messages of two.
        Target::PartOfRate(_) | Target::PartOfQuota(_) | Target::NoDiscards if idle < IDLE => {
            let percent = idle * 100.0;
            Some(format!("the machine idled {percent:.0} % of the time"))
        }
        Target::PartOfQuota(_) | Target::NoDiscards => None,
        _ => rig.map(|rig| bound(target, run, rig)).and_then(|rig| {
            (!rig.holds() && found.is_near(rig.value))
                .then(|| format!("{} without a daemon", figure(target, rig.value)))
        }),
    };
    let verdict = match (found.holds(), &excuse) {
        (true, _) => Verdict::Met,
        (false, Some(_)) => Verdict::Inconclusive,
        (false, None) => Verdict::Missed,
    };
    let why = excuse.filter(|_| verdict == Verdict::Inconclusive);
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    Judgement {
        run: run.name,
        build: build.to_owned(),
        target,
        value: found.value.is_finite().then_some(found.value),
        verdict,
        words: format!("{}: {}{why}", wanted(target), figure(target, found.value)),
    }
}

fn wanted(target: Target) -> String {
    match target {
        Target::P50Milliseconds(most) => format!("p50 at most {most} ms"),
        Target::P99Milliseconds(most) => format!("p99 at most {most} ms"),
        Target::P99TimesTheRunBefore(most) => format!("p99 at most {most} times that without it"),
        Target::NoBacklog => "no backlog at the end".into(),
        Target::PartOfRate(least) => format!("at least {:.0} % of the rate", least * 100.0),
        Target::ShareWithin(most) => format!("tasks within {:.0} % of equal shares", most * 100.0),
        Target::PartOfQuota(least) => format!("at least {:.0} % of the quota used", least * 100.0),
        Target::NoLoss => "nothing lost".into(),
        Target::NoDiscards => "nothing discarded for a limit".into(),
    }
}

fn figure(target: Target, value: f64) -> String {
    match target {
        _ if !value.is_finite() => "more than the run lasted".into(),
        Target::P50Milliseconds(_) | Target::P99Milliseconds(_) => format!("{value:.1} ms"),
        Target::P99TimesTheRunBefore(_) => format!("{value:.2} times"),
        Target::PartOfRate(_) | Target::ShareWithin(_) | Target::PartOfQuota(_) => {
            format!("{:.1} %", value * 100.0)
        }
        Target::NoBacklog | Target::NoLoss | Target::NoDiscards => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Scenario, runs};
    use super::*;

    fn outcome(p99: Option<f64>) -> Outcome {
        let mut outcome = Outcome {
            idle: 0.5,
            ..Outcome::default()
        };
        outcome.latencies.p99 = p99;
        outcome
    }

    #[track_caller]
    fn check(target: Target, own: &[Outcome], rig: &[Outcome], verdict: Verdict) {
        let run = runs(&[Scenario::Account], None, None).swap_remove(0);
        let before = [outcome(Some(4.0))];
        let figures = |rounds| Figures {
            rounds,
            before: &before,
        };
        let judged = judge(target, &run, "eventcast", figures(own), Some(figures(rig)));
        assert_eq!(judged.verdict, verdict, "{}", judged.words);
    }

    #[test]
    fn verdicts() {
        use Verdict::{Inconclusive, Met, Missed};
        let p99 = Target::P99Milliseconds(15.0);
        let [fast, slow, never] = [Some(9.0), Some(20.0), None].map(outcome);
        let one = std::slice::from_ref;
        check(p99, one(&fast), one(&fast), Met);
        check(p99, one(&slow), one(&fast), Missed);
        check(p99, one(&never), one(&fast), Missed);
        check(p99, one(&slow), one(&slow), Inconclusive);
        // The median of three rounds.
        let rounds = [slow.clone(), fast.clone(), fast.clone()];
        check(p99, &rounds, one(&fast), Met);
        let rounds = [slow.clone(), fast.clone(), never.clone()];
        check(p99, &rounds, one(&fast), Missed);
        let late = Outcome {
            lag: 10.0,
            ..slow.clone()
        };
        check(p99, one(&late), one(&fast), Inconclusive);
        // Neither the rig nor the generator accounts for that much.
        let hopeless = Outcome {
            lag: 10.0,
            ..outcome(Some(200.0))
        };
        check(p99, one(&hopeless), one(&slow), Missed);
        check(p99, one(&never), one(&slow), Missed);
        let times = Target::P99TimesTheRunBefore(1.5);
        check(times, one(&outcome(Some(6.0))), one(&fast), Met);
        check(times, one(&fast), one(&outcome(Some(5.0))), Missed);
        check(times, one(&fast), one(&fast), Inconclusive);
    }

    #[test]
    fn verdicts_on_rates_and_losses() {
        use Verdict::{Inconclusive, Met, Missed};
        let shares = |shares: &[f64]| Outcome {
            shares: shares.to_vec(),
            ..outcome(None)
        };
        let one = std::slice::from_ref;
        check(
            Target::ShareWithin(0.2),
            one(&shares(&[460.0, 540.0])),
            &[],
            Met,
        );
        check(
            Target::ShareWithin(0.2),
            one(&shares(&[300.0, 700.0])),
            &[],
            Missed,
        );
        check(
            Target::ShareWithin(0.2),
            one(&shares(&[0.0, 0.0])),
            &[],
            Missed,
        );
        check(
            Target::PartOfQuota(0.8),
            one(&shares(&[400.0, 500.0])),
            &[],
            Met,
        );
        check(
            Target::PartOfQuota(0.8),
            one(&shares(&[300.0, 300.0])),
            &[],
            Missed,
        );
        let discards = Outcome {
            discarded: 1,
            ..outcome(None)
        };
        check(Target::NoDiscards, one(&discards), &[], Missed);
        let busy = Outcome {
            idle: 0.01,
            ..discards
        };
        check(Target::NoDiscards, one(&busy), &[], Inconclusive);
        // One loss in any round is one too many, whatever the machine does.
        let loss = Outcome { lost: 1, ..busy };
        check(
            Target::NoLoss,
            &[loss, outcome(None), outcome(None)],
            &[],
            Missed,
        );
    }
}
