//! Entity tags (RFC 9110, section 8.8.3): who has what did not change is told so, and not sent it again.

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// The strong tag of some bytes.
pub(crate) fn tag(bytes: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(bytes);
    let hex: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits")
}

/// Whether the reader has this version (RFC 9110, section 13.1.2; compared weakly, as it says there).
pub(crate) fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().unwrap_or_default();
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == "*" || one == tag)
}
