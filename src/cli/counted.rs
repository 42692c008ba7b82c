//! Numbers of things in messages: "1 route", "2 routes".

/// A number and a noun, in the singular for one.
pub(super) fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(counted(0_u64, "route"), "0 routes");
        assert_eq!(counted(1_u64, "policy"), "1 policy");
        assert_eq!(counted(2_usize, "policy"), "2 policies");
        assert_eq!(
            counted(1_usize, "dead-letter message"),
            "1 dead-letter message"
        );
    }
}
