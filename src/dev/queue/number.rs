//! The numbers of message attributes: "up to 38 digits of precision, and … between 10^-128 and
//! 10^+126" (SQS developer guide, "Amazon SQS message metadata", message attribute data types).

/// The most digits between the first and the last that is not zero.
const DIGITS: usize = 38;

/// The powers of ten of the least and of the largest number.
const LEAST: i64 = -128;
const LARGEST: i64 = 126;

/// Returns `true` if SQS takes a text as the value of a `Number`: an optional sign, digits with at
/// most one point, and an optional exponent.
pub(super) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()),
        None => (text, Some(0)),
    };
    let Some(exponent) = exponent else {
        return false;
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let is_significant = |digit: u8| digit != b'0';
    let Some(first) = digits().position(is_significant) else {
        // Zero has no magnitude.
        return true;
    };
    let last = digits()
        .enumerate()
        .filter(|(_, digit)| is_significant(*digit))
        .fold(first, |_, (at, _)| at);
    // Texts are bounded by the size of a message, so that nothing overflows here.
    let magnitude = whole.len() as i64 - 1 - first as i64 + i64::from(exponent);
    let is_power = first == last && digits().nth(first) == Some(b'1');
    last - first < DIGITS
        && magnitude >= LEAST
        && (magnitude < LARGEST || (magnitude == LARGEST && is_power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_the_bounds() {
        let digits = "1234567890".repeat(4);
        let (most, more) = (&digits[..38], &digits[..39]);
        for number in [
            "0",
            "-0.000",
            "+1",
            "-1.5e3",
            ".5",
            "5.",
            "0e999",
            "1e126",
            "-1E+126",
            "9.9e125",
            "1e-128",
            "0.001e-125",
            "10000e122",
            most,
            &format!("{most}000"),
            &format!("0.000{most}"),
            &format!("-{most}e80"),
        ] {
            assert!(is_number(number), "{number}");
        }
        for none in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1.2.3",
            "--1",
            "ten",
            "inf",
            "NaN",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "١",
            "1e999",
            "1.1e126",
            "2e126",
            "1e127",
            "1e-129",
            "0.9e-128",
            "1e99999999999999999999",
            more,
            &format!("0.{more}"),
            &format!("{most}.5"),
        ] {
            assert!(!is_number(none), "{none}");
        }
    }
}
