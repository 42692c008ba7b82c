//! PEM (RFC 7468): keys and certificates as text. rustls does the parsing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Encodes DER as PEM (RFC 7468): Base64 in lines of 64 characters.
pub(in crate::dev) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = behind;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}
