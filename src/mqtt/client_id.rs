//! Client ids of the pool's connections: `{client_id}-{16 hexadecimal digits}-{number of the
//! connection}`.
//!
//! The digits are 64 random bits from a cryptographic generator, fresh for each attempt to connect.
//! Nobody can guess the id that a connection will have, and so nobody who may connect with a
//! similar one can take it over (MQTT 5.0, section 3.1.4, "session taken over"). No session is
//! resumed, so that nothing needs the id before it; and IoT Core takes one CONNECT a second for one
//! client id, in effect one in ten seconds on one host. The policy that `policy generate --for
//! bridge` prints allows `{client_id}-*`.

use rumqttc::tokio_rustls::rustls::crypto::ring;

/// A fresh client id.
///
/// # Errors
/// One line, where the operating system gives no random numbers.
pub(super) fn fresh(prefix: &str, number: usize) -> Result<String, String> {
    let mut bits = [0; 8];
    ring::default_provider()
        .secure_random
        .fill(&mut bits)
        .map_err(|_| "the operating system gives no random numbers".to_owned())?;
    Ok(format!(
        "{prefix}-{:016x}-{number}",
        u64::from_be_bytes(bits)
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_new_and_has_64_random_bits() {
        let ids: BTreeSet<String> = (0..1_000).map(|_| fresh("shop", 3).unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        let mut ever = (0, u64::MAX);
        for id in ids {
            let digits = id
                .strip_prefix("shop-")
                .unwrap()
                .strip_suffix("-3")
                .unwrap();
            assert_eq!(digits.len(), 16);
            let bits = u64::from_str_radix(digits, 16).unwrap();
            ever = (ever.0 | bits, ever.1 & bits);
        }
        assert_eq!(
            ever,
            (u64::MAX, 0),
            "each bit is set in some and not in others"
        );
    }
}
