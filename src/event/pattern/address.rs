//! IP addresses as EventBridge compares them, in any spelling.
//!
//! A string counts as an address when it is four decimal numbers with dots, or hexadecimal groups with colons and no dots;
//! an IPv6 address that maps an IPv4 one counts as that (event-ruler 2, `CIDR`; seen in its verdicts).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a text spells, if it does.
pub(super) fn parse(text: &[u8]) -> Option<IpAddr> {
    // Cheap refusal first: nearly no string of an event is an address.
    if !matches!(text.first()?, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':') {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if text.contains(':') {
        if text.contains('.') {
            return None;
        }
        let address: Ipv6Addr = text.parse().ok()?;
        return Some(address.to_canonical());
    }
    let mut parts = [0_u8; 4];
    let mut texts = text.split('.');
    for part in &mut parts {
        // Leading zeros are taken for decimal.
        let text = texts.next()?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *part = text
            .trim_start_matches('0')
            .parse()
            .or_else(|error| {
                if text.bytes().all(|byte| byte == b'0') {
                    Ok(0)
                } else {
                    Err(error)
                }
            })
            .ok()?;
    }
    texts
        .next()
        .is_none()
        .then(|| IpAddr::V4(Ipv4Addr::from(parts)))
}

/// A run of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PatternBlock {
    first: IpAddr,
    last: IpAddr,
}

impl PatternBlock {
    /// Reads `address/bits`; the bits of the address below the mask do not count. The error is AWS's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // Java's split drops empty parts at the end, so `10.0.0.0/` has one part.
        let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        let [address, bits] = parts.as_slice() else {
            return Err("Malformed CIDR, one '/' required".into());
        };
        let bits: i32 = bits
            .parse()
            .map_err(|_| "Malformed CIDR, mask bits must be an integer".to_owned())?;
        let bits = u32::try_from(bits)
            .map_err(|_| "Malformed CIDR, mask bits must not be negative".to_owned())?;
        let address = parse(address.as_bytes())
            .ok_or_else(|| format!("Nonstandard IP address: {address}"))?;
        match address {
            IpAddr::V4(_) if bits > 31 => Err("IPv4 mask bits must be < 32".into()),
            IpAddr::V6(_) if bits > 127 => Err("IPv6 mask bits must be < 128".into()),
            IpAddr::V4(address) => {
                let (address, below) = (u32::from(address), u32::MAX >> bits);
                Ok(Self {
                    first: IpAddr::V4((address & !below).into()),
                    last: IpAddr::V4((address | below).into()),
                })
            }
            IpAddr::V6(address) => {
                let (address, below) = (u128::from(address), u128::MAX >> bits);
                Ok(Self {
                    first: IpAddr::V6((address & !below).into()),
                    last: IpAddr::V6((address | below).into()),
                })
            }
        }
    }

    /// Returns `true` if an address is in the block. An address of the other family never is.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(parse(b"::1"), parse(b"0:0:0:0:0:0:0:1"));
        assert_eq!(parse(b"::ffff:0a00:0001"), parse(b"10.0.0.1"));
        assert_eq!(parse(b"010.000.0.1"), parse(b"10.0.0.1"));
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1.1",
            "10.0.0.1 ",
            "::ffff:10.0.0.1",
            "x",
            "abc",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn blocks() {
        let block = PatternBlock::parse("10.0.0.5/24").unwrap();
        let has = |text: &str| block.contains(parse(text.as_bytes()).unwrap());
        assert!(has("10.0.0.0") && has("10.0.0.255"));
        assert!(!has("9.255.255.255") && !has("10.0.1.0") && !has("::1"));
        assert!(
            PatternBlock::parse("::/0").is_ok_and(|all| !all.contains(parse(b"10.0.0.1").unwrap()))
        );
        for (text, error) in [
            ("10.0.0.0", "Malformed CIDR, one '/' required"),
            ("10.0.0.0/x", "Malformed CIDR, mask bits must be an integer"),
            (
                "10.0.0.0/-1",
                "Malformed CIDR, mask bits must not be negative",
            ),
            ("x/8", "Nonstandard IP address: x"),
            ("10.0.0.0/32", "IPv4 mask bits must be < 32"),
            ("::1/128", "IPv6 mask bits must be < 128"),
        ] {
            assert_eq!(PatternBlock::parse(text), Err(error.to_owned()), "{text}");
        }
    }
}
