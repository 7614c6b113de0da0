//! Limits that two services must agree on: what the outer door takes, every hop behind it carries.

/// The longest body of a request at the public door, in bytes. A message that is made of one is no longer: Protobuf writes the
/// names and quotes of JSON as two bytes, and its escapes as what they stand for.
pub const BODY_BYTES_MAX: usize = 1 << 20;
