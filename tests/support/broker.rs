//! The IoT Core stand-in within the test's own process.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::tls::ListenerTls;
use eventcast::dev::broker::door::{ListenerEndpoint, ListenerProtocol};
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use eventcast::port::{
    AccessDecision, Authentication, AuthenticationFuture, AuthenticationRefusal, Authorizer,
    ClientAccess, ClientAction, Identity, Presented, RequestingClient,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A broker that listens on a port; it ends when dropped.
pub(crate) struct Running {
    pub(crate) broker: Broker,
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

/// IoT Core's limits, less those on rates, which a test that is quick would break.
pub(crate) fn unhurried() -> BrokerLimits {
    BrokerLimits {
        connects_per_second_per_client_id: None,
        publishes_per_second: None,
        stored_per_second: None,
        retained_per_second_per_topic: None,
        ..BrokerLimits::iot_core()
    }
}

/// As IoT Core, for everybody.
pub(crate) async fn iot_core() -> Running {
    start(unhurried(), BrokerRules::iot_core(), Arc::new(AllowAll)).await
}

/// A broker like others.
pub(crate) async fn general() -> Running {
    start(
        BrokerLimits::general(),
        BrokerRules::general(),
        Arc::new(AllowAll),
    )
    .await
}

pub(crate) async fn start(
    limits: BrokerLimits,
    rules: BrokerRules,
    authorizer: Arc<dyn Authorizer>,
) -> Running {
    listen(
        Broker::start(limits, rules, authorizer),
        ListenerProtocol::Plain,
        None,
    )
    .await
}

pub(crate) async fn listen(
    broker: Broker,
    carrier: ListenerProtocol,
    tls: Option<ListenerTls>,
) -> Running {
    listen_at(broker, 0, carrier, tls).await
}

pub(crate) async fn listen_at(
    broker: Broker,
    port: u16,
    carrier: ListenerProtocol,
    tls: Option<ListenerTls>,
) -> Running {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = ListenerEndpoint {
        listener,
        carrier,
        tls,
    };
    let mut tasks = JoinSet::new();
    let serving = broker.clone();
    tasks.spawn(async move { serving.serve(endpoint).await.unwrap() });
    Running {
        broker,
        port,
        _tasks: tasks,
    }
}

impl Running {
    /// Waits until something is so.
    pub(crate) async fn until(&self, mut is_so: impl FnMut(&Broker) -> bool) {
        let wait = async {
            while !is_so(&self.broker) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("it comes about");
    }
}

/// An authorizer whose users and permissions are written down: words such as `publish a/b`, by user
/// name. `*` at a word's end matches anything. A client without a name is nobody.
#[derive(Clone, Default)]
pub(crate) struct Book {
    pub(crate) users: Arc<Mutex<HashMap<String, Vec<String>>>>,
    /// Credentials that were presented, the latest last.
    pub(crate) seen: Arc<Mutex<Vec<Presented>>>,
    pub(crate) refresh_after: Option<Duration>,
    pub(crate) disconnect_after: Option<Duration>,
}

impl Book {
    pub(crate) fn with(self, user: &str, words: &[&str]) -> Self {
        self.set(user, words);
        self
    }

    pub(crate) fn set(&self, user: &str, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.users.lock().unwrap().insert(user.to_owned(), words);
    }

    pub(crate) fn forget(&self, user: &str) {
        self.users.lock().unwrap().remove(user);
    }
}

struct Page(Vec<String>);

impl ClientAccess for Page {
    fn decide(&self, client: &RequestingClient, action: ClientAction<'_>) -> AccessDecision {
        let asked = match action {
            ClientAction::Connect { persistent, will } => {
                let persistent = if persistent { " persistent" } else { "" };
                let will = will.map_or(String::new(), |topic| format!(" will {topic}"));
                format!("connect {}{persistent}{will}", client.id)
            }
            ClientAction::Publish(topic) => format!("publish {topic}"),
            ClientAction::RetainPublish(topic) => format!("retain {topic}"),
            ClientAction::Subscribe(filter) => format!("subscribe {filter}"),
            ClientAction::Receive(topic) => format!("receive {topic}"),
        };
        let allows = |word: &String| match word.strip_suffix('*') {
            Some(begin) => asked.starts_with(begin),
            None => *word == asked,
        };
        if self.0.iter().any(allows) {
            AccessDecision::Allowed
        } else {
            AccessDecision::Denied(format!("nothing allows: {asked}").into())
        }
    }
}

impl Authorizer for Book {
    fn authenticate<'a>(&'a self, presented: &'a Presented) -> AuthenticationFuture<'a> {
        Box::pin(async move {
            self.seen.lock().unwrap().push(presented.clone());
            // A WebSocket's address may name the user: `?user=NAME`.
            let query = presented
                .upgrade
                .as_ref()
                .and_then(|upgrade| upgrade.query.as_deref());
            let by_query = query.and_then(|query| query.strip_prefix("user="));
            let login = presented.login.as_ref();
            let by_login = login.and_then(|login| login.user_name.as_deref());
            let Some(user) = by_query.or(by_login) else {
                return match login {
                    None => Ok(Authentication::AtConnect),
                    Some(_) => Err(AuthenticationRefusal::BadCredentials("who is it".into())),
                };
            };
            let words = self.users.lock().unwrap().get(user).cloned();
            let words = words.ok_or_else(|| {
                AuthenticationRefusal::BadCredentials(format!("`{user}` is nobody"))
            })?;
            Ok(Authentication::Known(Identity {
                principal: user.into(),
                access: Arc::new(Page(words)),
                refresh_after: self.refresh_after,
                disconnect_after: self.disconnect_after,
            }))
        })
    }
}
