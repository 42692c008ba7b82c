//! Revoked subjects and tokens: those concerned, the answers that are remembered, and a list that
//! cannot answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::{USER, authority, signed};
use crate::authorizer::decide::{Rejection, TokenAuthority};
use crate::authorizer::revoked::{RevocationCheck, RevocationError};
use crate::authorizer::token::Verified;
use crate::port::{RevocationAnswer, RevocationList, RevokedEntry};

const REMEMBER: Duration = Duration::from_secs(10);

/// A list that is written while it is read.
#[derive(Clone, Debug, Default)]
struct Listed(Arc<Mutex<ListState>>);

#[derive(Debug, Default)]
struct ListState {
    entries: Vec<RevokedEntry>,
    failure: Option<String>,
    takes: Duration,
    asked: Vec<Vec<String>>,
}

impl RevocationList for Listed {
    fn find<'a>(&'a self, ids: &'a [String]) -> RevocationAnswer<'a> {
        Box::pin(async {
            let (answer, takes) = {
                let mut state = self.0.lock().unwrap();
                state.asked.push(ids.to_vec());
                let found = state.entries.iter().filter(|entry| ids.contains(&entry.id));
                let answer = match &state.failure {
                    Some(why) => Err(why.clone()),
                    None => Ok(found.cloned().collect()),
                };
                (answer, state.takes)
            };
            sleep(takes).await;
            answer
        })
    }
}

impl Listed {
    fn list(&self, id: &str, issued_before: Option<i64>, expires: Option<i64>) {
        self.0.lock().unwrap().entries = vec![RevokedEntry {
            id: id.into(),
            issued_before,
            expires,
        }];
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    fn authority(&self, remember: Duration, admits_unread: bool) -> TokenAuthority {
        let list = Arc::new(self.clone());
        TokenAuthority {
            revoked: Some(Arc::new(RevocationCheck::new(
                list,
                remember,
                admits_unread,
            ))),
            ..authority()
        }
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn token(changes: Value) -> String {
    let mut claims = json!({ "sub": USER, "role": "courier", "depot": "north", "jti": "t1",
                             "iat": now() - 60, "exp": now() + 3_600 });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    signed(&claims)
}

/// `None` for a client that is let in.
async fn refusal(authority: &TokenAuthority, token: &str) -> Option<RevocationError> {
    match authority.admit(token).await {
        Ok(_) => None,
        Err(Rejection::Revoked(error)) => Some(error),
        Err(other) => panic!("refused for another reason: {other}"),
    }
}

#[tokio::test]
async fn who_is_concerned() {
    let list = Listed::default();
    let authority = list.authority(Duration::ZERO, false);
    let mine = format!("subject:{USER}");
    let subject = Some(RevocationError::Revoked("subject"));
    let id = Some(RevocationError::Revoked("id"));
    for (entry, before, expires, changes, expected) in [
        (&*mine, None, None, json!({}), &subject),
        ("token:t1", None, None, json!({}), &id),
        (
            "token:sign-in",
            None,
            None,
            json!({ "origin_jti": "sign-in" }),
            &id,
        ),
        // Others are not.
        ("subject:somebody", None, None, json!({}), &None),
        ("token:t2", None, None, json!({}), &None),
        ("subject:t1", None, None, json!({}), &None),
        (&format!("token:{USER}"), None, None, json!({}), &None),
        // Tokens that were made before, and later ones.
        (&*mine, Some(now()), None, json!({}), &subject),
        (
            &*mine,
            Some(now() - 60),
            None,
            json!({ "iat": now() - 60 }),
            &subject,
        ),
        (
            &*mine,
            Some(now() - 61),
            None,
            json!({ "iat": now() - 60 }),
            &None,
        ),
        (
            &*mine,
            Some(now() - 120),
            None,
            json!({ "iat": null }),
            &subject,
        ),
        (
            &*mine,
            Some(now() - 120),
            None,
            json!({ "iat": "x" }),
            &subject,
        ),
        // Entries that are over, as DynamoDB keeps them for a while.
        (&*mine, None, Some(now() - 1), json!({}), &None),
        (&*mine, None, Some(now() + 60), json!({}), &subject),
    ] {
        list.list(entry, before, expires);
        let found = refusal(&authority, &token(changes.clone())).await;
        assert_eq!(&found, expected, "{entry} {before:?} {expires:?} {changes}");
    }
}

/// The list is asked about a token's claims only after the token is verified.
#[tokio::test]
async fn tokens_that_are_not_believed_ask_nobody() {
    let list = Listed::default();
    let authority = list.authority(REMEMBER, false);
    let mut forged = token(json!({}));
    forged.pop();
    assert!(authority.admit(&forged).await.is_err());
    assert!(
        authority
            .admit(&token(json!({ "role": "none" })))
            .await
            .is_err()
    );
    assert_eq!(list.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_for_a_short_time() {
    let list = Listed::default();
    let authority = list.authority(REMEMBER, false);
    let token = token(json!({}));
    for _ in 0..50 {
        assert_eq!(refusal(&authority, &token).await, None);
    }
    assert_eq!(list.asked(), 1);
    list.list("token:t1", None, None);
    advance(REMEMBER - Duration::from_millis(1)).await;
    assert_eq!(refusal(&authority, &token).await, None);
    advance(Duration::from_millis(1)).await;
    assert!(refusal(&authority, &token).await.is_some());
    assert_eq!(list.asked(), 2);
    // A refusal is remembered as well, and is taken back as soon.
    list.list("token:t2", None, None);
    assert!(refusal(&authority, &token).await.is_some());
    advance(REMEMBER).await;
    assert_eq!(refusal(&authority, &token).await, None);
}

/// Many clients: the memory is bounded, and answers stay right.
#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded() {
    let list = Listed::default();
    list.list("token:n7", None, None);
    let check = RevocationCheck::new(Arc::new(list.clone()), REMEMBER, false);
    for round in 0..2 {
        for n in 0..12_000 {
            let claims = json!({ "sub": USER, "jti": format!("n{n}") });
            let verified = Verified {
                claims: claims.as_object().unwrap().clone(),
                expires: jiff::Timestamp::MAX,
                algorithm: "ES256",
                key: None,
                kind: None,
            };
            let found = check.check(&verified, USER, 0).await;
            assert_eq!(found.is_err(), n == 7, "{n} in round {round}");
        }
    }
    // Had all been remembered, the second round would have asked nobody.
    assert!(list.asked() > 12_000);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_while_nobody_can_say() {
    let list = Listed::default();
    let (refusing, admitting) = (
        list.authority(REMEMBER, false),
        list.authority(REMEMBER, true),
    );
    list.0.lock().unwrap().failure = Some("HTTP 400".into());
    let token = token(json!({}));
    let unreadable = refusal(&refusing, &token).await;
    assert_eq!(
        unreadable,
        Some(RevocationError::Unreadable("HTTP 400".into()))
    );
    assert_eq!(refusal(&admitting, &token).await, None);
    // A failure is not remembered.
    list.0.lock().unwrap().failure = None;
    assert_eq!(refusal(&refusing, &token).await, None);
    list.list("token:t1", None, None);
    assert!(refusal(&admitting, &token).await.is_some());
    // A list that does not answer is one that cannot be read.
    advance(REMEMBER).await;
    list.0.lock().unwrap().takes = Duration::from_secs(3_600);
    let begin = tokio::time::Instant::now();
    let unreadable = refusal(&refusing, &token).await;
    assert_eq!(
        unreadable,
        Some(RevocationError::Unreadable("no answer in 2s".into()))
    );
    assert_eq!(begin.elapsed(), Duration::from_secs(2));
}
