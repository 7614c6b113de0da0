//! The kinds of problems of this shop, besides those of every service.

use chassis::problem::{Kind, kinds};

chassis::kinds! {
    /// The shop's own.
    OWN;
    /// Answers a sign-in, the same for an unknown email and for a wrong password.
    BAD_CREDENTIALS = UNAUTHORIZED, "bad-credentials", "The email or the password is wrong",
        "Nobody can sign in with this email and this password. Which of them is wrong is not told.",
        "Check both. After several failures the next attempts have to wait.";
    /// Answers an order.
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The key belongs to another request",
        "This `Idempotency-Key` was used for an order with another body. No order was placed.",
        "Use a new key for a new order; send the same body to get the first answer again.";
    /// Answers an order.
    IDEMPOTENCY_KEY_RUNNING = CONFLICT, "idempotency-key-running", "The first request is still running",
        "A request with this `Idempotency-Key` has not been answered yet.",
        "Send the same request again after as many seconds as `Retry-After` says, to get the first one's answer.";
    /// Answers a GraphQL query that came as a hash alone.
    PERSISTED_QUERY_NOT_FOUND = NOT_FOUND, "persisted-query-not-found", "Nobody sent this query yet",
        "The query was named by its hash, and the gateway that was asked does not have its text, or has it no more.",
        "Send the text together with the hash once; most GraphQL clients do so by themselves.";
}

/// Every kind that an answer of this shop can have, by slug.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    OWN.iter().chain(kinds::ALL)
}

/// The kind whose `type` ends with `slug`.
#[must_use]
pub fn find(slug: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.slug == slug)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_slug_is_of_one_kind() {
        let slugs: BTreeSet<_> = all().map(|kind| kind.slug).collect();
        assert_eq!(slugs.len(), all().count());
    }
}
