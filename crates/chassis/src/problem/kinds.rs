//! The kinds that any service has.

crate::kinds! {
    /// All of them.
    ALL;
    /// 400.
    BAD_REQUEST = BAD_REQUEST, "bad-request", "The request cannot be read",
        "The request is not well formed: its JSON is broken, a query parameter is not what it may be, or a header is malformed. Nothing was done.",
        "Read `detail`, correct the request and send it again. The same request will fail again.";
    /// 401.
    UNAUTHORIZED = UNAUTHORIZED, "unauthorized", "A valid access token is needed",
        "There is no access token, or it has expired, was not issued for this service, or cannot be verified.",
        "Sign in again and send the new token as `Authorization: Bearer`.";
    /// 403.
    FORBIDDEN = FORBIDDEN, "forbidden", "Not allowed for this caller",
        "The resource is known to exist, and this caller may not use it.",
        "Use an account that may. Asking again with the same one will not help.";
    /// 404.
    NOT_FOUND = NOT_FOUND, "not-found", "There is nothing here",
        "Nothing has this address, or it belongs to somebody else: the two are not told apart.",
        "Check the path and the id, and that you are signed in as the owner.";
    /// 405.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method-not-allowed", "This resource does not know that method",
        "The path is known, and not with this method.",
        "Use one of the methods in the header `Allow`.";
    /// 406.
    NOT_ACCEPTABLE = NOT_ACCEPTABLE, "not-acceptable", "No acceptable form of the answer",
        "The answer does not exist in any form that `Accept` allows.",
        "Accept `application/json`.";
    /// 408.
    REQUEST_TIMEOUT = REQUEST_TIMEOUT, "request-timeout", "The request took too long to arrive",
        "The rest of the request did not come in time. The connection is closed.",
        "Send it again on a new connection, without pauses.";
    /// 409.
    CONFLICT = CONFLICT, "conflict", "The request conflicts with the present state",
        "The request is valid, and what is stored does not allow it.",
        "Read `detail`, look at the present state and decide again.";
    /// 413.
    PAYLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE, "payload-too-large", "The request body is too large",
        "The body is longer than this resource reads. Nothing was done.",
        "Send less; `detail` has the limit in bytes.";
    /// 414.
    URI_TOO_LONG = URI_TOO_LONG, "uri-too-long", "The request target is too long",
        "The path and the query together are longer than every service behind can take.",
        "Shorten the query.";
    /// 431.
    HEADERS_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "The header fields of the request are too large",
        "The header fields together are larger than every service behind can take.",
        "Send fewer or shorter ones; look for cookies and for tokens that have grown.";
    /// 415.
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has the wrong content type",
        "The body's `Content-Type` is not the one that is read here.",
        "Send `Content-Type: application/json`.";
    /// 415.
    UNSUPPORTED_CONTENT_CODING = UNSUPPORTED_MEDIA_TYPE, "unsupported-content-coding", "The body has a content coding",
        "The body is compressed or otherwise encoded, and nothing here decodes one.",
        "Send it as it is, without `Content-Encoding`.";
    /// 422.
    UNPROCESSABLE = UNPROCESSABLE_ENTITY, "unprocessable", "The request was understood but is not valid",
        "The body can be read and says what cannot be. `errors` has every mistake, each with a JSON pointer to its field.",
        "Correct all of them and send the request again.";
    /// 429.
    TOO_MANY_REQUESTS = TOO_MANY_REQUESTS, "too-many-requests", "Too many requests",
        "This client has used up what it may ask for in this time.",
        "Wait as many seconds as `Retry-After` says.";
    /// Another 4xx.
    CLIENT_ERROR = BAD_REQUEST, "client-error", "The request cannot be served",
        "The request is refused for a reason that has no kind of its own; the status says which.",
        "Look the status up, and correct the request.";
    /// 500.
    INTERNAL_ERROR = INTERNAL_SERVER_ERROR, "internal-error", "Something went wrong on our side",
        "A service is broken. It has logged why, under the `trace_id` of this problem.",
        "Report the `trace_id`. A request that may be repeated can be sent again later.";
    /// 502.
    BAD_GATEWAY = BAD_GATEWAY, "bad-gateway", "A service behind this one gave a bad answer",
        "A service behind answered with what cannot be used: it speaks another protocol, or another version of ours.",
        "Try again in a moment; if it stays, report the `trace_id`.";
    /// 503.
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable",
        "A service or a database behind cannot be reached at the moment.",
        "Wait as many seconds as `Retry-After` says and send it again, with the same `Idempotency-Key` if it had one.";
    /// 503.
    OVERLOADED = SERVICE_UNAVAILABLE, "overloaded", "There is too much to do at the moment",
        "The request was refused before anything was done for it, because too many are being worked on.",
        "Wait as many seconds as `Retry-After` says, and then come back with less at a time.";
    /// 504.
    GATEWAY_TIMEOUT = GATEWAY_TIMEOUT, "gateway-timeout", "A service behind this one did not answer in time",
        "A service behind was asked and did not answer before its deadline. Whether it did the work is unknown.",
        "Repeat what may be repeated; an order only with the same `Idempotency-Key`.";
    /// 504.
    DEADLINE_EXCEEDED = GATEWAY_TIMEOUT, "deadline-exceeded", "The request was not finished in time",
        "This service did not finish in the time that the caller, or the door, gives it. Whether the work was done is unknown.",
        "Repeat what may be repeated; an order only with the same `Idempotency-Key`.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::problem::{Problem, StatusCode};

    #[test]
    fn a_slug_is_of_one_kind_and_fits_in_a_path() {
        let slugs: BTreeSet<_> = ALL.iter().map(|kind| kind.slug).collect();
        assert_eq!(slugs.len(), ALL.len());
        for slug in slugs {
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{slug}"
            );
        }
    }

    /// A status alone makes a problem of that status whatever it is, and of a kind that is described.
    #[test]
    fn every_status_has_a_kind() {
        for code in 400..600 {
            let status = StatusCode::from_u16(code).unwrap();
            let problem = Problem::from_status(status);
            assert_eq!(problem.status(), status);
            assert!(ALL.contains(&problem.kind()), "{code}");
        }
    }
}
