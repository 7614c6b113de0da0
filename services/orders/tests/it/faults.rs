//! What happens while something that is needed is away.

use contracts::testing::customer;
use embedded::testing::Link;
use tonic::Status;

use crate::app::{World, eventually, wish};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_catalogue_orders_are_put_off() {
    let world = World::new().await;
    let link = Link::to(world.catalog.address).await;
    let through = format!("http://{}", link.address);
    let settings = [
        ("--products-grpc-url", through.as_str()),
        // What is there answers in this time on a busy machine, too.
        ("--products-grpc-client", "deadline=3s"),
    ];
    let orders = world.serve(&settings).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let body = wish(&[(lamp, 1)]);
    let put_off = |answer: crate::http::Answer| {
        answer.assert_problem(503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    };

    link.cut();
    put_off(orders.post_order(&buyer, &body).await);
    assert_eq!(
        orders.get(&buyer, "/v1/orders").await.status,
        200,
        "the rest goes on"
    );
    assert_eq!(
        orders.readiness().await.status,
        200,
        "and readiness does not depend on it"
    );
    link.mend();
    eventually("the catalogue is reached again", || async {
        (orders.post_order(&buyer, &body).await.status == 201).then_some(())
    })
    .await;

    for away in [
        Status::unavailable("no database"),
        Status::cancelled("broken off"),
    ] {
        world.catalog.fail(Some(away));
        put_off(orders.post_order(&buyer, &body).await);
    }
    world.catalog.fail(None);

    let hold = world.catalog.hold();
    put_off(orders.post_order(&buyer, &body).await);
    drop(hold);

    // One that is broken, or says what cannot be used, is not our fault either.
    let bad_gateway = |answer: crate::http::Answer| {
        answer.assert_problem(502);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    };
    for broken in [Status::internal("a bug"), Status::unimplemented("Quote")] {
        world.catalog.fail(Some(broken));
        bad_gateway(orders.post_order(&buyer, &body).await);
    }
    world.catalog.fail(None);
    let odd = world.catalog.product(100);
    world.catalog.set_price(odd, 100, "no currency");
    bad_gateway(orders.post_order(&buyer, &wish(&[(odd, 1)])).await);

    // A mistake in our request is not cured by waiting, and its text is not for the customer.
    world
        .catalog
        .fail(Some(Status::invalid_argument("secret of the house")));
    let answer = orders.post_order(&buyer, &body).await;
    answer.assert_problem(500);
    assert!(
        !String::from_utf8_lossy(&answer.body).contains("secret"),
        "{answer:?}"
    );

    // A token may expire between this service and the next: the customer signs in again, and nobody is broken.
    world
        .catalog
        .fail(Some(Status::unauthenticated("the token is not valid")));
    let expired = orders.post_order(&buyer, &body).await;
    expired.assert_problem(401);
    let challenge = expired.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
    world.catalog.fail(None);

    assert_eq!(orders.post_order(&buyer, &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_requests_are_put_off() {
    let world = World::new().await;
    let (link, url) = Link::to_database(&world.database.url).await;
    let orders = world.serve(&[("--database-url", &url)]).await;
    let (buyer, lamp) = (customer(), world.catalog.product(100));
    let order_id = orders.place(&buyer, lamp, 1).await;

    link.cut();
    let body = wish(&[(lamp, 1)]);
    for answer in [
        orders.post_order(&buyer, &body).await,
        orders.post_with_key(&buyer, "k", &body).await,
        orders.get(&buyer, "/v1/orders").await,
        orders.get(&buyer, &format!("/v1/orders/{order_id}")).await,
        orders
            .call(&buyer, "DELETE", &format!("/v1/orders/{order_id}"))
            .await,
    ] {
        answer.assert_problem(503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    eventually("readiness tells of it", || async {
        let readiness = orders.readiness().await;
        (readiness.status == 503).then_some(())
    })
    .await;
    // A decision that comes meanwhile is not lost.
    world.broker.reserved(order_id).await;

    link.mend();
    orders.until_status(&buyer, order_id, "confirmed").await;
    eventually("orders are taken again", || async {
        (orders.post_with_key(&buyer, "k", &body).await.status == 201).then_some(())
    })
    .await;
    eventually("readiness tells of that too", || async {
        (orders.readiness().await.status == 200).then_some(())
    })
    .await;
}
