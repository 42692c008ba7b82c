//! Key sets that are fetched: when, how often, and what stays when a fetch fails. On a paused
//! clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::json;
use tokio::time::{advance, sleep};

use super::attacks::jwk;
use crate::authorizer::key::Keys;
use crate::authorizer::key_set::{FetchedKeys, IssuerKeys, KEY_SET_AGE, UNKNOWN_KEY_PAUSE};
use crate::port::{KeySetAnswer, KeySetSource};

/// An issuer that answers as it is scripted, and counts.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    /// The next answers; the last one stays.
    answers: VecDeque<Result<String, String>>,
    /// Time that an answer takes.
    takes: Duration,
    asked: usize,
    at_once: usize,
    most_at_once: usize,
}

impl KeySetSource for Scripted {
    fn fetch(&self) -> KeySetAnswer<'_> {
        Box::pin(async {
            let (answer, takes) = {
                let mut script = self.0.lock().unwrap();
                script.asked += 1;
                script.at_once += 1;
                script.most_at_once = script.most_at_once.max(script.at_once);
                let answer = match script.answers.len() {
                    1 => script.answers[0].clone(),
                    _ => script.answers.pop_front().unwrap(),
                };
                (answer, script.takes)
            };
            sleep(takes).await;
            self.0.lock().unwrap().at_once -= 1;
            answer
        })
    }
}

impl Scripted {
    fn answer(&self, answer: Result<String, String>) {
        self.0.lock().unwrap().answers = [answer].into();
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

fn set(ids: &[&str]) -> Result<String, String> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let keys: Vec<_> = ids.iter().map(|id| jwk(&pair, id)).collect();
    Ok(json!({ "keys": keys }).to_string())
}

fn keys(answer: Result<String, String>) -> (Scripted, IssuerKeys) {
    let issuer = Scripted::default();
    issuer.answer(answer);
    let keys = FetchedKeys::new(Box::new(issuer.clone()), Keys::default(), Vec::new());
    (issuer, IssuerKeys::Fetched(Arc::new(keys)))
}

#[tokio::test(start_paused = true)]
async fn a_set_is_fetched_once_and_again_when_it_is_old() {
    let (issuer, keys) = keys(set(&["a"]));
    assert!(keys.current().is_empty());
    for _ in 0..100 {
        keys.prepare(Some("a")).await.unwrap();
        keys.prepare(None).await.unwrap();
    }
    assert_eq!(issuer.asked(), 1);
    advance(KEY_SET_AGE).await;
    issuer.answer(set(&["b"]));
    keys.prepare(Some("a")).await.unwrap();
    // A key that the issuer has taken back is accepted no more.
    assert!(!keys.current().knows("a") && keys.current().knows("b"));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_fetch_runs_at_a_time_for_all_who_wait() {
    let (issuer, keys) = keys(set(&["a"]));
    issuer.0.lock().unwrap().takes = Duration::from_secs(1);
    let ids = ["a", "b", "c"];
    let waiting = (0..60).map(|n| keys.prepare(Some(ids[n % 3])));
    for done in futures_util::future::join_all(waiting).await {
        done.unwrap();
    }
    let script = issuer.0.lock().unwrap();
    assert_eq!((script.asked, script.most_at_once), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_a_reason_to_fetch_but_not_twice_in_a_while() {
    let (issuer, keys) = keys(set(&["a"]));
    keys.prepare(Some("a")).await.unwrap();
    for n in 0..1_000 {
        keys.prepare(Some(&format!("made-up-{n}"))).await.unwrap();
    }
    assert_eq!(issuer.asked(), 1, "the set came a moment ago");
    advance(UNKNOWN_KEY_PAUSE).await;
    for n in 0..1_000 {
        keys.prepare(Some(&format!("made-up-{n}"))).await.unwrap();
    }
    assert_eq!(issuer.asked(), 2);
    // The issuer rotates: the new id is unknown for a while at most.
    issuer.answer(set(&["a", "b"]));
    keys.prepare(Some("b")).await.unwrap();
    assert!(!keys.current().knows("b"));
    advance(UNKNOWN_KEY_PAUSE).await;
    keys.prepare(Some("b")).await.unwrap();
    assert!(keys.current().knows("b"));
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_stays_when_a_fetch_fails() {
    let (issuer, keys) = keys(set(&["a"]));
    keys.prepare(Some("a")).await.unwrap();
    let empty = json!({ "keys": [] }).to_string();
    for bad in [
        Err("HTTP 503".to_owned()),
        Ok(empty),
        Ok("<html>".into()),
        Ok(String::new()),
        Ok("-----BEGIN PRIVATE KEY-----".into()),
    ] {
        issuer.answer(bad.clone());
        advance(KEY_SET_AGE).await;
        let before = issuer.asked();
        for _ in 0..10 {
            keys.prepare(Some("a")).await.unwrap();
            assert!(keys.current().knows("a"), "{bad:?}");
        }
        assert_eq!(issuer.asked(), before + 1, "{bad:?}");
    }
    // Well again, it is asked again, though nobody waits for it but one.
    issuer.answer(set(&["b"]));
    advance(Duration::from_secs(5)).await;
    keys.prepare(Some("a")).await.unwrap();
    assert!(keys.current().knows("b"));
}

#[tokio::test(start_paused = true)]
async fn while_an_old_set_is_fetched_it_serves_everybody_else() {
    let (issuer, keys) = keys(set(&["a"]));
    keys.prepare(Some("a")).await.unwrap();
    advance(KEY_SET_AGE).await;
    issuer.0.lock().unwrap().takes = Duration::from_secs(2);
    let slow = keys.prepare(Some("a"));
    tokio::pin!(slow);
    assert!(futures_util::poll!(&mut slow).is_pending());
    // Paused time moves only when everybody waits: this one does not.
    let quick = tokio::time::Instant::now();
    keys.prepare(Some("a")).await.unwrap();
    assert_eq!(quick.elapsed(), Duration::ZERO);
    slow.await.unwrap();
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_set_there_is_a_reason_and_a_next_time() {
    let (issuer, keys) = keys(Err("HTTP 500".into()));
    let told = async || keys.prepare(Some("a")).await.unwrap_err();
    assert_eq!(told().await, "HTTP 500");
    assert_eq!(told().await, "HTTP 500");
    assert_eq!(issuer.asked(), 1);
    issuer.0.lock().unwrap().takes = Duration::from_secs(60);
    advance(Duration::from_secs(5)).await;
    assert_eq!(told().await, "no answer in 3s");
    issuer.0.lock().unwrap().takes = Duration::ZERO;
    issuer.answer(set(&["a"]));
    advance(Duration::from_secs(5)).await;
    keys.prepare(Some("a")).await.unwrap();
    assert!(keys.current().knows("a"));
}

#[tokio::test(start_paused = true)]
async fn algorithms_bind_keys_and_files_stay_beside_a_set() {
    let file = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let issuer = Scripted::default();
    issuer.answer(set(&["a"]));
    let of = |algorithms: &[&str]| {
        let fixed = Keys::parse(&json!({ "keys": [jwk(&file, "file")] }).to_string()).unwrap();
        let algorithms = algorithms.iter().map(|name| (*name).to_owned()).collect();
        let keys = FetchedKeys::new(Box::new(issuer.clone()), fixed, algorithms);
        IssuerKeys::Fetched(Arc::new(keys))
    };
    let keys = of(&["ES256"]);
    // Known by a file: nobody is asked.
    keys.prepare(Some("file")).await.unwrap();
    assert_eq!(issuer.asked(), 0);
    keys.prepare(Some("a")).await.unwrap();
    assert!(keys.current().knows("a") && keys.current().knows("file"));
    // A set of other algorithms than the configuration names is none.
    let keys = of(&["RS256"]);
    keys.prepare(Some("a")).await.unwrap();
    assert!(!keys.current().knows("a") && keys.current().knows("file"));
}
