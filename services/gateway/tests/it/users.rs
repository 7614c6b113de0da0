//! Users and sessions: REST outside, gRPC inside.

use contracts::identity::{ADMIN, CUSTOMER};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::support::{FakeShop, FakeUsers, TestGateway, start, token_for};

fn new_user(email: &str) -> Value {
    json!({ "email": email, "name": "Bob", "password": "long enough" })
}

#[tokio::test]
async fn signing_up_answers_the_user_and_where_it_is() {
    let gateway = TestGateway::healthy().await;
    for root in ["/api", "/api/v1"] {
        let answer = gateway
            .post(&format!("{root}/users"))
            .json(&new_user("bob@example.org"))
            .send()
            .await;
        let user = answer.ok(201);
        assert_eq!(
            (&user["email"], &user["name"]),
            (&json!("bob@example.org"), &json!("Bob"))
        );
        assert_eq!(user["created_at"], "2023-11-14T22:13:20.500Z");
        assert_eq!(
            answer.header("location"),
            format!("{root}/users/{}", user["id"].as_str().unwrap())
        );
        assert_eq!(user.as_object().unwrap().len(), 4, "{user}");
    }
}

/// All sign-ins go over one connection.
#[tokio::test]
async fn what_is_far_too_long_is_passed_on_as_far_as_it_takes_to_refuse_it() {
    let gateway = TestGateway::healthy().await;
    let mut new = new_user("bob@example.org");
    new["name"] = json!("é".repeat(400_000));
    // This users takes any name.
    let user = gateway.post("/api/users").json(&new).send().await.ok(201);
    assert_eq!(user["name"].as_str().unwrap().len(), 4 * 1024);
}

#[tokio::test]
async fn what_users_refuses_becomes_a_problem() {
    let gateway = TestGateway::healthy().await;
    let sign_up = |email| gateway.post("/api/users").json(&new_user(email)).send();

    let problem = sign_up("taken@example.org")
        .await
        .problem(409, "/api/users");
    assert_eq!(problem["detail"], "this email is taken");

    let problem = sign_up("nowhere").await.problem(422, "/api/users");
    let errors = json!([
        { "pointer": "/email", "detail": "an email address is needed" },
        { "pointer": "/password", "detail": "8 to 128 characters" },
    ]);
    assert_eq!(problem["errors"], errors);

    let answer = sign_up("busy@example.org").await;
    answer.problem(503, "/api/users");
    assert_eq!(answer.header("retry-after"), "7");

    let answer = sign_up("crash@example.org").await;
    answer.problem(500, "/api/users");
    assert!(
        !String::from_utf8_lossy(&answer.body).contains("secret"),
        "{answer:?}"
    );
}

/// One row for each code of gRPC: what a service behind can answer, and what it is outside.
#[tokio::test]
async fn every_code_of_grpc_has_its_problem() {
    let gateway = TestGateway::healthy().await;
    let sign_up = |email: String| gateway.post("/api/users").json(&new_user(&email)).send();
    for (code, status, is_told) in [
        (Code::Ok, 500, false),
        (Code::Cancelled, 503, false),
        (Code::Unknown, 502, false),
        (Code::InvalidArgument, 400, true),
        (Code::DeadlineExceeded, 504, false),
        (Code::NotFound, 404, false),
        (Code::AlreadyExists, 409, true),
        (Code::PermissionDenied, 403, false),
        (Code::ResourceExhausted, 503, false),
        (Code::FailedPrecondition, 409, true),
        (Code::Aborted, 409, true),
        (Code::OutOfRange, 400, true),
        (Code::Unimplemented, 502, false),
        (Code::Internal, 500, false),
        (Code::Unavailable, 503, false),
        (Code::DataLoss, 500, false),
        (Code::Unauthenticated, 401, false),
    ] {
        let answer = sign_up(format!("code-{}@example.org", code as i32)).await;
        let problem = answer.problem(status, "/api/users");
        let told = problem["detail"] == format!("the message of {code:?}");
        assert_eq!(told, is_told, "{code:?}: {problem}");
        let retry = if status == 503 { "1" } else { "" };
        assert_eq!(answer.header("retry-after"), retry, "{code:?}");
    }

    // Used up by the caller, and not too much for the service.
    let answer = sign_up("quota@example.org".to_owned()).await;
    let problem = answer.problem(429, "/api/users");
    assert_eq!(answer.header("retry-after"), "9");
    assert_eq!(problem["detail"], "slow down");

    let answer = sign_up("range@example.org".to_owned()).await;
    let problem = answer.problem(422, "/api/users");
    assert_eq!(
        problem["errors"],
        json!([{ "pointer": "/name", "detail": "too long" }])
    );
}

#[tokio::test]
async fn signing_in_answers_a_token_that_works() {
    let gateway = TestGateway::healthy().await;
    let credentials = |password| json!({ "email": "ann@example.org", "password": password });
    let answer = gateway
        .post("/api/sessions")
        .json(&credentials("correct horse"))
        .send()
        .await;
    let session = answer.ok(201);
    assert_eq!(
        (&session["token_type"], &session["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = session["access_token"].as_str().unwrap();
    let me = gateway
        .get("/api/users/me")
        .token(token)
        .send()
        .await
        .ok(200);
    assert_eq!(me["id"], Uuid::max().to_string());

    let answer = gateway
        .post("/api/sessions")
        .json(&credentials("wrong"))
        .send()
        .await;
    let problem = answer.problem(401, "/api/sessions");
    assert_eq!(problem["title"], "The email or the password is wrong");
}

#[tokio::test]
async fn users_see_themselves_and_admins_see_all() {
    let gateway = TestGateway::healthy().await;
    let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
    let (customer, admin) = (token_for(id, CUSTOMER), token_for(other, ADMIN));
    let path = format!("/api/v1/users/{id}");
    assert_eq!(
        gateway.get(&path).token(&customer).send().await.ok(200)["id"],
        id.to_string()
    );
    assert_eq!(
        gateway.get(&path).token(&admin).send().await.ok(200)["id"],
        id.to_string()
    );

    // Somebody else's, one that does not exist, and what cannot exist are all the same.
    let nobody = format!("/api/users/{}", Uuid::nil());
    for path in [&format!("/api/users/{other}"), &nobody, "/api/users/17"] {
        let problem = gateway
            .get(path)
            .token(&customer)
            .send()
            .await
            .problem(404, path);
        assert_eq!(problem["detail"], Value::Null);
    }
    gateway
        .get(&nobody)
        .token(&admin)
        .send()
        .await
        .problem(404, &nobody);
}

#[tokio::test]
async fn orders_of_a_user_come_in_pages() {
    let gateway = TestGateway::healthy().await;
    let id = Uuid::now_v7();
    let token = token_for(id, CUSTOMER);
    let path = format!("/api/users/{id}/orders");
    let page = gateway
        .get(&format!("{path}?page_size=7"))
        .token(&token)
        .send()
        .await
        .ok(200);
    assert_eq!(page["next_page_token"], "after-7");
    assert_eq!(
        page["orders"],
        json!([{
            "id": Uuid::max(), "user_id": id, "status": "pending", "total_amount": 500, "currency": "EUR",
            "items": [{ "product_id": Uuid::nil(), "quantity": 2, "unit_price": 250 }],
            "created_at": "2023-11-14T22:13:20Z", "updated_at": "2023-11-14T22:13:20Z",
        }])
    );
    let page = gateway
        .get(&format!("{path}?page_token=after-7"))
        .token(&token)
        .send()
        .await
        .ok(200);
    assert_eq!(page["next_page_token"], Value::Null);

    for (query, hint) in [
        ("page_size=0", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=ten", "page_size"),
        ("page_token=bad", "page_token"),
    ] {
        let answer = gateway
            .get(&format!("{path}?{query}"))
            .token(&token)
            .send()
            .await;
        let detail = answer.problem(400, &path)["detail"].to_string();
        assert!(detail.contains(hint), "{query}: {detail}");
    }
    let others = format!("/api/users/{}/orders", Uuid::now_v7());
    gateway
        .get(&others)
        .token(&token)
        .send()
        .await
        .problem(404, &others);
}

#[tokio::test]
async fn only_admins_list_users() {
    let (users, _) = FakeUsers {
        listed: 3,
        ..Default::default()
    }
    .serve()
    .await;
    let gateway = start(users, FakeShop::default().serve().await, &[]).await;
    let customer = token_for(Uuid::now_v7(), CUSTOMER);
    gateway
        .get("/api/users")
        .token(&customer)
        .send()
        .await
        .problem(403, "/api/users");
    let admin = token_for(Uuid::now_v7(), ADMIN);
    let answer = gateway.get("/api/users").token(&admin).send().await;
    assert_eq!(answer.body.iter().filter(|b| **b == b'\n').count(), 3);
}
