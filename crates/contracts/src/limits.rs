//! Limits that two services must agree on: what the outer door takes, every hop behind it carries.

/// The longest body of a request at the public door, in bytes. A message that is made of one is no longer: Protobuf writes the
/// names and quotes of JSON as two bytes, and its escapes as what they stand for.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The longest body that the gateway passes on, and that the services behind it read, in bytes: an order of fifty lines takes
/// about five thousand.
pub const PASSED_ON_BODY_BYTES_MAX: usize = 64 * 1024;

/// The most bytes of a field that people fill in as it is passed on to users: more than the longest that is taken can have, 254
/// characters of four bytes. What is longer is refused however long it is, and the rest of a megabyte would be in the way of
/// all others on the one connection.
pub const FIELD_BYTES_MAX: usize = 4 * 1024;

/// The most characters of an email address; SMTP's limit (RFC 5321 section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_CHARS_MAX: usize = 254;

/// The most characters of a user's name.
pub const NAME_CHARS_MAX: usize = 100;

/// The fewest characters of a password, which NIST SP 800-63B requires. As it also requires, there are no rules about the kinds
/// of characters.
pub const PASSWORD_CHARS_MIN: usize = 8;

/// The most characters of a password. It bounds the work of a hash, and leaves room for a passphrase.
pub const PASSWORD_CHARS_MAX: usize = 128;
