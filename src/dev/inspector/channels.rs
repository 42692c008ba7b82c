//! Topics with publications, and their rates.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::rates::MinuteRate;

/// Number of topics kept; at a quarter more, the topics that were quiet longest are removed.
const TOPICS: usize = 1_000;

/// Seconds of a topic's history in an answer.
const TOLD_SECONDS: usize = 30;

#[derive(Default)]
pub(super) struct ChannelCounts(FxHashMap<Box<str>, ChannelActivity>);

#[derive(Default)]
struct ChannelActivity {
    published: MinuteRate,
    delivered: MinuteRate,
}

/// Topic with its counts and rates.
#[derive(Debug, Serialize)]
pub struct ChannelView {
    /// The topic.
    pub topic: Box<str>,
    /// Messages that were published to the topic.
    pub published: u64,
    /// Messages of the topic that were written to clients.
    pub delivered: u64,
    /// Publications per second.
    pub published_per_second: f64,
    /// Deliveries per second.
    pub delivered_per_second: f64,
    /// Publications in each of the last seconds, oldest first.
    pub seconds: [u32; TOLD_SECONDS],
    /// Second of the last message, since 1970.
    pub latest: i64,
}

/// Page of topics.
#[derive(Debug, Serialize)]
pub struct TopicPage {
    /// Total number of topics.
    pub count: usize,
    /// Topics of the page: the busiest of the last seconds first, then the latest.
    pub channels: Vec<ChannelView>,
}

impl ChannelCounts {
    fn channel(&mut self, topic: &str) -> &mut ChannelActivity {
        if !self.0.contains_key(topic) && self.0.len() >= TOPICS + TOPICS / 4 {
            self.forget_quiet();
        }
        self.0.entry(topic.into()).or_default()
    }

    fn forget_quiet(&mut self) {
        let mut latest: Vec<i64> = self.0.values().map(ChannelActivity::latest).collect();
        let (_, bound, _) = latest.select_nth_unstable(TOPICS / 4);
        let bound = *bound;
        // All topics of one second could be too many to remove, or too few.
        let mut spare = TOPICS / 4;
        self.0.retain(|_, channel| {
            let goes = channel.latest() <= bound && spare > 0;
            spare -= usize::from(goes);
            !goes
        });
    }

    pub(super) fn published(&mut self, topic: &str, second: i64) {
        self.channel(topic).published.one(second);
    }

    pub(super) fn delivered(&mut self, topic: &str, second: i64) {
        self.channel(topic).delivered.one(second);
    }

    /// Returns up to `count` topics that `wanted` accepts.
    pub(super) fn told(&self, now: i64, count: usize, wanted: impl Fn(&str) -> bool) -> TopicPage {
        let mut found: Vec<_> = self.0.iter().filter(|(topic, _)| wanted(topic)).collect();
        let all = found.len();
        let busy = |channel: &ChannelActivity| {
            let last: [u32; TOLD_SECONDS] = channel.published.before(now);
            last.iter().sum::<u32>()
        };
        found.sort_by_cached_key(|(topic, channel)| {
            let weight = (busy(channel), channel.latest());
            (std::cmp::Reverse(weight), topic.to_string())
        });
        found.truncate(count);
        let channels = found.into_iter().map(|(topic, channel)| ChannelView {
            topic: topic.clone(),
            published: channel.published.total(),
            delivered: channel.delivered.total(),
            published_per_second: channel.published.per_second(now),
            delivered_per_second: channel.delivered.per_second(now),
            seconds: channel.published.before(now),
            latest: channel.latest(),
        });
        TopicPage {
            count: all,
            channels: channels.collect(),
        }
    }
}

impl ChannelActivity {
    fn latest(&self) -> i64 {
        self.published.latest().max(self.delivered.latest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stand_first() {
        let mut channels = ChannelCounts::default();
        for (topic, second, times) in [("a", 98, 1), ("b", 99, 1), ("c", 97, 3)] {
            for _ in 0..times {
                channels.published(topic, second);
            }
        }
        channels.delivered("c", 97);
        let told = channels.told(100, 2, |_| true);
        let topics: Vec<&str> = told.channels.iter().map(|told| &*told.topic).collect();
        assert_eq!((topics, told.count), (vec!["c", "b"], 3));
        let first = &told.channels[0];
        assert_eq!((first.published, first.delivered), (3, 1));
        assert_eq!(channels.told(100, 9, |topic| topic == "a").count, 1);
    }

    #[test]
    fn the_quiet_are_forgotten() {
        let mut channels = ChannelCounts::default();
        for number in 0..5_000_i64 {
            channels.published(&format!("order/{number}"), number / 10);
        }
        assert!(channels.0.len() <= 1_250 && channels.0.len() >= 1_000);
        assert!(channels.0.contains_key("order/4999"));
        assert!(!channels.0.contains_key("order/0"));
        // All topics have the same second.
        let mut channels = ChannelCounts::default();
        for number in 0..5_000 {
            channels.published(&format!("order/{number}"), 7);
        }
        assert!(channels.0.len() <= 1_250 && channels.0.len() >= 1_000);
    }
}
