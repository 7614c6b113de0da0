//! The cluster's password: random, and cheap to prove.
//!
//! SCRAM stretches passwords by hashing them 4096 times, so that weak ones are hard to guess from a stolen
//! verifier. A random one of 190 bits needs none of that, and each connection would pay for it: 1 ms, or
//! 50 ms in an unoptimised client. PostgreSQL takes a ready-made verifier in place of a password, and the
//! verifier says how often to hash. (`scram_iterations` would be simpler, but only came with version 16.)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};

/// Characters of a password: 190 bits.
const LENGTH: usize = 32;
/// Bytes of salt, as many as PostgreSQL itself takes.
const SALT_LENGTH: usize = 16;

/// A new password of letters and digits.
pub(crate) fn random() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(LENGTH)
        .map(char::from)
        .collect()
}

/// What the server keeps of a password (RFC 5803, one iteration). `password` must be ASCII: other letters
/// would have to be normalised first.
pub(crate) fn verifier(password: &str) -> String {
    let salt: [u8; SALT_LENGTH] = rand::random();
    verifier_with(password, &salt)
}

fn verifier_with(password: &str, salt: &[u8]) -> String {
    // The first and only block of PBKDF2.
    let salted = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat());
    let stored_key = Sha256::digest(hmac(&salted, b"Client Key"));
    let server_key = hmac(&salted, b"Server Key");
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    format!(
        "SCRAM-SHA-256$1:{}${}:{}",
        text(salt),
        text(&stored_key),
        text(&server_key)
    )
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_iteration() {
        // From Python's hashlib and hmac: pbkdf2_hmac("sha256", b"secret", b"0123456789abcdef", 1).
        let expected = "SCRAM-SHA-256$1:MDEyMzQ1Njc4OWFiY2RlZg==$rb2i4FWE8CCi1HDhnBxhv8/uERf3QN6tiTjE4qSdliQ=:gWfVquF9Vgm4YA/KIyjllnL4Zn6B7unP+DKFnilYEAg=";
        assert_eq!(verifier_with("secret", b"0123456789abcdef"), expected);
    }

    #[test]
    fn never_the_same_twice() {
        assert_ne!(random(), random());
        assert_ne!(verifier("secret"), verifier("secret"));
        assert_eq!(random().len(), LENGTH);
    }
}
