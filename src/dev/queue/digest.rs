//! Digests that SDKs check (developer guide, "Calculating the MD5 message digest for message
//! attributes"), and the deduplication id of a message that names none.

use md5::{Digest as _, Md5};

use super::wire::MessageAttribute;

pub(super) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// Deduplication id of a message that names none (developer guide, "Using the message deduplication
/// ID": the SHA-256 hash of the body, not of the attributes).
pub(super) fn content_id(body: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of some attributes; `None` for none.
pub(super) fn attributes_md5<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a MessageAttribute)>,
) -> Option<String> {
    let mut digest = Md5::new();
    let mut some = false;
    for (name, attribute) in attributes {
        some = true;
        let mut part = |bytes: &[u8]| {
            digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(bytes);
        };
        part(name.as_bytes());
        part(attribute.data_type.as_bytes());
        match (&attribute.string_value, &attribute.binary_value) {
            (Some(text), _) => {
                digest.update([1]);
                part_of(&mut digest, text.as_bytes());
            }
            (None, Some(base64)) => {
                digest.update([2]);
                part_of(&mut digest, &decoded(base64));
            }
            (None, None) => {}
        }
    }
    some.then(|| hex(&digest.finalize()))
}

fn part_of(digest: &mut Md5, bytes: &[u8]) {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

/// Bytes that a Base64 text decodes to; none if it is not Base64.
pub(super) fn decoded(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap_or_default()
}
