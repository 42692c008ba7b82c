//! Conformance of a gateway: the rules of its protocol (`docs/gateway.md`), each tried from outside
//! over HTTP on a running deployment.
//!
//! A rule opens sessions of its own, has messages published, and looks at the answers. Some are
//! tried through proxies that this module runs on the loopback interface in front of the
//! deployment, and that hold back, cut or slice the bytes that pass. It never looks into the
//! gateway, so that any deployment, and any other gateway of the same protocol, can be tried.

pub mod address;
mod answer;
mod client;
mod event_stream;
mod finding;
mod observed;
pub mod publish;
mod relay;
pub mod report;
mod rules;
mod session;
pub mod transport;
mod trial;

use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::time::Instant;

use self::address::GatewayAddress;
use self::finding::Finding;
use self::publish::TestPublisher;
use self::report::{ConformanceReport, RuleReport, RuleVerdict};
use self::rules::{RULES, Rule, RuleMoment};
use self::transport::TlsClient;
use self::trial::{Bench, RuleTrial};

/// A channel that the token may listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeChannel {
    /// Its name, such as `order:4f8c…`.
    pub name: String,
    /// Its topic, where it is known.
    pub topic: Option<String>,
}

/// The deployment, and the means to try each rule.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The gateway.
    pub address: GatewayAddress,
    /// Another task of the same deployment.
    pub second: Option<GatewayAddress>,
    /// Authorities that https addresses are checked with.
    pub tls: Option<TlsClient>,
    /// A valid token.
    pub token: String,
    /// A valid token of another principal.
    pub other_token: Option<String>,
    /// Channels that the token may listen to; one at least.
    pub channels: Vec<ProbeChannel>,
    /// A channel that the token may not listen to.
    pub denied_channel: Option<String>,
    /// The way of messages to the channels.
    pub publisher: Option<TestPublisher>,
    /// A web page's origin that the deployment allows.
    pub origin: Option<String>,
    /// A shell command that makes the gateway drain.
    pub drain: Option<String>,
    /// Number of sessions that may be opened in search of the quota.
    pub quota: Option<u32>,
    /// `true` where rules that take long are left out.
    pub is_quick: bool,
    /// Names of rules, or prefixes of names; all rules when there are none.
    pub only: Vec<String>,
}

/// A rule's name and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// Such as `poll.lost-response`.
    pub name: &'static str,
    /// One sentence.
    pub title: &'static str,
}

/// All rules in the order of reports.
pub fn rules() -> impl Iterator<Item = RuleName> {
    RULES.iter().map(|rule| RuleName {
        name: rule.name,
        title: rule.title,
    })
}

/// Progress of a running suite.
pub trait SuiteProgress {
    /// A rule is tried from now on.
    fn begins(&self, rule: &'static str);
    /// A rule's verdict is known.
    fn ends(&self, rule: &RuleReport);
}

/// Time that the deployment may take to answer the first request.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

impl Suite {
    fn wants(&self, rule: &Rule) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| rule.name.starts_with(only))
    }

    /// The number of rules that a run decides on.
    pub fn count(&self) -> usize {
        RULES.iter().filter(|rule| self.wants(rule)).count()
    }

    /// Tries the rules, one after the other; those that take long beside them.
    ///
    /// # Errors
    /// A sentence that says why nothing can be tried: nobody answers, the token is refused, no
    /// channel is granted, or messages cannot be published.
    pub async fn run(&self, progress: &impl SuiteProgress) -> Result<ConformanceReport, String> {
        let begin = Instant::now();
        let bench = Bench::new(self);
        bench.reach(FIRST_ANSWER).await?;
        let wanted = |pace: RuleMoment| {
            let rules = RULES.iter();
            rules.filter(move |rule| rule.pace == pace && self.wants(rule))
        };
        let slow = async {
            let rules = wanted(RuleMoment::Slow);
            let rules = rules.map(|rule| self.try_rule(rule, &bench, progress));
            join_all(rules).await
        };
        let quick = async {
            let mut reports = Vec::new();
            for rule in wanted(RuleMoment::Quick) {
                reports.push(self.try_rule(rule, &bench, progress).await);
            }
            reports
        };
        let (slow, mut reports) = join(slow, quick).await;
        reports.extend(slow);
        // Demands on every answer are judged when all answers have been seen, and a drain ends the
        // gateway.
        for pace in [RuleMoment::Drain, RuleMoment::Last] {
            for rule in wanted(pace) {
                reports.push(self.try_rule(rule, &bench, progress).await);
            }
        }
        let reports = reports.into_iter().collect::<Result<Vec<_>, String>>()?;
        Ok(ConformanceReport::new(
            &self.address,
            reports,
            begin.elapsed(),
        ))
    }

    async fn try_rule(
        &self,
        rule: &Rule,
        bench: &Bench<'_>,
        progress: &impl SuiteProgress,
    ) -> Result<RuleReport, String> {
        progress.begins(rule.name);
        let begin = Instant::now();
        let tried = if self.is_quick && rule.pace == RuleMoment::Slow {
            Err(Finding::NotTried {
                why: "it takes more than ten seconds".into(),
                help: "leave --quick out".into(),
            })
        } else {
            let trial = RuleTrial::new(bench);
            let tried = (rule.run)(&trial).await;
            trial.clean_up().await;
            tried
        };
        let verdict = match tried {
            Ok(()) => RuleVerdict::Held,
            Err(Finding::Broken(why)) => RuleVerdict::Broken { why },
            Err(Finding::NotTried { why, help }) => RuleVerdict::NotTried { why, help },
            Err(Finding::Impossible(why)) => return Err(format!("rule {}: {why}", rule.name)),
        };
        let report = RuleReport {
            rule: rule.name,
            title: rule.title,
            verdict,
            took: begin.elapsed(),
        };
        progress.ends(&report);
        Ok(report)
    }
}
