//! Random UUIDs (RFC 9562, version 4) for the ids of messages and events.

use crate::channel::example::uuid_of_bits;

/// Returns a new UUID, in lower case with hyphens.
pub(super) fn uuid() -> String {
    uuid_of_bits(fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_stand_where_they_should() {
        for _ in 0..100 {
            let uuid = uuid();
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
    }
}
