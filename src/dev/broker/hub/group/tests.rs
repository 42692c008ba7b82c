//! Queue of a shared subscription, in interleavings that are rare in a whole broker.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::task::{Wake, Waker};
use std::time::SystemTime;

use super::*;
use crate::dev::broker::connection::ending::DisconnectReason;
use crate::dev::broker::everybody::AllowAll;
use crate::dev::broker::hub::AcceptedConnect;
use crate::dev::broker::hub::holdings::MessageWeight;
use crate::dev::broker::hub::outbox::NextOutgoing;
use crate::dev::broker::hub::session::ConnectionHandle;
use crate::dev::broker::limits::{BrokerLimits, BrokerRules};
use crate::dev::broker::observe::ClientRights;
use crate::port::RequestingClient;

const OPTIONS: SubscriptionOptions = SubscriptionOptions {
    qos: 1,
    no_local: false,
    retain_as_published: false,
    subscription_id: 0,
};

#[derive(Default)]
struct WakeupCounter(AtomicBool);

impl Wake for WakeupCounter {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Connects a member, which sleeps until it is woken.
fn member(hub: &SessionHub, id: &str) -> (Arc<ClientSession>, Arc<WakeupCounter>) {
    let source = SocketAddr::from(([127, 0, 0, 1], 1));
    let client = RequestingClient {
        id: id.into(),
        source: source.ip(),
        domain_name: None,
    };
    let rights = ClientRights {
        client,
        access: Arc::new(AllowAll),
    };
    let link = ConnectionHandle::new(id.into(), id.into(), rights, source, false, 60);
    let link = Arc::new(link);
    let (session, _) = hub.arrive(AcceptedConnect {
        client_id: id.into(),
        is_v5: true,
        clean: false,
        expiry: 60,
        window: 10,
        will: None,
        link: Arc::clone(&link),
    });
    assert_eq!(
        hub.subscribe(&session, &link, "$share/g/t", OPTIONS),
        Some(true)
    );
    let bell = Arc::new(WakeupCounter::default());
    session.state().listen(&Waker::from(Arc::clone(&bell)));
    (session, bell)
}

fn message(text: &'static str) -> Arc<PublishedMessage> {
    Arc::new(PublishedMessage {
        topic: "t".into(),
        payload: text.into(),
        properties: Box::default(),
        qos: 1,
        retain: false,
        expires: None,
        publisher: 0,
        at: SystemTime::UNIX_EPOCH,
        weight: MessageWeight::default(),
    })
}

fn next(session: &ClientSession, now: Instant) -> Option<SubscriberDelivery> {
    match session.state().next(now) {
        NextOutgoing::Send(parcel) => Some(parcel.delivery),
        _ => None,
    }
}

/// A publisher finds no connected member. Before it queues the message, a member connects, finds an
/// empty queue, and sleeps.
#[tokio::test(start_paused = true)]
async fn who_comes_just_before_something_waits_is_woken() {
    let hub = SessionHub::new(BrokerLimits::iot_core(), BrokerRules::iot_core());
    let (session, bell) = member(&hub, "a");
    let mut late = DeferredDeliveries::default();
    {
        let trie = hub.read();
        let group = trie.get("t").and_then(|all| all.groups.get("g")).unwrap();
        hub.keep(group, &message("x"), &mut late);
    }
    assert_eq!(late.kept, 1);
    assert!(!bell.0.load(Ordering::SeqCst));
    hub.after(late);
    assert!(bell.0.load(Ordering::SeqCst));
    assert!(!session.state().is_idle(Instant::now()));
    assert_eq!(next(&session, Instant::now()).unwrap().message.payload, "x");
    assert!(session.state().is_idle(Instant::now()));
}

/// A publisher chooses a member that disconnects before it receives the message.
#[tokio::test(start_paused = true)]
async fn who_is_gone_when_it_is_chosen_does_not_keep_the_message() {
    let hub = SessionHub::new(BrokerLimits::iot_core(), BrokerRules::iot_core());
    let (first, _) = member(&hub, "a");
    let waiting = {
        let trie = hub.read();
        let group = trie.get("t").and_then(|all| all.groups.get("g")).unwrap();
        Arc::clone(group.waiting())
    };
    let chosen = || SubscriberDelivery::shared(message("x"), OPTIONS, &waiting);
    let link = first.state().link.clone().unwrap();
    hub.leave(&first, &link, &DisconnectReason::Lost, None);
    // The message goes to the queue, or to a connected member.
    hub.hand(&first, chosen());
    assert!(!waiting.is_empty());
    assert_eq!(first.state().outbox.len(), 0);
    let (second, _) = member(&hub, "b");
    assert_eq!(next(&second, Instant::now()).unwrap().message.payload, "x");
    hub.hand(&first, chosen());
    assert!(waiting.is_empty());
    assert_eq!(next(&second, Instant::now()).unwrap().message.payload, "x");
}
