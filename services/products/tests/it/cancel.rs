//! An order is cancelled: what it held is for sale again, once.

use uuid::Uuid;

use crate::app::TestApp;
use crate::broker::{What, cancelled, placed};
use crate::goods::{KETTLE, PAN, RADIO};

#[tokio::test(flavor = "multi_thread")]
async fn stock_comes_back_once() {
    let app = TestApp::start().await;
    let order = app.broker.place(&[(KETTLE, 40), (PAN, 20)]).await;
    app.broker.answers(order, 1).await;
    assert_eq!(
        (app.available(KETTLE).await, app.available(PAN).await),
        (200, 300)
    );

    let event = cancelled(order);
    app.broker.publish(&event).await;
    // The same event again, and the same news in another event.
    app.broker.publish(&event).await;
    app.broker.publish(&cancelled(order)).await;
    let answers = app.broker.answers(order, 2).await;
    assert_eq!(answers[1].what, What::Released);
    assert_eq!(answers[1].event.event_type, "agora.stock.released.v1");
    assert_eq!(answers[1].event.sequence, Some(2));
    assert_eq!(answers[1].event.causation_id, Some(event.id));
    assert_eq!(answers[1].event.correlation_id, order);

    let fence = app.broker.place(&[(RADIO, 1)]).await;
    app.broker.answer(fence).await;
    assert_eq!(
        (app.available(KETTLE).await, app.available(PAN).await),
        (240, 320)
    );
    assert_eq!(app.version(order).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_gives_nothing_back() {
    let app = TestApp::start().await;
    let order = app.broker.place(&[(KETTLE, 1), (RADIO, 4)]).await;
    app.broker.answers(order, 1).await;
    app.broker.publish(&cancelled(order)).await;
    let fence = app.broker.place(&[(PAN, 1)]).await;
    app.broker.answer(fence).await;
    assert_eq!(
        (app.available(KETTLE).await, app.available(RADIO).await),
        (240, 3)
    );
    assert_eq!(app.version(order).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_cancelled_first_reserves_nothing() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.broker.publish(&cancelled(order)).await;
    app.broker.publish(&cancelled(order)).await;
    app.broker.publish(&placed(order, &[(KETTLE, 5)])).await;
    // Whoever asks gets an answer and does not wait for ever.
    let answers = app.broker.answers(order, 1).await;
    assert_eq!(
        answers[0].what,
        What::Rejected("the order was cancelled".to_owned())
    );
    assert_eq!(answers[0].event.sequence, Some(1));
    assert_eq!(app.available(KETTLE).await, 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_order_is_not_reserved_again() {
    let app = TestApp::start().await;
    let order = app.broker.place(&[(KETTLE, 5)]).await;
    app.broker.publish(&cancelled(order)).await;
    app.broker.publish(&placed(order, &[(KETTLE, 5)])).await;
    let answers: Vec<_> = app
        .broker
        .answers(order, 3)
        .await
        .into_iter()
        .map(|answer| answer.what)
        .collect();
    let late = What::Rejected("the order was cancelled".to_owned());
    assert_eq!(answers, [What::Reserved, What::Released, late]);
    assert_eq!(app.available(KETTLE).await, 240);
}
