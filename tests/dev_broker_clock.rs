//! Effects of time on clients of the broker of `eventcast dev`. The clock is paused: it moves on
//! when nothing else can happen.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/paused.rs"]
mod paused;
#[path = "support/raw.rs"]
mod raw;

use std::sync::Arc;
use std::time::Duration;

use broker::Book;
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use futures_util::{SinkExt, StreamExt};
use paused::{Paused, seconds};
use raw::{Connect, Got, Raw, Will, number4, publish, v3, v5};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Runs something, and measures its time in whole seconds.
async fn timed<T>(what: impl Future<Output = T>) -> (u64, T) {
    let begin = Instant::now();
    let result = what.await;
    (
        (begin.elapsed() + Duration::from_millis(500)).as_secs(),
        result,
    )
}

/// Waits for longer than [`raw::BOUND`].
async fn patiently<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    client: &mut Raw<T>,
    wait: Duration,
) -> Got {
    sleep(wait.saturating_sub(seconds(10))).await;
    client.next().await
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_one_and_a_half_keep_alives_is_cut_off() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    // Ten seconds are raised to thirty; none is the longest.
    for (asked, end) in [(10, 45), (100, 150), (0, 1_800)] {
        let mut client = paused
            .join(&v5(&format!("a{asked}")).keep_alive(asked))
            .await;
        let (took, got) = timed(patiently(&mut client, seconds(end))).await;
        assert_eq!((took, got), (end, Got::Disconnect(0x8D)));
        client.expect_end().await;
    }
    // A ping is enough.
    let mut client = paused.join(&v3("b").keep_alive(30)).await;
    for _ in 0..5 {
        sleep(seconds(44)).await;
        client.expect_silence().await;
    }
    let (took, got) = timed(patiently(&mut client, seconds(45))).await;
    assert_eq!((took, got), (45, Got::End));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_lasts_for_a_day() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    let header = "sec-websocket-protocol";
    request
        .headers_mut()
        .insert(header, "mqtt".parse().unwrap());
    let io = paused.open(ListenerProtocol::WebSocket);
    let (mut socket, _) = client_async(request, io).await.unwrap();
    let begin = Instant::now();
    let connect = v5("a").keep_alive(1_200).bytes();
    socket.send(Frame::binary(connect)).await.unwrap();
    let (mut pings, mut last) = (0, None);
    let mut clock = tokio::time::interval(seconds(1_000));
    loop {
        tokio::select! {
            _ = clock.tick() => {
                // Its end may have come.
                let _ = socket.send(Frame::binary(vec![0xC0, 0])).await;
                pings += 1;
            }
            frame = socket.next() => match frame {
                Some(Ok(Frame::Binary(bytes))) => last = Some(bytes),
                _ => break,
            },
        }
    }
    assert_eq!(begin.elapsed().as_secs(), 86_400);
    assert!(pings >= 86);
    // DISCONNECT, administrative action.
    assert_eq!(last.unwrap()[2], 0x98);
}

#[tokio::test(start_paused = true)]
async fn sessions_expire() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    for (connect, expiry) in [
        // An hour, whatever is asked for beyond it.
        (v3("a"), 3_600),
        (v5("b").expiry(100_000), 3_600),
        (v5("c").expiry(5), 5),
    ] {
        let again = connect.clone().dirty();
        for (wait, is_there) in [(expiry - 1, true), (expiry + 1, false)] {
            let mut client = paused.join(&again).await;
            assert_eq!(client.subscribe("t").await, 1);
            client.leave().await;
            sleep(seconds(wait)).await;
            let id = connect.id.as_str();
            assert_eq!(
                paused.broker.subscriptions(id).is_some(),
                is_there,
                "{id} {wait}"
            );
            let mut client = paused.raw();
            assert_eq!(client.login(&again).await.0, is_there);
            client.leave().await;
            // One CONNECT a second.
            sleep(seconds(1)).await;
        }
    }
    let counts = paused.broker.counts();
    assert_eq!(counts.connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_will_waits_for_its_delay() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let mut watcher = paused.join(&v5("w")).await;
    assert_eq!(watcher.subscribe("will").await, 1);
    let lost = |delay, expiry| {
        let will = Will {
            topic: "will".into(),
            payload: "gone".into(),
            properties: number4(0x18, delay),
            ..Will::default()
        };
        v5("a").dirty().expiry(expiry).will(will)
    };
    // The end of the session is the latest moment.
    for (delay, expiry, comes) in [(3, 10, 3), (10, 5, 5), (5, 0, 0), (0, 10, 0)] {
        sleep(seconds(1)).await;
        drop(paused.join(&lost(delay, expiry)).await);
        let (took, message) = timed(watcher.message()).await;
        assert_eq!(
            (took, &*message.payload),
            (comes, "gone"),
            "{delay} {expiry}"
        );
    }
    // A client that comes back in time is not lost; with a clean start it is.
    sleep(seconds(1)).await;
    drop(paused.join(&lost(10, 100)).await);
    sleep(seconds(5)).await;
    let mut client = paused.join(&v5("a").dirty().expiry(100)).await;
    sleep(seconds(100)).await;
    watcher.expect_silence().await;
    client.expect_silence().await;
    client.leave().await;
    sleep(seconds(1)).await;
    drop(paused.join(&lost(10, 100)).await);
    sleep(seconds(5)).await;
    let _client = paused.join(&v5("a")).await;
    let (took, _) = timed(watcher.message()).await;
    assert_eq!(took, 0);
}

#[tokio::test(start_paused = true)]
async fn stored_messages_come_at_ten_a_second_beside_others() {
    let mut paused = Paused::start(BrokerLimits {
        account_queued: None,
        publishes_per_second: None,
        ..BrokerLimits::iot_core()
    });
    let connect = v5("a").dirty().expiry(1_000);
    let mut client = paused.join(&connect).await;
    for filter in ["t", "live"] {
        assert_eq!(client.subscribe(filter).await, 1);
    }
    client.leave().await;
    let mut publisher = paused.join(&v5("p")).await;
    for n in 0..35 {
        publisher.publish("t", &n.to_string()).await;
    }
    sleep(seconds(1)).await;
    let mut client = paused.join(&connect).await;
    let begin = Instant::now();
    publisher.publish("live", "live").await;
    // This one waits for the others of its topic.
    publisher.publish("t", "35").await;
    let (mut at, mut live) = (Vec::new(), None);
    for _ in 0..37 {
        let message = client.message().await;
        let when = begin.elapsed().as_secs();
        if message.topic == "live" {
            live = Some(when);
        } else {
            assert_eq!(message.payload, at.len().to_string());
            at.push(when);
        }
    }
    assert_eq!(live, Some(0));
    for second in 0..4 {
        let count = at.iter().filter(|when| **when == second).count();
        assert_eq!(count, if second == 3 { 6 } else { 10 }, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_expire_and_say_how_long_they_last() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let connect = v5("a").dirty().expiry(1_000);
    let mut client = paused.join(&connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    client.leave().await;
    let mut publisher = paused.join(&v5("p")).await;
    for (payload, expiry) in [("short", 1), ("long", 6)] {
        let properties = number4(0x02, expiry);
        publisher
            .publish_with("t", payload, false, &properties)
            .await;
        publisher
            .publish_with(payload, "kept", true, &properties)
            .await;
    }
    sleep(seconds(3)).await;
    assert!(paused.broker.retained("short").is_none());
    assert!(paused.broker.retained("long").is_some());
    let mut client = paused.join(&connect).await;
    let message = client.message().await;
    assert_eq!(message.payload, "long");
    assert_eq!(message.properties.number(0x02), Some(3));
    client.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_publishes_a_second_both_ways() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let mut client = paused.join(&v5("a")).await;
    assert_eq!(client.subscribe("t").await, 1);
    for second in 0..3 {
        let mut said = [0, 0];
        // Each comes back: fifty in and fifty out.
        for _ in 0..60 {
            let bytes = publish(true, "t", "x", 1, 5, false, &[]);
            client.send(&bytes).await;
            let code = loop {
                match client.next().await {
                    Got::PubAck(5, code) => break code,
                    Got::Message(message) => client.send(&raw::puback(message.id)).await,
                    other => panic!("{other:?}"),
                }
            };
            said[usize::from(code == 0x97)] += 1;
        }
        assert!((50..=51).contains(&said[0]), "in second {second}: {said:?}");
        sleep(seconds(2)).await;
    }
    // With QoS 0, outgoing messages beyond the rate are discarded as well.
    let mut quiet = paused.join(&v5("quiet")).await;
    assert_eq!(quiet.subscribe_with("u", 0, &[]).await, 0);
    let mut publishers = Vec::new();
    for n in 0..2 {
        publishers.push(paused.join(&v5(&format!("p{n}"))).await);
    }
    for publisher in &mut publishers {
        for _ in 0..75 {
            publisher.publish("u", "x").await;
        }
    }
    sleep(seconds(5)).await;
    for _ in 0..100 {
        quiet.message().await;
    }
    quiet.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn all_subscribers_of_an_account_share_a_rate() {
    let mut paused = Paused::start(BrokerLimits {
        account_publishes_out: Some(10),
        ..BrokerLimits::iot_core()
    });
    let mut subscribers = Vec::new();
    for n in 0..5 {
        let mut subscriber = paused.join(&v5(&format!("s{n}"))).await;
        assert_eq!(subscriber.subscribe("t").await, 1);
        subscribers.push(subscriber);
    }
    let mut publisher = paused.join(&v5("p")).await;
    let begin = Instant::now();
    for n in 0..6 {
        publisher.publish("t", &n.to_string()).await;
    }
    // With QoS 1 they are late, and none is lost.
    let mut at = Vec::new();
    for subscriber in &mut subscribers {
        for n in 0..6 {
            assert_eq!(subscriber.message().await.payload, n.to_string());
            at.push(begin.elapsed().as_secs());
        }
    }
    assert_eq!(at.iter().max(), Some(&2), "thirty at ten a second: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_those_who_are_away_is_limited() {
    let mut paused = Paused::start(BrokerLimits {
        account_queued: Some(3),
        queued_per_session: 5,
        stored_per_second: None,
        ..BrokerLimits::iot_core()
    });
    let connect = v5("a").dirty().expiry(1_000);
    let mut client = paused.join(&connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    client.leave().await;
    let mut publisher = paused.join(&v5("p")).await;
    // Three a second for the account, five in all for the session: older ones are kept.
    for second in 0..3 {
        for n in 0..4 {
            publisher.publish("t", &format!("{second}-{n}")).await;
        }
        sleep(seconds(1)).await;
    }
    let mut client = paused.join(&connect).await;
    for kept in ["0-0", "0-1", "0-2", "1-0", "1-1"] {
        assert_eq!(client.message().await.payload, kept);
    }
    client.expect_silence().await;
    assert_eq!(paused.broker.counts().stored, 5);
}

#[tokio::test(start_paused = true)]
async fn more_than_512_kib_a_second_are_delayed() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let mut client = paused.join(&v5("a")).await;
    let payload = "x".repeat(100 * 1024);
    let (took, ()) = timed(async {
        for _ in 0..16 {
            assert_eq!(client.publish("t", &payload).await, 0);
        }
    })
    .await;
    assert_eq!(took, 3, "1,600 KiB at 512 a second");
    // On their way out as well.
    let mut subscriber = paused.join(&v5("s")).await;
    assert_eq!(subscriber.subscribe("u").await, 1);
    let mut publishers = Vec::new();
    for n in 0..4 {
        publishers.push(paused.join(&v5(&format!("p{n}"))).await);
    }
    let begin = Instant::now();
    for publisher in &mut publishers {
        for _ in 0..4 {
            assert_eq!(publisher.publish("u", &payload).await, 0);
        }
    }
    assert_eq!(begin.elapsed().as_secs(), 0);
    let (took, ()) = timed(async {
        for _ in 0..16 {
            assert_eq!(subscriber.message().await.payload.len(), payload.len());
        }
    })
    .await;
    // Six, five and five: the last one of a second may be begun in it.
    assert_eq!(took, 2, "1,600 KiB at 512 a second");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_sent_again() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    for connect in [v3("a"), v5("b")] {
        let mut client = paused.join(&connect.keep_alive(1_200)).await;
        assert_eq!(client.subscribe("t").await, 1);
        let mut publisher = paused.join(&v5("p")).await;
        for payload in ["1", "2"] {
            publisher.publish("t", payload).await;
        }
        publisher.leave().await;
        let Got::Message(first) = client.next().await else {
            panic!("a message");
        };
        let second = client.message().await;
        assert_eq!((&*first.payload, &*second.payload), ("1", "2"));
        assert!(!first.dup && !second.dup);
        // The same message with its identifier, without a mark; the other one was acknowledged.
        for _ in 0..3 {
            let (took, again) = timed(patiently(&mut client, seconds(30))).await;
            let Got::Message(again) = again else {
                panic!("{again:?}");
            };
            assert_eq!(took, 30);
            assert_eq!(again, first);
        }
        client.send(&raw::puback(first.id)).await;
        sleep(seconds(300)).await;
        client.expect_silence().await;
        client.leave().await;
        sleep(seconds(1)).await;
    }
    let counts = paused.broker.counts();
    assert_eq!((counts.delivered, counts.acknowledged), (10, 4));
}

/// As MQTT has it, by a rule.
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_may_be_marked() {
    let rules = BrokerRules {
        duplicate_flag: true,
        ..BrokerRules::iot_core()
    };
    let mut paused = Paused::by(BrokerLimits::iot_core(), rules, Arc::new(AllowAll));
    let mut client = paused.join(&v5("a").keep_alive(1_200)).await;
    assert_eq!(client.subscribe("t").await, 1);
    paused.join(&v5("p")).await.publish("t", "1").await;
    let Got::Message(first) = client.next().await else {
        panic!("a message");
    };
    assert!(!first.dup);
    let Got::Message(again) = patiently(&mut client, seconds(30)).await else {
        panic!("a message");
    };
    assert!(again.dup);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_counts_in_the_rate_and_in_no_window() {
    let mut paused = Paused::start(BrokerLimits {
        publishes_per_second: Some(4),
        unacknowledged_out: 10,
        ..BrokerLimits::iot_core()
    });
    let mut client = paused.join(&v5("a").keep_alive(1_200)).await;
    assert_eq!(client.subscribe("t").await, 1);
    let mut publishers = Vec::new();
    for n in 0..4 {
        publishers.push(paused.join(&v5(&format!("p{n}"))).await);
    }
    for n in 0..12 {
        publishers[n / 4].publish("t", &n.to_string()).await;
    }
    // Ten may be unacknowledged; they come at four a second, and at four a second again.
    let mut at = Vec::new();
    let begin = Instant::now();
    for n in 0..20 {
        let wait = seconds(if n == 10 { 28 } else { 0 });
        let Got::Message(message) = patiently(&mut client, wait).await else {
            panic!("a message");
        };
        assert!(!message.dup);
        assert_eq!(message.payload, (n % 10).to_string());
        at.push(begin.elapsed().as_secs());
    }
    let first = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2];
    assert_eq!(at[..10], first);
    for (second, times) in [(30, 4), (31, 4), (32, 2)] {
        let count = at.iter().filter(|at| **at == second).count();
        assert_eq!(count, times, "{at:?}");
    }
    // One that is settled lets a new one pass.
    client.send(&raw::puback(3)).await;
    let Got::Message(next) = client.next().await else {
        panic!("a message");
    };
    assert_eq!((&*next.payload, next.dup), ("10", false));
}

#[tokio::test(start_paused = true)]
async fn a_general_broker_sends_again_after_a_new_connection_only() {
    let mut paused = Paused::start(BrokerLimits::general());
    let connect = v5("a").dirty().expiry(1_000);
    let mut client = paused.join(&connect).await;
    assert_eq!(client.subscribe("t").await, 1);
    paused.join(&v5("p")).await.publish("t", "1").await;
    assert!(matches!(client.next().await, Got::Message(_)));
    // Somebody without a keep-alive of a minute would be cut off.
    for _ in 0..20 {
        sleep(seconds(50)).await;
        client.expect_silence().await;
    }
    drop(client);
    let mut client = paused.join(&connect).await;
    let again = client.message().await;
    assert_eq!((&*again.payload, again.dup), ("1", false));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_acknowledged_is_given_up() {
    let mut paused = Paused::start(BrokerLimits {
        unacknowledged_out: 1,
        ..BrokerLimits::iot_core()
    });
    for (connect, held) in [(v3("a"), 3_600), (v5("b"), 960)] {
        let mut client = paused.join(&connect.keep_alive(1_200)).await;
        assert_eq!(client.subscribe("t").await, 1);
        let mut publisher = paused.join(&v5("p")).await;
        for payload in ["1", "2"] {
            publisher.publish("t", payload).await;
        }
        publisher.leave().await;
        let begin = Instant::now();
        assert!(matches!(client.next().await, Got::Message(_)));
        client.send(&[0xC0, 0]).await;
        let second = loop {
            match client.next().await {
                Got::Pong => {
                    sleep(seconds(10)).await;
                    client.send(&[0xC0, 0]).await;
                }
                Got::Message(again) if again.payload == "1" => {}
                Got::Message(message) => break message,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(second.payload, "2");
        let took = begin.elapsed().as_secs();
        assert!((held..held + 11).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_is_refreshed_and_ends() {
    let all = ["connect *", "subscribe *", "receive *", "publish *"];
    let book = Book {
        refresh_after: Some(seconds(300)),
        disconnect_after: Some(seconds(1_000)),
        ..Book::default()
    }
    .with("ann", &all)
    .with("bob", &all);
    let mut paused = Paused::with(BrokerLimits::iot_core(), Arc::new(book.clone()));
    let connect = |user: &str| Connect {
        user_name: Some(user.to_owned()),
        ..v5(user).keep_alive(1_200)
    };
    let mut ann = paused.join(&connect("ann")).await;
    let mut bob = paused.join(&connect("bob")).await;
    assert_eq!(ann.subscribe("t").await, 1);
    bob.publish("t", "1").await;
    assert_eq!(ann.message().await.payload, "1");
    // Fewer rights hold from the next refresh on.
    book.set("ann", &["connect *"]);
    bob.publish("t", "2").await;
    assert_eq!(ann.message().await.payload, "2");
    sleep(seconds(301)).await;
    bob.publish("t", "3").await;
    ann.expect_silence().await;
    assert_eq!(ann.publish("t", "x").await, 0x87);
    // A client that is not known any more is cut off with the next refresh.
    book.forget("ann");
    let (took, got) = timed(patiently(&mut ann, seconds(299))).await;
    assert_eq!((took, got), (299, Got::Disconnect(0x87)));
    // And everybody after the time that was said at first.
    let (took, got) = timed(patiently(&mut bob, seconds(400))).await;
    assert_eq!((took, got), (400, Got::Disconnect(0x87)));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let mut paused = Paused::start(BrokerLimits::iot_core());
    let mut client = paused.raw();
    let (took, got) = timed(client.next()).await;
    assert_eq!((took, got), (10, Got::End));
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_holds_nobody_up() {
    let mut paused = Paused::start(BrokerLimits {
        queued_per_session: 50,
        publishes_per_second: None,
        bytes_per_second: None,
        ..BrokerLimits::iot_core()
    });
    let mut stuck = paused.join(&v5("stuck").keep_alive(60)).await;
    let mut other = paused.join(&v5("other")).await;
    assert_eq!(stuck.subscribe_with("t", 0, &[]).await, 0);
    assert_eq!(other.subscribe("t").await, 1);
    let mut publisher = paused.join(&v5("p")).await;
    let large = "x".repeat(60_000);
    for _ in 0..200 {
        assert_eq!(publisher.publish("t", &large).await, 0);
        assert_eq!(other.message().await.payload.len(), 60_000);
    }
    // Messages that wait for a client that reads nothing are bounded, and at the end so is the
    // patience.
    assert!(paused.broker.connection("stuck").unwrap().queued <= 50);
    assert!(paused.broker.counts().dropped >= 140);
    // One and a half keep-alives, and a while for last words that it does not read either.
    sleep(seconds(96)).await;
    assert!(
        paused
            .broker
            .connection("stuck")
            .is_none_or(|facts| !facts.is_connected)
    );
}
