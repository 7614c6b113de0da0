//! From what happened to what the customer reads.

use contracts::events::{OrderCancelled, OrderLine, OrderPlaced, OrderRejected, UserCreated};
use contracts::topics::{ORDER_EVENTS, USER_EVENTS};
use envelope::{Event, RawEvent};
use messaging::Message;
use uuid::Uuid;

use crate::app::{DEAD_LETTERS, TestApp, confirmed, created};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_order_is_one_mail_that_names_it() {
    let app = TestApp::start().await;
    let user = app.knows("Ada").await;
    let event = confirmed(user);
    let order = event.data.order_id;
    // The purchase as a whole: placed first, and the confirmation is delivered twice.
    let placed = OrderPlaced {
        order_id: order,
        user_id: user,
        items: vec![OrderLine {
            product_id: Uuid::now_v7(),
            quantity: 1,
            unit_price: 4_999,
        }],
        total_amount: 4_999,
        currency: "EUR".into(),
    };
    app.publish(ORDER_EVENTS, &Event::new(placed)).await;
    app.publish(ORDER_EVENTS, &event).await;
    app.publish(ORDER_EVENTS, &event).await;
    // Behind all of them in the same partition, so everything before it is dealt with.
    let last = OrderCancelled {
        order_id: order,
        user_id: user,
    };
    app.publish(ORDER_EVENTS, &Event::new(last)).await;
    app.until_mails(2).await;
    app.until_idle().await;

    let mails = app.mails();
    assert_eq!(mails.len(), 2, "{mails:#?}");
    let mail = mails
        .iter()
        .find(|mail| mail.subject().contains("confirmed"))
        .unwrap();
    assert_eq!(mail.subject(), format!("Your order {order} is confirmed"));
    assert!(
        mail.body.contains(&order.to_string()) && mail.body.contains("49.99 EUR"),
        "{}",
        mail.body
    );
    assert!(mail.body.starts_with("Hello Ada,\r\n"), "{}", mail.body);
    assert_eq!(mail.header("To"), "Ada <ada@example.com>");
    assert_eq!(mail.header("From"), "Agora <hello@agora.example>");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_says_why_and_a_cancellation_says_so() {
    let app = TestApp::start().await;
    let user = app.knows("Ada").await;
    let (rejected, cancelled) = (Uuid::now_v7(), Uuid::now_v7());
    let event = OrderRejected {
        order_id: rejected,
        user_id: user,
        reason: "only 1 Lamp left".into(),
    };
    app.publish(ORDER_EVENTS, &Event::new(event)).await;
    app.publish(
        ORDER_EVENTS,
        &Event::new(OrderCancelled {
            order_id: cancelled,
            user_id: user,
        }),
    )
    .await;
    let mails = app.until_mails(2).await;
    let about = |order: Uuid| {
        mails
            .iter()
            .find(|mail| mail.subject().contains(&order.to_string()))
            .unwrap()
    };
    assert!(
        about(rejected).body.contains("Reason: only 1 Lamp left"),
        "{}",
        about(rejected).body
    );
    assert!(about(cancelled).subject().contains("cancelled"));
    app.stop().await;
}

/// Two topics have no order between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_may_be_known_before_its_customer() {
    let app = TestApp::start().await;
    let user = created("Ada");
    let order = app.confirms(user.user_id).await;
    app.until("a first try", || async {
        sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT FROM mq_message WHERE queue = 'email.jobs' AND attempts > 0)",
        )
        .fetch_one(&app.world.queue_db)
        .await
        .unwrap()
    })
    .await;
    assert!(app.mails().is_empty());
    app.publish("user-events", &Event::new(user)).await;
    let mails = app.until_mails(1).await;
    assert!(mails[0].subject().contains(&order.to_string()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_up_is_welcomed_once() {
    let app = TestApp::start().await;
    let event = Event::new(created("Grace"));
    app.announces(&event).await;
    app.announces(&event).await;
    // The same event is on the stream too: it must not count as the welcome's.
    app.publish("user-events", &event).await;
    app.until_mails(1).await;
    app.until_idle().await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].subject(), mails[0].header("To")),
        ("Welcome to Agora", "Grace <grace@example.com>")
    );
    app.stop().await;
}

/// What cannot be read is parked with its reason, and those behind it are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_does_not_block_its_neighbours() {
    let app = TestApp::start().await;
    let user = app.knows("Ada").await;
    let event = confirmed(user);
    let key = event.subject.clone();
    app.publish_raw(ORDER_EVENTS, Message::new("not an event").with_key(&key))
        .await;
    let mut broken = event.to_binary(envelope::KAFKA_PREFIX).unwrap();
    broken.body = br#"{"order_id": 7}"#.to_vec().into();
    app.publish_raw(
        ORDER_EVENTS,
        Message {
            key: Some(key),
            headers: broken.headers,
            payload: broken.body,
        },
    )
    .await;
    app.publish(ORDER_EVENTS, &event).await;
    let mails = app.until_mails(1).await;
    assert!(
        mails[0]
            .subject()
            .contains(&event.data.order_id.to_string())
    );
    let parked =
        crate::running::read_topic(app.world.kafka.bootstrap_servers(), DEAD_LETTERS, 2).await;
    assert!(
        parked
            .iter()
            .all(|delivery| delivery.header("dlq_reason").is_some()),
        "{parked:?}"
    );
    app.stop().await;
}

/// Whoever may write to a broker cannot send a customer's mail elsewhere: only users says who a user is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_sign_up_redirects_no_mail() {
    let app = TestApp::start().await;
    let victim = created("Ada");
    let user = victim.user_id;
    app.publish(USER_EVENTS, &Event::new(victim.clone())).await;
    let mut forged = Event::new(UserCreated {
        email: "mallory@example.com".into(),
        ..victim
    });
    forged.source = "/services/orders".into();
    app.publish(USER_EVENTS, &forged).await;
    app.announces(&forged).await;
    let parked = crate::running::read_topic(
        app.world.kafka.bootstrap_servers(),
        "user-events.notifications.dlq",
        1,
    )
    .await;
    let reason = parked[0].header("dlq_reason").unwrap();
    assert!(
        reason.contains("from /services/users only") && reason.contains("/services/orders"),
        "{reason}"
    );
    // Both subscribers of the exchange park theirs, too.
    app.until("two parked copies", || async {
        app.count(
            "SELECT count(*) FROM mq_message WHERE queue LIKE 'user.created.%.dead'",
            &app.world.queue_db,
        )
        .await
            == 2
    })
    .await;
    // Those behind it go on.
    let grace = app.knows("Grace").await;
    app.confirms(user).await;
    app.confirms(grace).await;
    app.until_mails(2).await;
    app.until_idle().await;
    let mut to: Vec<_> = app
        .mails()
        .iter()
        .map(|mail| mail.header("To").to_owned())
        .collect();
    to.sort();
    assert_eq!(to, ["Ada <ada@example.com>", "Grace <grace@example.com>"]);
    app.stop().await;
}

/// The job follows from the fact, in the same trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_names_its_cause() {
    let world = crate::app::World::new().await;
    let app = world.run(None).await;
    let event = confirmed(Uuid::now_v7());
    app.publish(ORDER_EVENTS, &event).await;
    // Nobody knows the customer, so the job stays in the queue.
    app.until("the job", || async { app.queued("email.jobs").await == 1 })
        .await;
    let (headers, payload): (sqlx::types::Json<Vec<(String, String)>>, Vec<u8>) =
        sqlx::query_as("SELECT headers, payload FROM mq_message WHERE queue = 'email.jobs'")
            .fetch_one(&app.world.queue_db)
            .await
            .unwrap();
    let headers = headers
        .0
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let job = RawEvent::from_binary(envelope::AMQP_PREFIX, headers, &payload).unwrap();
    assert_eq!(job.event_type, "agora.email.requested.v1");
    assert_eq!(
        (job.causation_id, job.correlation_id),
        (Some(event.id), event.correlation_id)
    );
    app.stop().await;
}
