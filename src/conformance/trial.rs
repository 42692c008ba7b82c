//! The means to try rules: the deployment's client, sessions, messages, streams, relays.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::answer::HttpAnswer;
use super::client::{GatewayClient, HttpCall, OpenAnswer, counter};
use super::event_stream::EventStream;
use super::finding::{Finding, RuleOutcome, broken, not_tried};
use super::observed::{Observed, ObservedAnswer};
use super::relay::{Hostility, Relay};
use super::session::{Polled, TestedSession};
use super::transport::Dialer;
use super::{ProbeChannel, Suite};

/// Time that messages may take from the publisher to a client.
pub(super) const DELIVERY: Duration = Duration::from_secs(15);

/// Time that a quota may hold the suite back, for one request.
const PATIENCE: Duration = Duration::from_secs(20);

/// State that all rules of a run share.
pub(super) struct Bench<'s> {
    pub(super) suite: &'s Suite,
    pub(super) client: GatewayClient,
    pub(super) second: Option<GatewayClient>,
    pub(super) observed: Observed,
    /// Makes ids of messages unlike those of other runs.
    run: String,
}

impl<'s> Bench<'s> {
    pub(super) fn new(suite: &'s Suite) -> Self {
        let client = |address| GatewayClient::new(address, Dialer::of(address, suite.tls.as_ref()));
        let observed = Observed::default();
        observed.add_secret(&suite.token);
        if let Some(token) = &suite.other_token {
            observed.add_secret(token);
        }
        Self {
            client: client(&suite.address),
            second: suite.second.as_ref().map(client),
            observed,
            run: format!("conformance-{:012x}", fastrand::u64(..) >> 16),
            suite,
        }
    }

    /// Opens a session and ends it, to know that there is something to try.
    pub(super) async fn reach(&self, bound: Duration) -> Result<(), String> {
        let names = self.channel_names();
        let call = HttpCall::new("POST", "/session")
            .token(&self.suite.token)
            .json(&json!({ "channels": names }));
        let asked = timeout(bound, self.client.try_ask(&call)).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("no answer in {} s", bound.as_secs())));
        let answer = asked.map_err(|why| format!("{}: {why}", self.client.what(&call)))?;
        if answer.status == 401 {
            return Err(format!("the token is refused: {answer}"));
        }
        if answer.status == 201
            && let Ok(json) = answer.json()
            && json
                .get("granted")
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty)
        {
            return Err(format!(
                "the token may listen to none of {}: {answer}",
                names.join(", ")
            ));
        }
        if let Ok(session) = answer.text("session") {
            let call = HttpCall::new("DELETE", "/session")
                .token(&self.suite.token)
                .json(&json!({ "session": session }));
            // The answer is a rule's business.
            let _ = self.client.try_ask(&call).await;
        }
        Ok(())
    }

    fn channel_names(&self) -> Vec<&str> {
        let channels = self.suite.channels.iter();
        channels.map(|channel| channel.name.as_str()).collect()
    }
}

/// One rule's turn. Its sessions end with it.
pub(super) struct RuleTrial<'b> {
    bench: &'b Bench<'b>,
    sessions: Mutex<Vec<TestedSession>>,
}

impl<'b> RuleTrial<'b> {
    pub(super) fn new(bench: &'b Bench<'b>) -> Self {
        Self {
            bench,
            sessions: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn suite(&self) -> &'b Suite {
        self.bench.suite
    }

    pub(super) fn client(&self) -> &'b GatewayClient {
        &self.bench.client
    }

    pub(super) fn observed(&self) -> &'b Observed {
        &self.bench.observed
    }

    /// The client of another task of the deployment.
    pub(super) fn second(&self) -> RuleOutcome<&'b GatewayClient> {
        match &self.bench.second {
            Some(second) => Ok(second),
            None => not_tried(
                "the address of another task is not known",
                "give it with --second",
            ),
        }
    }

    /// The channel that messages are published to.
    pub(super) fn channel(&self) -> RuleOutcome<&'b ProbeChannel> {
        match self.suite().channels.first() {
            Some(channel) => Ok(channel),
            None => not_tried("no channel is known", "give one with --channel"),
        }
    }

    /// Sends a request to the deployment, and looks at the answer as at every other. A quota is
    /// waited for, within bounds.
    pub(super) async fn ask(&self, call: &HttpCall) -> RuleOutcome<HttpAnswer> {
        self.ask_of(self.client(), call).await
    }

    /// The same by another client.
    pub(super) async fn ask_of(
        &self,
        client: &GatewayClient,
        call: &HttpCall,
    ) -> RuleOutcome<HttpAnswer> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = client.ask(call).await?;
            self.look(call, &answer);
            let Some(wait) = quota_wait(&answer).filter(|wait| Instant::now() + *wait < until)
            else {
                return Ok(answer);
            };
            sleep(wait).await;
        }
    }

    /// Sends a request once, whatever the answer.
    pub(super) async fn ask_once(&self, call: &HttpCall) -> RuleOutcome<HttpAnswer> {
        let answer = self.client().ask(call).await?;
        self.look(call, &answer);
        Ok(answer)
    }

    fn look(&self, call: &HttpCall, answer: &HttpAnswer) {
        self.observed().look(&ObservedAnswer {
            what: &answer.what,
            status: answer.status,
            headers: &answer.headers,
            body: Some(&answer.body),
            is_file: call.path.starts_with("/eventcast.") && answer.status < 400,
        });
    }

    /// Opens a session to the channel that messages are published to.
    pub(super) async fn session(&self) -> RuleOutcome<TestedSession> {
        let names = [self.channel()?.name.as_str()];
        let call = HttpCall::new("POST", "/session")
            .token(&self.suite().token)
            .json(&json!({ "channels": names }));
        let answer = self.ask(&call).await?;
        self.session_of(&answer)
    }

    /// The session of an answer; it ends with the trial.
    pub(super) fn session_of(&self, answer: &HttpAnswer) -> RuleOutcome<TestedSession> {
        answer.expect(201)?;
        let session = TestedSession {
            token: self.suite().token.clone(),
            session: answer.text("session")?,
            cursor: answer.text("cursor")?,
        };
        self.observed().add_secret(&session.session);
        self.observed().add_secret(&session.cursor);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push(session.clone());
        Ok(session)
    }

    /// Ends the sessions of the trial.
    pub(super) async fn clean_up(&self) {
        let sessions = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *sessions)
        };
        for session in sessions {
            // Many are gone already, and a rule of its own looks at the answer.
            let _ = self
                .client()
                .try_ask(&session.call("DELETE", "/session", &[]))
                .await;
        }
    }

    /// Publishes messages one after the other; their ids.
    pub(super) async fn publish(&self, count: usize) -> RuleOutcome<Vec<String>> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            let id = self.new_id();
            self.publish_as(&id).await?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// An id of a message that is published later.
    pub(super) fn new_id(&self) -> String {
        // A hyphen at the end, so that no id begins as another one does.
        format!("{}-{}-", self.bench.run, counter())
    }

    pub(super) async fn publish_as(&self, id: &str) -> RuleOutcome {
        let Some(publisher) = &self.suite().publisher else {
            return not_tried(
                "there is no way to publish messages",
                "give a command with --publish",
            );
        };
        let published = publisher.publish(self.channel()?, id).await;
        published.map_err(Finding::Impossible)
    }

    /// Polls once.
    pub(super) async fn poll(
        &self,
        session: &TestedSession,
        timeout_s: u64,
    ) -> RuleOutcome<Polled> {
        self.poll_at(self.client(), session, timeout_s, 100).await
    }

    /// Polls once by another client, for up to so many messages.
    pub(super) async fn poll_at(
        &self,
        client: &GatewayClient,
        session: &TestedSession,
        timeout_s: u64,
        max: u64,
    ) -> RuleOutcome<Polled> {
        let call = session.poll(timeout_s, max);
        let polled = Polled::of(self.ask_of(client, &call).await?)?;
        self.observed().add_secret(&polled.cursor);
        Ok(polled)
    }

    /// Polls until some of these messages are there; the poll that has them. It is not confirmed.
    pub(super) async fn first_of(
        &self,
        session: &mut TestedSession,
        ids: &[String],
    ) -> RuleOutcome<Polled> {
        let until = Instant::now() + DELIVERY;
        loop {
            let polled = self.poll(session, DELIVERY.as_secs()).await?;
            if !polled.ours(ids).is_empty() {
                return Ok(polled);
            }
            if Instant::now() > until {
                return broken(format!(
                    "none of {} messages came in {} s",
                    ids.len(),
                    DELIVERY.as_secs()
                ));
            }
            session.cursor = polled.cursor;
        }
    }

    /// Polls on, cursor after cursor, until all of these messages have come; each as often as it
    /// came.
    pub(super) async fn collect(
        &self,
        session: &mut TestedSession,
        ids: &[String],
    ) -> RuleOutcome<Vec<String>> {
        let mut came: Vec<String> = Vec::new();
        let until = Instant::now() + DELIVERY;
        loop {
            let found: BTreeSet<&String> = came.iter().collect();
            let missing = ids.len().saturating_sub(found.len());
            if missing == 0 {
                return Ok(came);
            }
            if Instant::now() > until {
                return broken(format!(
                    "{missing} of {} messages did not come in {} s",
                    ids.len(),
                    DELIVERY.as_secs()
                ));
            }
            let polled = self.poll(session, 2).await?;
            came.extend(polled.ours(ids));
            session.cursor = polled.cursor;
        }
    }

    /// Opens a stream, which must be one.
    pub(super) async fn stream(&self, session: &TestedSession) -> RuleOutcome<EventStream> {
        self.stream_of(self.client(), &session.stream()).await
    }

    pub(super) async fn stream_of(
        &self,
        client: &GatewayClient,
        call: &HttpCall,
    ) -> RuleOutcome<EventStream> {
        let opened = self.open(client, call).await?;
        let kind = opened.headers.get("content-type");
        let kind = kind.map(|kind| String::from_utf8_lossy(kind.as_bytes()).to_lowercase());
        let kind = kind.unwrap_or_default().replace(' ', "");
        // Anything else ends an EventSource for good.
        let is_stream = matches!(
            kind.as_str(),
            "text/event-stream" | "text/event-stream;charset=utf-8"
        );
        if opened.status == 200 && is_stream {
            return Ok(EventStream::new(opened));
        }
        if opened.status != 200 {
            let answer = opened.whole().await?;
            return broken(format!("{answer}; expected a stream with 200"));
        }
        broken(format!(
            "{} answered 200 with the content type `{kind}`; expected text/event-stream",
            opened.what
        ))
    }

    /// Sends a request whose answer is read as it comes.
    pub(super) async fn open(
        &self,
        client: &GatewayClient,
        call: &HttpCall,
    ) -> RuleOutcome<OpenAnswer> {
        let until = Instant::now() + PATIENCE;
        loop {
            let opened = client.open(call).await?;
            self.observed().look(&ObservedAnswer {
                what: &opened.what,
                status: opened.status,
                headers: &opened.headers,
                body: None,
                is_file: false,
            });
            if opened.status != 429 || Instant::now() > until {
                return Ok(opened);
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Starts a relay in front of the deployment; the client that goes through it.
    pub(super) async fn relay(&self, hostility: Hostility) -> RuleOutcome<(Relay, GatewayClient)> {
        let relay = Relay::start(self.client().dialer(), hostility).await;
        let relay = relay.map_err(|error| {
            Finding::Impossible(format!("a relay on the loopback interface: {error}"))
        })?;
        let client = self.client().through(relay.port());
        Ok((relay, client))
    }
}

/// Time that an answer asks to wait, where it is a quota's.
pub(super) fn quota_wait(answer: &HttpAnswer) -> Option<Duration> {
    if answer.status != 429 {
        return None;
    }
    let seconds = answer.header("retry-after")?.parse().ok()?;
    Some(Duration::from_secs(seconds).max(Duration::from_millis(100)))
}
