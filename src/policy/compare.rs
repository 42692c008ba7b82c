//! Readers of condition values other than text: numbers, dates, truth values, addresses.
//!
//! IAM user guide, "Condition operators". A value of a request that cannot be read so is equal to nothing.

use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A number, as decimal text.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(plain) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A point in time: ISO 8601 with an offset, a date alone (midnight UTC), or seconds since 1970.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    text.parse().ok().or_else(|| {
        let date: Date = text.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// `true` or `false`, in any case.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Relation between a request's value and a policy's that an operator requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderRelation {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl OrderRelation {
    pub(super) fn holds(self, found: Option<Ordering>) -> bool {
        match (self, found) {
            (_, None) => false,
            (Self::Equals, Some(order)) => order.is_eq(),
            (Self::LessThan, Some(order)) => order.is_lt(),
            (Self::LessThanEquals, Some(order)) => order.is_le(),
            (Self::GreaterThan, Some(order)) => order.is_gt(),
            (Self::GreaterThanEquals, Some(order)) => order.is_ge(),
        }
    }
}

/// A run of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressBlock {
    network: IpAddr,
    bits: u32,
}

impl AddressBlock {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (bits <= most).then_some(Self { network, bits })
    }

    /// Returns `true` where an address is in the block. An address of the other family never is.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        let differing = match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u32::from(network) ^ u32::from(address)).leading_zeros()
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address)).leading_zeros()
            }
            _ => return false,
        };
        differing >= self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        let check = |block: &str, address: &str, expected: bool| {
            let block = AddressBlock::parse(block).unwrap();
            assert_eq!(
                block.contains(address.parse().unwrap()),
                expected,
                "{block:?} {address}"
            );
        };
        check("203.0.113.0/24", "203.0.113.255", true);
        check("203.0.113.7/24", "203.0.113.1", true);
        check("203.0.113.0/24", "203.0.114.0", false);
        check("203.0.113.7", "203.0.113.7", true);
        check("203.0.113.7", "203.0.113.6", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
        ] {
            assert_eq!(AddressBlock::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(number("1.50"), number("15e-1"));
        assert_eq!(
            (number("x"), number(""), number("inf"), number("NaN")),
            (None, None, None, None)
        );
        assert_eq!(date("2026-11-25"), date("2026-11-25T01:00:00+01:00"));
        assert_eq!(date("0"), date("1970-01-01T00:00:00Z"));
        assert_eq!(date("tomorrow"), None);
        assert_eq!(
            (truth("TRUE"), truth("false"), truth("1")),
            (Some(true), Some(false), None)
        );
    }
}
