//! Limits as the broker counts, and the limit that the daemon reports as the one that it waits for.

use super::*;

/// A publication may reach the broker as late as just before its acknowledgement: what a stall of
/// the network held up counts in the same second as what is sent after it.
#[test]
fn what_was_held_up_counts_in_the_second_of_its_acknowledgement() {
    let mut broker = SteadyBroker::new(IOT_CORE, 1, milliseconds(1));
    for tick in 0..5_000 {
        // For the first second of every two nothing is acknowledged, then all of it at once.
        broker.round_trip = match tick % 2_000 {
            stalled @ ..1_000 => milliseconds(1_001 - stalled),
            _ => milliseconds(1),
        };
        if tick % 5 == 0 {
            broker.publish(&format!("a/{tick}"), None);
        }
        broker.tick();
    }
    let most = most_in_a_second(&broker.acknowledged);
    assert!((90..=100).contains(&most), "{most}");
    assert!(broker.most_in_a_second() <= 100);
    assert!(
        broker.acknowledged.len() >= 200,
        "{}",
        broker.acknowledged.len()
    );
}

#[test]
fn all_that_wait_for_the_account_say_so() {
    let limits = PaceBounds {
        process: Some(10),
        ..IOT_CORE
    };
    let mut broker = SteadyBroker::new(limits, 2, milliseconds(5));
    let held: Vec<_> = (0..50)
        .filter_map(|number| broker.publish(&format!("a/{number}"), None))
        .collect();
    assert_eq!(held, [Limit::Account; 49]);
    let mut broker = SteadyBroker::new(IOT_CORE, 1, milliseconds(5));
    let held: Vec<_> = (0..50)
        .filter_map(|number| broker.publish(&format!("a/{number}"), None))
        .collect();
    assert_eq!(held, [Limit::Connection; 40]);
}
