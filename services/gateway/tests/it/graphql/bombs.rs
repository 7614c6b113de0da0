//! Documents that are made to cost: each is refused, for less than 50 ms of CPU and a few megabytes. The clock is the
//! thread's own, so that what else the machine does is not counted; the gateway has one thread alone, and its neighbours and
//! its client have others.

mod floods;
mod introspection;
mod uses;

use std::time::Duration;

use allocation_counter::measure;
use contracts::identity::CUSTOMER;
use http::StatusCode;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::{ME, start_at};
use crate::support::{Call, FakeUsers, Socket, TestGateway, nobody, token_for};

const CPU_MAX: Duration = Duration::from_millis(50);
/// How often a document is sent that seems to cost too much.
const TRIES: usize = 3;
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What it costs at least: where threads share a core and its caches, the same work takes some of them longer.
fn cheapest(send: impl Fn() -> Cost) -> Cost {
    let mut cost = send();
    for _ in 1..TRIES {
        if cost.cpu < CPU_MAX {
            break;
        }
        cost = send();
    }
    cost
}

/// The gateway on this thread, all else elsewhere.
struct Target {
    inside: Runtime,
    outside: Runtime,
    gateway: TestGateway,
}

/// What a document did.
#[derive(Debug)]
struct Cost {
    status: StatusCode,
    body: String,
    cpu: Duration,
    bytes: u64,
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

impl Target {
    fn start() -> Self {
        let outside = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let inside = Builder::new_current_thread().enable_all().build();
        let (outside, inside) = (outside.unwrap(), inside.unwrap());
        let (users, nobody) =
            outside.block_on(async { (FakeUsers::default().serve().await.0, nobody().await) });
        let gateway = inside.block_on(start_at(users, nobody, nobody, nobody, &[]));
        let target = Self {
            inside,
            outside,
            gateway,
        };
        // What is made once is not the bomb's.
        target.send(json!({ "query": "{ __typename }" }).to_string());
        target
    }

    fn send(&self, body: String) -> Cost {
        let call = self
            .gateway
            .post("/graphql")
            .header("content-type", "application/json");
        self.cost(call.body(body))
    }

    fn cost(&self, call: Call) -> Cost {
        let (answer, cpu, bytes) = self.measure(call.send());
        Cost {
            status: answer.status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            cpu,
            bytes,
        }
    }

    /// What a client did, and what it cost the gateway meanwhile.
    fn measure<T: Send + 'static>(
        &self,
        client: impl Future<Output = T> + Send + 'static,
    ) -> (T, Duration, u64) {
        let mut answer = None;
        let mut used = Duration::ZERO;
        let counted = measure(|| {
            let before = cpu();
            let sent = self.outside.spawn(client);
            answer = Some(self.inside.block_on(sent).unwrap());
            used = cpu().saturating_sub(before);
        });
        (answer.unwrap(), used, counted.bytes_max)
    }

    /// It is refused, and before it cost anything.
    #[track_caller]
    fn refuses(&self, what: &str, status: u16, body: String) {
        let cost = cheapest(|| self.send(body.clone()));
        self.is_cheap(what, status, &cost);
    }

    #[track_caller]
    fn is_cheap(&self, what: &str, status: u16, cost: &Cost) {
        let said: String = cost.body.chars().take(500).collect();
        assert_eq!(cost.status.as_u16(), status, "{what}: {said}");
        assert!(cost.cpu < CPU_MAX, "{what}: {:?}: {said}", cost.cpu);
        assert!(cost.bytes < BYTES_MAX, "{what}: {} bytes", cost.bytes);
        assert!(
            cost.body.len() < 64 * 1024,
            "{what}: answers {} bytes",
            cost.body.len()
        );
    }

    #[track_caller]
    fn refuses_query(&self, what: &str, query: &str) {
        self.refuses(what, 400, json!({ "query": query }).to_string());
    }
}

/// Each of `levels` fragments spreads the next one `times` times.
fn fragments(levels: usize, times: usize, leaf: &str) -> String {
    let mut query = "query { ...f0 }".to_owned();
    for level in 0..levels {
        let spread = format!(" ...f{}", level + 1).repeat(times);
        query += &format!(" fragment f{level} on Query {{{spread} }}");
    }
    query + &format!(" fragment f{levels} on Query {{ {leaf} }}")
}

#[test]
fn fragments_of_fragments_are_weighed_once() {
    let target = Target::start();
    for leaf in [
        "__typename",
        "me { id }",
        "__schema { types { name } }",
        // What is not there weighs nothing.
        "...missing",
        "... { ...missing }",
    ] {
        target.refuses_query("×2 at 24 levels", &fragments(24, 2, leaf));
        target.refuses_query("×10 at 7 levels", &fragments(7, 10, leaf));
        target.refuses_query("×2 at 12 levels", &fragments(12, 2, leaf));
        target.refuses_query("a chain of 49", &fragments(48, 1, leaf));
    }
    // Nobody spreads them, and still they are validated.
    let unused = fragments(24, 2, "__typename").replace("query { ...f0 }", "{ __typename }");
    target.refuses_query("×2 at 24 levels, unused", &unused);
    // In fields, each with its own alias or none.
    let mut query = "{ me { ...f0 } }".to_owned();
    for level in 0..14 {
        query += &format!(
            " fragment f{level} on User {{ orders {{ edges {{ node {{ ...f{0} id ...f{0} }} }} }} }}",
            level + 1
        );
    }
    target.refuses_query(
        "fields in fragments",
        &(query + " fragment f14 on User { id }"),
    );
}

#[test]
fn circles_are_refused() {
    let target = Target::start();
    target.refuses_query("itself", "{ ...a } fragment a on Query { ...a }");
    target.refuses_query(
        "two",
        "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    );
    target.refuses_query(
        "in a field",
        "{ me { ...a } } fragment a on User { orders { edges { node { ...a } } } }",
    );
    target.refuses_query(
        "unused",
        "{ __typename } fragment a on Query { ...b ...b } fragment b on Query { ...a ...a }",
    );
    let ring: String = (0..48)
        .map(|n| format!(" fragment f{n} on Query {{ ...f{} }}", (n + 1) % 48))
        .collect();
    target.refuses_query("a ring of 48", &format!("{{ ...f7 }}{ring}"));
}

#[test]
fn depth_overflows_no_stack() {
    let target = Target::start();
    let deep = |open: &str, close: &str, levels: usize| {
        format!("{{{}{}}}", open.repeat(levels), close.repeat(levels))
    };
    for levels in [20, 100, 5_000] {
        target.refuses_query("fields", &deep("a{", "a}", levels).replace("aa", "a"));
        target.refuses_query("fields that do not end", &deep("a{", "", levels));
        target.refuses_query("inline fragments", &deep("...{", "}", levels));
    }
    for levels in [40, 1_000, 7_000] {
        for (what, open, close) in [
            ("lists", "[", "]"),
            ("objects", "{a:", "}"),
            ("brackets", "(", ")"),
        ] {
            let value = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            target.refuses_query(what, &format!("{{a(a:{value}){{b}}}}"));
            target.refuses_query(what, &format!("query($a:Int={value}){{me{{id}}}}"));
            target.refuses_query(what, &format!("{{a @a(a:{value})}}"));
        }
        let list = format!("{}Int{}", "[".repeat(levels), "]".repeat(levels));
        target.refuses_query("types", &format!("query($a:{list}){{me{{id}}}}"));
    }
    // In the variables.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let variables = |levels| {
        format!(
            "{{\"query\":\"{{me{{id}}}}\",\"variables\":{{\"a\":{}}}}}",
            nested(levels)
        )
    };
    target.refuses("variables", 400, variables(15_000));
    let list = "mutation($a:[OrderLine!]!){placeOrder(items:$a){id}}";
    let body = format!(
        "{{\"query\":\"{list}\",\"variables\":{{\"a\":{}}}}}",
        nested(120)
    );
    target.refuses("variables within the limit", 400, body);
}

/// By GET the query is in the address.
#[test]
fn an_address_is_bounded_like_a_body() {
    let target = Target::start();
    let path = format!("/graphql?query={}", "a".repeat(31_000));
    let cost = cheapest(|| target.cost(target.gateway.get(&path)));
    target.is_cheap("a long address", 414, &cost);
}

#[test]
fn bombs_over_a_socket_cost_nothing_either() {
    let target = Target::start();
    let (address, token) = (target.gateway.address, token_for(ME, CUSTOMER));
    let (mut socket, ..) = target.measure(async move { Socket::of(address, &token).await });
    let on_subscription = |query: String| query.replace("on Query", "on Subscription");
    let subscription = "subscription { ...f0 }";
    for (what, query) in [
        (
            "×2 at 24 levels",
            on_subscription(fragments(24, 2, "orderChanged(id: 1) { status }"))
                .replace("query { ...f0 }", subscription),
        ),
        (
            "×10 at 7 levels",
            on_subscription(fragments(7, 10, "orderChanged(id: 1) { status }"))
                .replace("query { ...f0 }", subscription),
        ),
        (
            "brackets",
            format!("subscription {{a(a:{})}}", "[".repeat(15_000)),
        ),
        (
            "aliases",
            format!(
                "subscription {{{}}}",
                (0..3_000).map(|n| format!("a{n}:x ")).collect::<String>()
            ),
        ),
        (
            "directives",
            format!("subscription {{a {}}}", "@a ".repeat(9_000)),
        ),
        ("a query", fragments(24, 2, "__typename")),
    ] {
        let (answer, cpu, bytes) = target.measure(async move {
            socket.subscribe("a", &query).await;
            (socket.hears().await, socket)
        });
        let (refused, open) = answer;
        socket = open;
        assert_eq!(refused["type"], "error", "{what}: {refused}");
        assert!(cpu < CPU_MAX, "{what}: {cpu:?}");
        assert!(bytes < BYTES_MAX, "{what}: {bytes} bytes");
    }
}
