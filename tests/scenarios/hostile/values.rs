//! What cases are made of: values that the shop takes, and some that it does not. Names in braces are filled in when a case
//! is sent.

/// Methods and paths.
pub(super) const ROUTES: &[(&str, &str)] = &[
    ("POST", "/api/users"),
    ("POST", "/api/sessions"),
    ("GET", "/api/users"),
    ("GET", "/api/users/me"),
    ("GET", "/api/users/{me}"),
    ("GET", "/api/users/{other}"),
    ("GET", "/api/users/{me}/orders"),
    ("GET", "/api/v1/users/{me}/orders"),
    ("GET", "/api/v2/users/{me}/orders"),
    ("GET", "/api/users/{other}/orders"),
    ("GET", "/api/products"),
    ("GET", "/api/v1/products"),
    ("GET", "/api/v2/products"),
    ("GET", "/api/v2/products/{product}"),
    ("GET", "/api/products/{product}"),
    ("POST", "/api/orders"),
    ("POST", "/api/v1/orders"),
    ("POST", "/api/v2/orders"),
    ("GET", "/api/orders"),
    ("GET", "/api/v2/orders"),
    ("GET", "/api/v2/orders/{order}"),
    ("GET", "/api/orders/{order}"),
    ("GET", "/api/orders/{order}/events"),
    ("POST", "/api/orders/{order}/cancel"),
    ("GET", "/api/dashboard/{me}"),
    ("GET", "/api/dashboard/{other}"),
    ("GET", "/.well-known/jwks.json"),
    ("POST", "/graphql"),
    ("GET", "/graphql"),
    ("GET", "/openapi.json"),
    ("GET", "/problems/not-found"),
    ("GET", "/"),
    ("GET", "/api/orders/../../v1/orders"),
    ("GET", "/api/users/%00"),
];

/// Methods of users.
pub(super) const CALLS: &[&str] = &[
    "GetUser",
    "GetUsers",
    "CreateUser",
    "ListUsers",
    "GetUserOrders",
    "Authenticate",
    "GetKeys",
    "NoSuchCall",
];

/// Bodies in JSON, or nearly.
pub(super) const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "{\"items\":null}",
    "{\"items\":[]}",
    "{\"items\":[{}]}",
    "{\"items\":[{\"product_id\":1,\"quantity\":\"one\"}]}",
    "{\"items\":[{\"product_id\":\"{product}\",\"quantity\":1e99}]}",
    "{\"items\":[{\"product_id\":\"{product}\",\"quantity\":-1}]}",
    "{\"email\":1,\"name\":2,\"password\":3}",
    "{\"email\":[],\"name\":{},\"password\":null}",
    "{\"email\":\"a@b.c\",\"email\":\"a@b.c\"}",
    "{\"email\":\"a@b.c\",\"password\":\"wrong password\"}",
    "{\"email\":\"\\u0000@b.c\",\"name\":\"\\u202e\",\"password\":\"\\ud800\"}",
    "{\"query\":\"{__schema{types{name}}}\"}",
    "{\"query\":\"{me{id orders(first:100){edges{node{id items{product{name}}}}}}}\"}",
    "{\"query\":\"{a:me{id}b:me{orders(first:5){edges{node{id}}}}}\"}",
    "{\"query\":\"{a:products(query:\\\"x\\\"){edges{cursor}}b:products(first:1){edges{cursor}}c:order(id:\\\"{order}\\\"){id user{name}}}\"}",
    "{\"query\":\"mutation{a:signIn(email:\\\"a@b.c\\\",password:\\\"x\\\"){tokenType}b:cancelOrder(id:\\\"{order}\\\"){id}}\"}",
    "{\"query\":\"{me{id}\"}",
    "{",
];

/// Parameters of a query.
pub(super) const QUERY: &[&str] = &["page_token", "page_size", "q", "", "x"];

/// Headers that mean something to somebody on the way, with values that they take.
pub(super) const HEADERS: &[(&str, &[&str])] = &[
    (
        "traceparent",
        &[
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0",
        ],
    ),
    ("x-request-timeout-ms", &["20", "1000", "99999999999", "-1"]),
    ("grpc-timeout", &["20m", "1S", "99999999H", "0n"]),
    (
        "x-forwarded-for",
        &["127.0.0.1", "10.0.0.1, 127.0.0.1", "::1", "unknown"],
    ),
    ("x-forwarded-uri", &["/somewhere", "/", "not a path"]),
    ("x-forwarded-host", &["example.org"]),
    ("x-forwarded-proto", &["https"]),
    ("forwarded", &["for=127.0.0.1;host=example.org"]),
    ("x-real-ip", &["127.0.0.1"]),
    ("host", &["example.org", "a b", "", "[::1]:80"]),
    (
        "connection",
        &[
            "close",
            "authorization",
            "x-request-timeout-ms, te",
            "keep-alive",
        ],
    ),
    ("te", &["trailers", "gzip"]),
    ("upgrade", &["h2c", "websocket"]),
    ("content-encoding", &["gzip", "identity", "br"]),
    (
        "content-type",
        &[
            "text/plain",
            "application/grpc",
            "application/json;charset=x",
        ],
    ),
    ("accept", &["text/html", "*/*;q=0"]),
    ("accept-encoding", &["gzip", "identity;q=0"]),
    ("expect", &["100-continue", "200-ok"]),
    ("idempotency-key", &["a-key", "", "\"quoted\""]),
    ("last-event-id", &["1", "-1"]),
    ("range", &["bytes=0-0", "bytes=-"]),
    ("origin", &["https://example.org"]),
    ("cookie", &["a=b"]),
];
