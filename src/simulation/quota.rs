//! A rate of the account, counted by a token bucket or by the second.

use super::scenario::QuotaCounting;

/// Tokens are counted in thousandths, which a rate a second gives in each millisecond.
const THOUSANDTHS: u64 = 1_000;

/// A rate, and how much of it is used.
#[derive(Clone, Debug)]
pub(crate) struct RateQuota {
    rate: u32,
    counting: QuotaCounting,
    /// Bucket: thousandths that are left, and the time for which that is right.
    left: u64,
    at_ms: u32,
    /// Window: begin of the second, and the count in it.
    since_ms: Option<u32>,
    counted: u32,
}

impl RateQuota {
    /// A rate of which nothing is used; 0 is no limit.
    pub(crate) fn new(rate: u32, counting: QuotaCounting) -> Self {
        Self {
            rate,
            counting,
            left: u64::from(rate) * THOUSANDTHS,
            at_ms: 0,
            since_ms: None,
            counted: 0,
        }
    }

    /// Takes as many of `count` as are left.
    pub(crate) fn take(&mut self, now_ms: u32, count: u32) -> u32 {
        if self.rate == 0 {
            return count;
        }
        match self.counting {
            QuotaCounting::Bucket => {
                if now_ms > self.at_ms {
                    let more = u64::from(self.rate) * u64::from(now_ms - self.at_ms);
                    let most = u64::from(self.rate) * THOUSANDTHS;
                    self.left = (self.left + more).min(most);
                    self.at_ms = now_ms;
                }
                let whole = u32::try_from(self.left / THOUSANDTHS).unwrap_or(u32::MAX);
                let taken = count.min(whole);
                self.left -= u64::from(taken) * THOUSANDTHS;
                taken
            }
            QuotaCounting::Window => {
                if self.since_ms.is_some_and(|since| now_ms >= since + 1_000) {
                    self.since_ms = None;
                    self.counted = 0;
                }
                let taken = count.min(self.rate - self.counted);
                if taken > 0 {
                    self.since_ms.get_or_insert(now_ms);
                    self.counted += taken;
                }
                taken
            }
        }
    }

    /// The most that can be taken in any second.
    pub(crate) fn most_in_a_second(&self) -> Option<u64> {
        (self.rate > 0).then_some(2 * u64::from(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_and_fills_steadily() {
        let mut quota = RateQuota::new(100, QuotaCounting::Bucket);
        assert_eq!(quota.take(0, 150), 100);
        assert_eq!(quota.take(5, 1), 0);
        assert_eq!(quota.take(10, 5), 1);
        assert_eq!(quota.take(510, 100), 50);
        assert_eq!(quota.take(60_000, 1_000), 100);
    }

    #[test]
    fn a_window_begins_with_the_first_thing_counted() {
        let mut quota = RateQuota::new(100, QuotaCounting::Window);
        assert_eq!(quota.take(700, 60), 60);
        assert_eq!(quota.take(1_600, 60), 40);
        assert_eq!(quota.take(1_699, 1), 0);
        assert_eq!(quota.take(1_700, 1), 1);
    }

    #[test]
    fn no_limit() {
        let mut quota = RateQuota::new(0, QuotaCounting::Bucket);
        assert_eq!(quota.take(0, 1_000_000), 1_000_000);
        assert_eq!(quota.most_in_a_second(), None);
    }
}
