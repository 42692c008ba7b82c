//! Numbers as EventBridge compares them: by value where binary64 holds the value exactly as written, else not at all.
//!
//! A number is comparable when the shortest decimal that names its binary64 value is the number as written (event-ruler 2,
//! `ComparableNumber`; seen in its verdicts): 300, 3.0e2 and 0.1 are, 12345678901234567 and 1e400 are not.

/// The binary64 value of a JSON number, if it is comparable.
pub(super) fn comparable(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    // Fifteen significant digits always survive binary64, and most numbers are short integers.
    let short_integer = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    (short_integer || Decimal::of(text) == Decimal::of(&format!("{value:e}"))).then_some(value)
}

/// Number of significant digits of a JSON number.
pub(super) fn significant_digits(text: &str) -> usize {
    Decimal::of(text).digits.len()
}

/// A decimal number in lowest terms: digits without zeros at either end, and the power of ten of the last.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        // An exponent that does not fit 64 bits is as good as infinite.
        let limit = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let mut exponent: i64 = exponent
            .trim_start_matches('+')
            .parse()
            .unwrap_or(limit)
            .saturating_sub(fraction.len() as i64);
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.saturating_add(1);
        }
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        if digits.is_empty() {
            return Self {
                negative: false,
                digits,
                exponent: 0,
            };
        }
        Self {
            negative,
            digits,
            exponent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_comparable() {
        for text in [
            "0",
            "-0",
            "0.0",
            "300",
            "3.0e2",
            "0.1",
            "-5E9",
            "1e22",
            "123456789012345678e0",
        ] {
            let exact = text != "123456789012345678e0";
            assert_eq!(comparable(text).is_some(), exact, "{text}");
        }
        for text in [
            "1e400",
            "1E-325",
            "1.0000000000000000001",
            "12345678901234567",
            "2.0e99999999999999999999",
        ] {
            assert_eq!(comparable(text), None, "{text}");
        }
        assert_eq!(comparable("-0"), comparable("0"));
        assert_eq!(significant_digits("0.00120e5"), 2);
    }
}
