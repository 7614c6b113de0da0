//! Too much of a good thing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use contracts::identity::{ADMIN, CUSTOMER, REALM};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, Issuer, TestGateway, serve, start, token_for};

/// A neighbour that notes what arrives, and answers once it may.
struct Holding {
    arrived: Arc<Mutex<Vec<String>>>,
    may_answer: Arc<Semaphore>,
}

impl Holding {
    /// Serves it on a free port. `answer` is what a path is answered with.
    async fn serve(answer: fn(&str) -> Vec<u8>) -> (SocketAddr, Self) {
        let holding = Self {
            arrived: Arc::default(),
            may_answer: Arc::new(Semaphore::new(0)),
        };
        let noted = Arc::clone(&holding.arrived);
        let waits = Arc::clone(&holding.may_answer);
        let router = Router::new().fallback(async move |request: Request| {
            let path = request.uri().path().to_owned();
            let answer = answer(&path);
            noted.lock().push(path);
            waits.acquire().await.unwrap().forget();
            answer
        });
        (serve(router).await, holding)
    }

    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().clone()
    }

    async fn until_arrived(&self, count: usize) {
        let arrival = async {
            while self.arrived.lock().len() < count {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), arrival).await;
        assert!(in_time.is_ok(), "not {count}: {:?}", self.arrived());
    }
}

async fn limited(flags: &[&str]) -> TestGateway {
    let (users, _) = FakeUsers::default().serve().await;
    start(users, FakeShop::default().serve().await, flags).await
}

/// Statuses of `n` calls one after the other.
async fn statuses(n: usize, call: impl AsyncFn() -> u16) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..n {
        statuses.push(call().await);
    }
    statuses
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let gateway = limited(&["--rate-limit=1"]).await;
    let seen = statuses(5, async || {
        gateway.get("/api/products/1").send().await.status.as_u16()
    })
    .await;
    assert_eq!(seen[0], 200);
    assert!(seen.contains(&429), "{seen:?}");
    // Until it happens to be refused: the budget refills while we ask.
    let answer = loop {
        let answer = gateway.get("/api/v1/products/1").send().await;
        if answer.status == 429 {
            break answer;
        }
    };
    answer.problem(429, "/api/v1/products/1");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=1;w=1");
    assert_eq!(answer.header("ratelimit"), "\"requests\";r=0;t=1");
}

#[tokio::test]
async fn each_user_has_a_rate_limit_of_their_own_behind_one_address() {
    let gateway = limited(&["--rate-limit=5"]).await;
    let flood = |token: Option<String>| {
        let gateway = &gateway;
        async move {
            let calls = (0..50).map(|_| {
                let call = gateway.get("/api/products/1");
                match &token {
                    Some(token) => call.token(token).send(),
                    None => call.send(),
                }
            });
            futures::future::join_all(calls)
                .await
                .iter()
                .filter(|answer| answer.status == 200)
                .count()
        }
    };
    // Each of them gets something, whoever came before; none gets everything.
    for token in [
        None,
        Some(token_for(Uuid::now_v7(), CUSTOMER)),
        Some(token_for(Uuid::now_v7(), CUSTOMER)),
    ] {
        let passed = flood(token).await;
        assert!((5..50).contains(&passed), "{passed}");
    }
}

#[tokio::test]
async fn requests_with_forged_tokens_are_rate_limited() {
    let gateway = limited(&["--rate-limit=5"]).await;
    let forged = Issuer::FORGER.sign(&REALM.claims(Uuid::max(), ADMIN, Duration::from_secs(60)));
    let calls = (0..50).map(|_| gateway.get("/api/users/me").token(&forged).send());
    let answers = futures::future::join_all(calls).await;
    let count = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!(count(401) + count(429), 50);
    assert!(count(429) > 0);
}

#[tokio::test]
async fn zero_turns_the_limit_off() {
    let gateway = limited(&["--rate-limit=0"]).await;
    let wrong = json!({ "email": "ann@example.org", "password": "wrong" });
    let seen = statuses(20, async || {
        gateway
            .post("/api/sessions")
            .json(&wrong)
            .send()
            .await
            .status
            .as_u16()
    })
    .await;
    assert_eq!(seen, [401; 20]);
}

/// The budget is kept by users; here it is only passed on, whole.
#[tokio::test]
async fn a_budget_that_users_keeps_is_a_429() {
    let gateway = limited(&[]).await;
    let body = json!({ "email": "guessed@example.org", "password": "wrong" });
    for _ in 0..30 {
        let answer = gateway.post("/api/v1/sessions").json(&body).send().await;
        let problem = answer.problem(429, "/api/v1/sessions");
        assert_eq!(problem["detail"], "too many attempts");
        assert_eq!(answer.header("retry-after"), "8");
        assert_eq!(answer.header("ratelimit"), "\"address\";r=0;t=8");
        assert_eq!(answer.header("ratelimit-policy"), "\"address\";q=100;w=60");
    }
    // However many of them there were: they are this client's doing, and users is asked for others as before.
    let right = json!({ "email": "ann@example.org", "password": "correct horse" });
    gateway
        .post("/api/sessions")
        .json(&right)
        .send()
        .await
        .ok(201);
}

/// users must not be told by a client where it is.
#[tokio::test]
async fn users_is_told_the_clients_address_and_not_what_it_says() {
    let (address, users) = FakeUsers::default().serve().await;
    let gateway = start(address, FakeShop::default().serve().await, &[]).await;
    let credentials = json!({ "email": "ann@example.org", "password": "correct horse" });
    let new = json!({ "email": "eve@example.org", "name": "Eve", "password": "correct horse" });
    for (path, body) in [("/api/sessions", credentials), ("/api/users", new)] {
        let call = gateway.post(path).header("x-forwarded-for", "192.0.2.1");
        call.json(&body).send().await.ok(201);
        let told = users.forwarded_for.lock().take();
        assert_eq!(told, Some(vec!["127.0.0.1".to_owned()]), "{path}");
    }
}

#[tokio::test]
async fn a_proxy_in_front_is_believed() {
    let (address, users) = FakeUsers::default().serve().await;
    let shop = FakeShop::default().serve().await;
    let gateway = start(address, shop, &["--trusted-proxies=127.0.0.0/8"]).await;
    let credentials = json!({ "email": "ann@example.org", "password": "correct horse" });
    let call = gateway.post("/api/sessions");
    let call = call.header("x-forwarded-for", "198.51.100.7, 192.0.2.1");
    call.json(&credentials).send().await.ok(201);
    let told = users.forwarded_for.lock().take();
    assert_eq!(told, Some(vec!["192.0.2.1".to_owned()]));
}

#[tokio::test]
async fn a_client_waits_for_its_own_turn_and_for_nobody_elses() {
    let (products, holding) = Holding::serve(|_| Vec::new()).await;
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--trusted-proxies=127.0.0.0/8",
        "--products-client=deadline=60s,attempt=60s",
    ];
    let gateway = start(users, products, &flags).await;
    let ask = |from: &str, product: u8| {
        let call = gateway.get(&format!("/api/products/{product}"));
        tokio::spawn(call.header("x-forwarded-for", from).send())
    };

    let first = ask("192.0.2.1", 1);
    holding.until_arrived(1).await;
    let second = ask("192.0.2.1", 2);
    let others = ask("192.0.2.2", 3);
    holding.until_arrived(2).await;
    assert_eq!(holding.arrived(), ["/v1/products/1", "/v1/products/3"]);
    holding.may_answer.add_permits(2);
    holding.until_arrived(3).await;
    holding.may_answer.add_permits(1);
    for asked in [first, second, others] {
        assert_eq!(asked.await.unwrap().status, 200);
    }
}

/// Four accounts are four clients, whose places would be all that there are, and one site.
#[tokio::test]
async fn many_accounts_at_one_address_leave_places_to_other_sites() {
    let (orders, holding) = Holding::serve(|_| Vec::new()).await;
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--trusted-proxies=127.0.0.0/8",
        "--orders-client=deadline=60s,attempt=60s",
    ];
    let gateway = start(users, orders, &flags).await;
    let ask = |from: &str, order: &str| {
        let call = gateway.get(&format!("/api/orders/{order}"));
        let call = call.header("x-forwarded-for", from);
        tokio::spawn(call.token(&token_for(Uuid::now_v7(), CUSTOMER)).send())
    };

    let mut asked: Vec<_> = (0..4).map(|_| ask("192.0.2.1", "flood")).collect();
    holding.until_arrived(2).await;
    // The other site has one place of the two that are left. Which of its accounts asks first does not matter.
    asked.extend((0..2).map(|_| ask("192.0.2.2", "others")));
    holding.until_arrived(3).await;
    let seen = ["/v1/orders/flood", "/v1/orders/flood", "/v1/orders/others"];
    assert_eq!(holding.arrived(), seen);
    holding.may_answer.add_permits(asked.len());
    for asked in asked {
        assert_eq!(asked.await.unwrap().status, 200, "it only had to wait");
    }
}

/// Two clients have more requests that wait for themselves than the gateway works on at once.
#[tokio::test]
async fn who_waits_for_its_own_turn_keeps_nobody_out() {
    let may_answer = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&may_answer);
    let shop = Router::new().fallback(async move |request: Request| {
        if request.uri().path().starts_with("/v1/orders") {
            waits.acquire().await.unwrap().forget();
        }
    });
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=1",
        "--max-in-flight=16",
        "--trusted-proxies=127.0.0.0/8",
        "--orders-client=deadline=60s,attempt=60s",
    ];
    let gateway = start(users, serve(shop).await, &flags).await;
    let ask = |from: &str, path: &str| gateway.get(path).header("x-forwarded-for", from).send();
    let waiting: Vec<_> = (0..40)
        .map(|n| tokio::spawn(ask(["192.0.2.1", "192.0.2.2"][n % 2], "/api/orders/1")))
        .collect();
    for _ in 0..20 {
        assert_eq!(ask("192.0.2.3", "/api/products/1").await.status, 200);
    }
    may_answer.add_permits(waiting.len());
    for asked in waiting {
        assert_eq!(asked.await.unwrap().status, 200, "it only had to wait");
    }
}

/// What an answer weighs decides how many of its client's requests are worked on at once.
#[tokio::test]
async fn places_follow_the_answers_that_go_through_the_door() {
    let (products, holding) = Holding::serve(|path| {
        let is_large = path.ends_with("/large");
        vec![b'x'; if is_large { 1 << 20 } else { 10 }]
    })
    .await;
    let (users, _) = FakeUsers::default().serve().await;
    let flags = [
        "--client-places=8",
        "--trusted-proxies=127.0.0.0/8",
        "--products-client=deadline=60s,attempt=60s",
    ];
    let gateway = start(users, products, &flags).await;
    let ask = |from: &str, product: &str| {
        let call = gateway.get(&format!("/api/products/{product}"));
        tokio::spawn(call.header("x-forwarded-for", from).send())
    };

    // Two at first, and a third after a small answer.
    let small = ask("192.0.2.1", "small");
    holding.until_arrived(1).await;
    holding.may_answer.add_permits(1);
    assert_eq!(small.await.unwrap().status, 200);
    let three: Vec<_> = ["1", "2", "3"].map(|n| ask("192.0.2.1", n)).into();
    holding.until_arrived(4).await;
    holding.may_answer.add_permits(3);
    for asked in three {
        assert_eq!(asked.await.unwrap().status, 200);
    }

    // One after a large one.
    let large = ask("192.0.2.1", "large");
    holding.until_arrived(5).await;
    holding.may_answer.add_permits(1);
    assert_eq!(large.await.unwrap().status, 200);
    let first = ask("192.0.2.1", "first");
    holding.until_arrived(6).await;
    let second = ask("192.0.2.1", "second");
    let others = ask("192.0.2.2", "others");
    holding.until_arrived(7).await;
    assert_eq!(
        holding.arrived()[5..],
        ["/v1/products/first", "/v1/products/others"]
    );
    holding.may_answer.add_permits(3);
    for asked in [first, second, others] {
        assert_eq!(asked.await.unwrap().status, 200);
    }
}
