//! `GetUserOrders`: the question to the orders service and its answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::page::MAX_TOKEN_BYTES;
use contracts::{
    rest::{Order, OrderItem, OrderPage, OrderStatus},
    users::v1::{GetUserOrdersRequest, GetUserOrdersResponse},
};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::Mutex};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::app::{App, Setup, assert_unavailable, authorized, violations};

/// What the fake was asked: path, size, page token, authorization.
type Asked = Arc<Mutex<Vec<(Uuid, Option<String>, Option<String>, String)>>>;

#[derive(Deserialize)]
struct Page {
    page_size: Option<String>,
    page_token: Option<String>,
}

/// An orders service in which everybody has three orders on two pages; the page token chooses what happens.
async fn fake_orders() -> (String, Asked) {
    let asked = Asked::default();
    let router = Router::new()
        .route("/v1/users/{id}/orders", get(answer))
        .with_state(Arc::clone(&asked));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

async fn answer(
    State(asked): State<Asked>,
    Path(user_id): Path<Uuid>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .map_or("", |value| value.to_str().unwrap());
    let entry = (
        user_id,
        page.page_size,
        page.page_token.clone(),
        token.to_owned(),
    );
    asked.lock().await.push(entry);
    let problem = |status: u16| {
        let body = Json(serde_json::json!({ "title": "no", "status": status }));
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    };
    match page.page_token.as_deref() {
        None => Json(OrderPage {
            orders: vec![
                order(user_id, 3, OrderStatus::Pending),
                order(user_id, 2, OrderStatus::Rejected),
            ],
            next_page_token: Some("second page".to_owned()),
        })
        .into_response(),
        Some("second page") => Json(OrderPage {
            orders: vec![order(user_id, 1, OrderStatus::Confirmed)],
            next_page_token: None,
        })
        .into_response(),
        Some("never") => std::future::pending().await,
        Some("nonsense") => "nonsense".into_response(),
        Some(status) => problem(status.parse().unwrap_or(400)),
    }
}

fn order(user_id: Uuid, number: u128, status: OrderStatus) -> Order {
    Order {
        id: Uuid::from_u128(number),
        user_id,
        status,
        items: vec![OrderItem {
            product_id: Uuid::from_u128(7),
            quantity: 2,
            unit_price: 1_999,
        }],
        total_amount: 3_998,
        currency: "EUR".to_owned(),
        created_at: "2030-01-02T03:04:05.123456Z".parse().unwrap(),
        updated_at: "2030-01-02T03:04:06Z".parse().unwrap(),
        reason: (status == OrderStatus::Rejected).then(|| "out of stock".to_owned()),
    }
}

async fn ask(
    app: &App,
    token: &str,
    user_id: &str,
    page_size: i32,
    page_token: &str,
) -> Result<GetUserOrdersResponse, Status> {
    let request = GetUserOrdersRequest {
        user_id: user_id.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    let answer = app
        .client
        .clone()
        .get_user_orders(authorized(request, token))
        .await?;
    Ok(answer.into_inner())
}

async fn with_orders() -> (App, Asked) {
    let (url, asked) = fake_orders().await;
    let arguments = [
        format!("--orders-url={url}"),
        // What is there answers in this time on a busy machine, too.
        "--orders-client=deadline=3s".to_owned(),
    ];
    (Setup::new().with(arguments).start().await, asked)
}

#[tokio::test]
async fn orders_come_page_after_page() {
    let (app, asked) = with_orders().await;
    let (ada, token) = app.customer("ada@example.com").await;
    let first = ask(&app, &token, &ada.id, 2, "").await.unwrap();
    let second = ask(&app, &token, &ada.id, 0, &first.next_page_token)
        .await
        .unwrap();
    assert_eq!(second.next_page_token, "");

    let orders: Vec<_> = first.orders.iter().chain(&second.orders).collect();
    let shown: Vec<_> = orders
        .iter()
        .map(|order| (order.status.as_str(), order.reason.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("pending", ""),
            ("rejected", "out of stock"),
            ("confirmed", "")
        ]
    );
    let one = orders[0];
    assert_eq!(
        (one.id.as_str(), &one.user_id),
        (Uuid::from_u128(3).to_string().as_str(), &ada.id)
    );
    assert_eq!((one.total_amount, one.currency.as_str()), (3_998, "EUR"));
    let item = &one.items[0];
    assert_eq!((item.quantity, item.unit_price), (2, 1_999));
    let created = one.created_at.unwrap();
    assert_eq!(
        (created.seconds, created.nanos),
        (1_893_553_445, 123_456_000)
    );

    let id = Uuid::parse_str(&ada.id).unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(
        *asked.lock().await,
        [
            (id, Some("2".to_owned()), None, bearer.clone()),
            (
                id,
                Some("20".to_owned()),
                Some("second page".to_owned()),
                bearer
            ),
        ]
    );
}

#[tokio::test]
async fn orders_are_shown_to_their_user_and_admins_only() {
    let (app, asked) = with_orders().await;
    let (ada, _) = app.customer("ada@example.com").await;
    let (_, eves) = app.customer("eve@example.com").await;
    let admins = app.admin_token().await;

    let status = ask(&app, &eves, &ada.id, 0, "").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = ask(&app, "", &ada.id, 0, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let nobody = Uuid::now_v7().to_string();
    let status = ask(&app, &admins, &nobody, 0, "").await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(
        asked.lock().await.is_empty(),
        "the orders service was not even asked"
    );

    assert_eq!(
        ask(&app, &admins, &ada.id, 0, "")
            .await
            .unwrap()
            .orders
            .len(),
        2
    );
}

#[tokio::test]
async fn invalid_arguments_are_named() {
    let (app, _) = with_orders().await;
    let (ada, token) = app.customer("ada@example.com").await;
    for (size, page_token, field) in [
        (-1, "", "page_size"),
        (101, "", "page_size"),
        (0, "400", "page_token"),
        (0, "422", "page_token"),
    ] {
        let status = ask(&app, &token, &ada.id, size, page_token)
            .await
            .unwrap_err();
        let (code, fields) = violations(&status);
        assert_eq!(code, Code::InvalidArgument, "{status:?}");
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].0, field);
    }
}

/// It would not fit into the request to orders, so orders is not asked, and nobody failed.
#[tokio::test]
async fn a_page_token_that_nobody_gave_out_is_refused_before_orders_is_asked() {
    let (app, asked) = with_orders().await;
    let (ada, token) = app.customer("ada@example.com").await;
    for long in ["'".repeat(MAX_TOKEN_BYTES + 1), "'".repeat(30_000)] {
        let status = ask(&app, &token, &ada.id, 0, &long).await.unwrap_err();
        let (code, fields) = violations(&status);
        assert_eq!(code, Code::InvalidArgument, "{status:?}");
        assert_eq!(fields[0].0, "page_token");
    }
    assert!(asked.lock().await.is_empty());
}

#[tokio::test]
async fn failures_of_the_orders_service_have_their_status() {
    let (app, _) = with_orders().await;
    let (ada, token) = app.customer("ada@example.com").await;
    for away in ["503", "429", "504", "never", "nonsense"] {
        let status = ask(&app, &token, &ada.id, 0, away).await.unwrap_err();
        assert_unavailable(&status);
    }
    for (said, heard) in [
        ("404", Code::NotFound),
        ("401", Code::Unauthenticated),
        ("500", Code::Internal),
    ] {
        let status = ask(&app, &token, &ada.id, 0, said).await.unwrap_err();
        assert_eq!(status.code(), heard, "{said}: {status:?}");
    }
}

/// Orders has less time than users would give it, so it is nobody's failure.
#[tokio::test]
async fn a_caller_in_a_hurry_hears_that_time_was_short() {
    let (url, _) = fake_orders().await;
    let arguments = [
        format!("--orders-url={url}"),
        "--orders-client=deadline=30s,attempt=30s".to_owned(),
        "--request-timeout=3s".to_owned(),
    ];
    let app = Setup::new().with(arguments).start().await;
    let (ada, token) = app.customer("ada@example.com").await;
    for late in ["never", "504"] {
        let status = ask(&app, &token, &ada.id, 0, late).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{late}: {status:?}");
    }
}

#[tokio::test]
async fn without_an_orders_service_the_call_is_unavailable() {
    let app = App::start().await;
    let (ada, token) = app.customer("ada@example.com").await;
    let call = ask(&app, &token, &ada.id, 0, "");
    let status = tokio::time::timeout(Duration::from_secs(60), call)
        .await
        .unwrap()
        .unwrap_err();
    assert_unavailable(&status);
}
