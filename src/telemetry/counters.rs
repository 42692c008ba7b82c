//! One table of what is counted: names, and what they mean.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Adds several.
    pub fn add(&self, several: usize) {
        self.0.fetch_add(several as u64, Ordering::Relaxed);
    }

    /// The sum since the process began.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($name:ident: $about:literal,)*) => {
        /// What the daemon counts.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $about] pub $name: Counter,)*
        }

        impl Counters {
            /// All counters by name, in the order of the table.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    received: "Deliveries that the queue handed out.",
    redelivered: "Those of them that it had handed out before.",
    unrouted: "Events that no route takes.",
    skipped: "Routes left out for an event because it makes no right topic (`on_invalid_topic: skip`).",
    published: "Publications that the broker acknowledged.",
    conflated: "Publications that a newer one took the place of while both waited (`conflate`).",
    expired: "Publications not made because their event was too old (`expires`).",
    throttled: "Publications that were refused for now and tried again.",
    leases_extended: "Leases extended because the work on a delivery took long.",
    leases_lost: "Deliveries given up because their lease had ended.",
    postponed: "Deliveries handed back because publishing did not succeed in time.",
    handed_back: "Deliveries handed back untouched because the process is ending.",
    deleted: "Messages deleted from the queue.",
    dead_lettered: "Messages sent to the dead-letter queue, then deleted.",
    left_to_redrive: "Messages that can never be published, left to the queue's own redrive: there is no dead-letter queue.",
    possible_duplicates: "Finished messages that could not be deleted: they may come again.",
    receive_errors: "Failed calls of receive.",
}

impl Counters {
    /// All counters that are not zero, as one line for a log.
    pub fn summary(&self) -> String {
        let told = self.all().filter(|(_, count)| *count > 0);
        let words: Vec<String> = told
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_happened() {
        let counters = Counters::default();
        counters.received.add(3);
        counters.deleted.one();
        assert_eq!(counters.summary(), "received=3 deleted=1");
    }
}
