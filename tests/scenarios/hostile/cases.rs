//! What a client can do to the shop: requests of any shape. proptest makes the values, from a seed; who sends them
//! is [`super::drive`].

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::text::{Text, any_text, filled};
use super::values::{BODIES, CALLS, HEADERS, QUERY, ROUTES};

/// Longer than an attempt of the gateway ([`super::SHOP`]), in milliseconds.
pub(super) const STALL: std::ops::Range<u64> = 5_200..6_500;

/// One case. Names in braces are filled in when it is sent.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) speaks: Speaks,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) query: Vec<(&'static str, Text)>,
    pub(super) token: Token,
    pub(super) headers: Vec<(&'static str, Text)>,
    pub(super) body: Body,
    pub(super) sending: Sending,
    pub(super) leaves: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Http1,
    Http2,
    /// At the port of users; `path` is the method.
    Grpc,
}

#[derive(Debug, Clone)]
pub(super) enum Token {
    None,
    Own,
    /// Of another customer.
    Other,
    /// An own one whose claims say that it has expired, which its signature does not.
    Expired,
    /// Of a key that does not exist.
    Forged,
    Bad(Text),
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    None,
    /// What the route takes.
    Fitting,
    Json(&'static str),
    /// What the route takes, with this in its first field.
    Field(Text),
    Bytes(Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sending {
    Whole,
    Chunked,
    /// Stops after so many bytes, of more that were announced, or of a stream without a length. After the time the
    /// client goes on or goes away.
    Stalls {
        after: usize,
        announced: Option<usize>,
        time: Duration,
        then: Then,
    },
    /// A byte now and then.
    Drips,
    /// Goes away in the middle of the body.
    BreaksOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Continues,
    Closes,
}

/// A usual request of a client with an account.
fn plain(method: &'static str, path: &'static str) -> Case {
    Case {
        speaks: Speaks::Http1,
        method,
        path,
        query: Vec::new(),
        token: Token::Own,
        headers: Vec::new(),
        body: match method {
            "POST" => Body::Fitting,
            _ => Body::None,
        },
        sending: Sending::Whole,
        leaves: None,
    }
}

/// All that a client can do. The shapes that have cost others their calls come often, the rest is anything.
pub(super) fn case() -> BoxedStrategy<Case> {
    prop_oneof![
        3 => long_page_token(),
        3 => fat_trace(),
        3 => stalled(),
        3 => hurried(),
        2 => usual(),
        10 => anything(),
    ]
    .boxed()
}

/// What any client asks for. It is always answered.
fn usual() -> impl Strategy<Value = Case> {
    (select(ROUTES), over_http()).prop_map(|((method, path), speaks)| Case {
        speaks,
        ..plain(method, path)
    })
}

fn long_page_token() -> impl Strategy<Value = Case> {
    const PAGED: &[&str] = &["/api/users/{me}/orders", "/api/orders", "/api/products"];
    const FILLS: &[u8] = b"'a%\"\xff";
    // Short enough for the first request line, and too long for the next one, where it is encoded.
    let long = filled("", b"'\"", 30_000).prop_map(|text| text.longer(22_000));
    (
        prop_oneof![Just(PAGED[0]), select(PAGED)],
        prop_oneof![filled("", FILLS, 60_000), long],
        over_http(),
        leaves(),
    )
        .prop_map(|(path, token, speaks, leaves)| Case {
            speaks,
            query: vec![("page_token", token)],
            leaves,
            ..plain("GET", path)
        })
}

fn fat_trace() -> impl Strategy<Value = Case> {
    const NAMES: &[&str] = &["tracestate", "baggage"];
    let header = (select(NAMES), filled("vendor=", b"aZ0-", 40_000));
    (select(ROUTES), vec(header, 1..4), over_http()).prop_map(|((method, path), fat, speaks)| {
        let trace = Text::of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut headers = vec![("traceparent", trace)];
        headers.extend(fat);
        Case {
            speaks,
            headers,
            ..plain(method, path)
        }
    })
}

fn stalled() -> impl Strategy<Value = Case> {
    const STALLING: &[(&str, &str)] = &[
        ("POST", "/api/orders"),
        ("POST", "/api/orders"),
        ("POST", "/api/users"),
        ("POST", "/api/sessions"),
        ("POST", "/api/orders/{order}/cancel"),
        ("GET", "/api/products"),
    ];
    let calls = select(CALLS).prop_map(|call| Case {
        speaks: Speaks::Grpc,
        ..plain("POST", call)
    });
    let requests = (select(STALLING), over_http()).prop_map(|((method, path), speaks)| Case {
        speaks,
        body: Body::Fitting,
        ..plain(method, path)
    });
    let then = prop_oneof![1 => Just(Then::Continues), 3 => Just(Then::Closes)];
    let announced = option::of(prop_oneof![Just(200_usize), Just(20_000), Just(900_000)]);
    let target = prop_oneof![4 => requests, 1 => calls];
    (target, 0..3_usize, announced, STALL, then).prop_map(|(case, after, announced, ms, then)| {
        Case {
            sending: Sending::Stalls {
                after,
                announced,
                time: Duration::from_millis(ms),
                then,
            },
            ..case
        }
    })
}

fn hurried() -> impl Strategy<Value = Case> {
    const HURRIED: &[(&str, &str)] = &[
        ("POST", "/api/sessions"),
        ("POST", "/api/sessions"),
        ("POST", "/api/users"),
        ("POST", "/api/orders"),
        ("GET", "/api/users/{me}/orders"),
        ("GET", "/api/dashboard/{me}"),
        ("GET", "/api/products"),
    ];
    let ms = select(&["0", "1", "2", "5", "10", "20", "20", "50", "100"][..]);
    let requests =
        (select(HURRIED), ms, over_http()).prop_map(|((method, path), ms, speaks)| Case {
            speaks,
            headers: vec![("x-request-timeout-ms", Text::of(ms))],
            ..plain(method, path)
        });
    let units = select(&["1n", "100u", "1m", "5m", "20m", "50m", "0m"][..]);
    let calls = (select(CALLS), units).prop_map(|(call, time)| Case {
        speaks: Speaks::Grpc,
        headers: vec![("grpc-timeout", Text::of(time))],
        ..plain("POST", call)
    });
    prop_oneof![5 => requests, 1 => calls]
}

fn anything() -> impl Strategy<Value = Case> {
    const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let requests = (
        select(ROUTES),
        option::weighted(0.15, select(METHODS)),
        over_http(),
    )
        .prop_map(|((method, path), other, speaks)| Case {
            speaks,
            ..plain(other.unwrap_or(method), path)
        });
    let calls = select(CALLS).prop_map(|call| Case {
        speaks: Speaks::Grpc,
        ..plain("POST", call)
    });
    let target = prop_oneof![5 => requests, 1 => calls];
    let query = vec((select(QUERY), any_text()), 0..3);
    (
        target,
        token(),
        query,
        vec(header(), 0..5),
        body(),
        sending(),
        leaves(),
    )
        .prop_map(
            |(case, token, query, headers, body, sending, leaves)| Case {
                token,
                query,
                headers,
                body: body.unwrap_or(case.body),
                sending,
                leaves,
                ..case
            },
        )
}

fn over_http() -> impl Strategy<Value = Speaks> {
    prop_oneof![4 => Just(Speaks::Http1), 1 => Just(Speaks::Http2)]
}

fn leaves() -> impl Strategy<Value = Option<Duration>> {
    option::weighted(0.15, (0..60_u64).prop_map(Duration::from_millis))
}

fn token() -> impl Strategy<Value = Token> {
    prop_oneof![
        2 => Just(Token::None),
        6 => Just(Token::Own),
        1 => Just(Token::Other),
        1 => Just(Token::Expired),
        1 => Just(Token::Forged),
        1 => any_text().prop_map(Token::Bad),
    ]
}

fn body() -> impl Strategy<Value = Option<Body>> {
    let body = prop_oneof![
        1 => Just(Body::None),
        2 => Just(Body::Fitting),
        3 => select(BODIES).prop_map(Body::Json),
        2 => filled("a", b"ax\xc3", 1 << 20).prop_map(Body::Field),
        1 => filled("[", b"[{\"0", 1 << 17).prop_map(Body::Bytes),
        1 => any_text().prop_map(Body::Bytes),
    ];
    option::weighted(0.6, body)
}

fn sending() -> impl Strategy<Value = Sending> {
    prop_oneof![
        8 => Just(Sending::Whole),
        2 => Just(Sending::Chunked),
        1 => Just(Sending::Drips),
        1 => Just(Sending::BreaksOff),
    ]
}

/// A header that means something to somebody on the way, with a value that it takes or any other.
fn header() -> impl Strategy<Value = (&'static str, Text)> {
    (
        select(HEADERS),
        any::<prop::sample::Index>(),
        any_text(),
        0..3_u8,
    )
        .prop_map(|((name, values), index, any, which)| {
            let usual = Text::of(values[index.index(values.len())]);
            (name, if which == 0 { any } else { usual })
        })
}

impl Case {
    /// Longer than an attempt.
    pub(super) fn stalls(&self) -> bool {
        matches!(self.sending, Sending::Stalls { .. })
    }

    /// Whether it is whole and well formed: then there is an answer, whatever it asks for.
    pub(super) fn is_whole(&self) -> bool {
        let is_plain = self.headers.is_empty() && self.query.is_empty();
        let is_written = matches!(self.body, Body::None | Body::Fitting | Body::Json(_));
        is_plain
            && is_written
            && self.speaks != Speaks::Grpc
            && matches!(self.method, "GET" | "POST")
            && !matches!(self.token, Token::Bad(_))
            && self.sending == Sending::Whole
            && self.leaves.is_none()
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| *n == name)
    }

    /// Whether it asks for a password to be hashed, of which only so many are at a time.
    fn is_hashed(&self) -> bool {
        let path = self.path;
        let hashing = ["sessions", "/users", "Authenticate", "CreateUser"];
        self.method == "POST" && hashing.iter().any(|end| path.ends_with(end))
    }

    /// Whether this is an answer that the documentation has for what the client did: its own mistake, or a 503 or
    /// 504 that it asked for. `retry_after`: the answer says when to come back.
    pub(super) fn may_get(&self, status: u16, retry_after: bool) -> bool {
        match status {
            // Nobody hashes at once for everybody, or what users asks had no time.
            503 => retry_after && (self.is_hashed() || self.has_header("x-request-timeout-ms")),
            504 => self.has_header("x-request-timeout-ms"),
            status => status < 500,
        }
    }

    /// The same for the code of a gRPC answer.
    pub(super) fn may_get_code(&self, code: u16) -> bool {
        match code {
            // DEADLINE_EXCEEDED.
            4 => self.has_header("grpc-timeout"),
            // UNKNOWN, DATA_LOSS: nobody means to say that.
            2 | 15 => false,
            // INTERNAL is what gRPC's own list of codes has for a message that cannot be decoded.
            13 => !matches!(self.body, Body::Fitting) || self.sending != Sending::Whole,
            // UNAVAILABLE: when no hash is free, or there was no time to ask orders.
            14 => self.is_hashed() || self.has_header("grpc-timeout"),
            _ => true,
        }
    }
}
