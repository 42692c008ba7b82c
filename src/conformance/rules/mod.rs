//! The rules: a name, a sentence, and how each is tried.

mod always;
mod hostile;
mod poll;
mod refusal;
mod session;
mod stream;
mod tasks;
mod ticket;
mod web;

use std::future::Future;
use std::pin::Pin;

use super::finding::RuleOutcome;
use super::trial::RuleTrial;

/// Moment when a rule is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleMoment {
    /// One after the other.
    Quick,
    /// All at once, beside the others: they wait for more than ten seconds.
    Slow,
    /// After those: the gateway is asked to drain.
    Drain,
    /// At the end: demands on all answers.
    Last,
}

/// A rule of the protocol.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) pace: RuleMoment,
    pub(super) run: for<'t> fn(&'t RuleTrial<'_>) -> Tried<'t>,
}

/// A rule that is being tried.
pub(super) type Tried<'t> = Pin<Box<dyn Future<Output = RuleOutcome> + 't>>;

macro_rules! rules {
    ($($pace:ident $name:literal $title:literal $run:path;)*) => {
        &[$(Rule {
            name: $name,
            title: $title,
            pace: RuleMoment::$pace,
            run: |trial| Box::pin($run(trial)),
        }),*]
    };
}

/// All rules in the order of reports.
pub(super) const RULES: &[Rule] = rules! {
    Quick "session.created" "a session is answered 201 with session, cursor, granted and denied channels, and advice" session::created;
    Quick "session.denied" "a channel that the token does not grant is denied with a reason, and nothing else fails" session::denied;
    Quick "session.changed" "channels can be added and removed" session::changed;
    Quick "session.deleted" "a session that was deleted is gone: 410 with resync" session::deleted;
    Quick "session.sealed" "a session or cursor that was changed is refused" session::sealed;
    Quick "session.bound" "a session of another principal is refused: 403" session::bound;
    Quick "refusal.token" "without a token, or with one that is none, the answer is 401 with WWW-Authenticate" refusal::token;
    Quick "refusal.query-token" "a token in the address is not taken" refusal::query_token;
    Quick "refusal.body" "a body that is not as agreed is answered 400, 413 or 415" refusal::body;
    Quick "refusal.path" "other paths are answered 404, other methods 405" refusal::path;
    Quick "poll.empty" "a poll without messages waits, then answers 200 with a cursor" poll::empty;
    Quick "poll.at-once" "a poll with timeout_s 0 answers at once" poll::at_once;
    Quick "poll.wakes" "a message ends a waiting poll at once" poll::wakes;
    Quick "poll.message" "a message has id, channel, topic, type, time, payload and retained" poll::message;
    Quick "poll.lost-response" "the same cursor again returns the same messages" poll::lost_response;
    Quick "poll.acknowledged" "what the next cursor confirms is not returned again" poll::acknowledged;
    Quick "poll.left" "a message that comes after a poll's client has left is returned by the next poll" poll::left;
    Quick "poll.superseded" "a second poll ends the first with 409, and loses nothing" poll::superseded;
    Quick "poll.batch" "100 messages come in polls of at most `max`, each once and in their order" poll::batch;
    Quick "poll.in-flight" "more messages than may be unacknowledged come one cursor after the other" poll::in_flight;
    Quick "poll.bounds" "timeout_s outside 0 to 50 is refused or bounded" poll::bounds;
    Quick "stream.opens" "a stream begins at once: type, headers, a comment, and a retry that is not 0" stream::opens;
    Quick "stream.message" "a message comes on a stream with its cursor as the event's id" stream::message;
    Quick "stream.unconfirmed" "what was written on a stream and not confirmed is returned again" stream::unconfirmed;
    Quick "stream.confirmed" "what /ack confirms is not returned again" stream::confirmed;
    Quick "stream.superseded" "a poll ends the session's stream properly" stream::superseded;
    Slow "stream.heartbeat" "a stream without messages has a comment every 15 s" stream::heartbeat;
    Slow "stream.ends" "a stream ends by itself after 60 to 100 s, with advice and properly" stream::ends;
    Quick "ticket.cookie" "a ticket is a cookie for one path, and neither has token, session or cursor" ticket::cookie;
    Quick "ticket.once" "a ticket opens one stream, once, and nothing opens without it" ticket::once;
    Quick "cors.preflight" "a page of an allowed origin may ask: preflight with origin, headers, methods, 7200 s" web::preflight;
    Quick "cors.answer" "answers to an allowed origin name it, vary by it, and allow no credentials but for the ticket" web::answer;
    Quick "cors.others" "other origins are allowed nothing" web::others;
    Quick "module.files" "the browser module is served with an ETag and answers 304 to it" web::module;
    Quick "hostile.buffering" "through a proxy that holds everything back, polls work, and a mute stream loses nothing" hostile::buffering;
    Quick "hostile.cut-answer" "an answer that a proxy cuts is seen as cut, and is returned again" hostile::cut_answer;
    Quick "hostile.cut-wait" "a poll that a proxy cuts while it waits loses nothing" hostile::cut_wait;
    Quick "hostile.slices" "polls and streams can be read in slices of a few bytes" hostile::slices;
    Quick "hostile.random-cuts" "through random cuts every message comes, in its order" hostile::random_cuts;
    Quick "tasks.take-over" "another task takes a session over in mid-poll: everything comes, or 410 with resync" tasks::take_over;
    Quick "quota.sessions" "too many sessions are answered 429 with Retry-After" tasks::quota;
    Drain "tasks.drain" "a drain answers waiting polls at once, ends streams properly, and loses nothing" tasks::drain;
    Last "always.no-store" "every answer has Cache-Control: no-store, no-transform" always::no_store;
    Last "always.unbuffered" "every answer has X-Accel-Buffering: no" always::unbuffered;
    Last "always.uncompressed" "no answer is compressed" always::uncompressed;
    Last "always.length" "every answer that is no stream has a Content-Length" always::length;
    Last "always.error-body" "every error is JSON with `error` and `message`, and none is a fault of the server" always::error_body;
    Last "always.no-secrets" "no header of an answer has a token, session or cursor" always::no_secrets;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        for (at, rule) in RULES.iter().enumerate() {
            let twice = RULES
                .iter()
                .skip(at + 1)
                .any(|other| other.name == rule.name);
            assert!(!twice, "{}", rule.name);
            let (group, part) = rule.name.split_once('.').unwrap();
            assert!(!group.is_empty() && !part.is_empty(), "{}", rule.name);
        }
    }
}
