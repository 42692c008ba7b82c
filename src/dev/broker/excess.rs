//! Reasons in words for a client that exceeds a limit: the client's value, the limit's name and
//! number, and the change that helps.

use std::fmt::Display;

use super::limits::BrokerLimits;

/// Maximum length of the client's text in a reason, in characters.
const QUOTED: usize = 100;

/// Builds the reason in one line, such as
/// `SUBSCRIBE with 9 filters; the limit filters-per-subscribe is 8: …`. `advice` may be empty.
pub(crate) fn excess(sent: &str, limit: &str, most: impl Display, advice: &str) -> Box<str> {
    let colon = if advice.is_empty() { "" } else { ": " };
    format!("{sent}; the limit {limit} is {most}{colon}{advice}").into()
}

/// Checks the sizes of a message, in bytes.
///
/// # Errors
/// The reason, where a size exceeds its limit.
pub(crate) fn sizes(
    limits: &BrokerLimits,
    payload: usize,
    user_properties: usize,
    correlation_data: usize,
    content_type: usize,
) -> Result<(), Box<str>> {
    let sizes = [
        ("a payload", payload, "payload-bytes", limits.payload_bytes),
        (
            "user properties",
            user_properties,
            "user-properties-bytes",
            limits.user_properties_bytes,
        ),
        (
            "correlation data",
            correlation_data,
            "correlation-data-bytes",
            limits.correlation_data_bytes,
        ),
        (
            "a content type",
            content_type,
            "content-type-bytes",
            limits.content_type_bytes,
        ),
    ];
    for (what, size, limit, most) in sizes {
        if let Some(most) = most.filter(|most| size > *most) {
            return Err(excess(&format!("{what} of {size} bytes"), limit, most, ""));
        }
    }
    Ok(())
}

/// Returns the reason for a message above a rate per second.
pub(crate) fn per_second(limit: &str, most: Option<u32>) -> Box<str> {
    let sent = "one more message in this second";
    excess(sent, limit, most.unwrap_or_default(), "")
}

/// Quotes a client's text in backticks, shortened.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("`{}…`", text.get(..at).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        let said = excess("SUBSCRIBE with 9 filters", "filters-per-subscribe", 8, "");
        assert_eq!(
            &*said,
            "SUBSCRIBE with 9 filters; the limit filters-per-subscribe is 8"
        );
        let said = excess("a payload of 9 bytes", "payload-bytes", 8, "send less");
        assert_eq!(
            &*said,
            "a payload of 9 bytes; the limit payload-bytes is 8: send less"
        );
        assert_eq!(quoted("ä/b"), "`ä/b`");
        assert_eq!(quoted(&"ä".repeat(101)), format!("`{}…`", "ä".repeat(100)));
    }
}
