//! A retried `POST` with the same `Idempotency-Key` creates one order.

use std::collections::BTreeSet;

use scenarios::shop::one_line;
use scenarios::wait;

use crate::stage::Open;

/// How many callers use one key at the same time.
const PARALLEL: usize = 50;

pub(crate) fn one_key_one_order(open: &Open<'_>) {
    let shop = open.shop();
    let (product, before) = open.product(10);
    let customer = shop.customer();
    let key = uuid::Uuid::new_v4().to_string();
    let headers = [("idempotency-key", key.as_str())];
    let body = one_line(&product, 1);
    let post = || {
        let answer = shop.try_post("/api/orders", Some(&customer.token), &headers, &body);
        answer.expect("an answer")
    };

    let answers: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(post)).collect();
        callers
            .into_iter()
            .map(|caller| caller.join().expect("a caller"))
            .collect()
    });
    let mut created = BTreeSet::new();
    let mut originals = 0;
    for answer in answers {
        if answer.status == 409 {
            // The first one was still running.
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
            let _ = answer.expect_problem(409);
            continue;
        }
        originals += usize::from(answer.header("idempotency-replayed").is_none());
        created.insert(answer.expect(201).text);
    }
    assert_eq!(created.len(), 1, "one answer, to the byte: {created:?}");
    assert_eq!(originals, 1, "all others are marked as replays");

    let replay = post().expect(201);
    assert_eq!(replay.header("idempotency-replayed"), Some("true"));
    assert!(created.contains(&replay.text));
    let id = replay.id();
    assert_eq!(
        replay.header("location"),
        Some(format!("/api/orders/{id}").as_str())
    );

    let other = one_line(&product, 2);
    let refused = shop.try_post("/api/orders", Some(&customer.token), &headers, &other);
    let _ = refused.expect("an answer").expect_problem(422);

    // A key belongs to its user: somebody else may use the same one.
    let stranger = shop.customer();
    let theirs = shop.try_post("/api/orders", Some(&stranger.token), &headers, &body);
    let theirs = theirs.expect("an answer").expect(201).id();
    assert_ne!(theirs, id);

    let path = format!("/api/users/{}/orders", customer.id);
    let orders = shop.get(&path, Some(&customer.token)).expect(200).json;
    assert_eq!(orders["orders"].as_array().expect("orders").len(), 1);
    assert_eq!(shop.settled(&customer, &id)["status"], "confirmed");
    assert_eq!(shop.settled(&stranger, &theirs)["status"], "confirmed");
    wait::until("two pieces to be gone", || {
        (shop.available(&product) == before - 2).then_some(())
    });
}
