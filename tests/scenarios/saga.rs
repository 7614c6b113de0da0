//! No order hangs because something downstream forgot it.

use scenarios::{Marketplace, wait};

use crate::database::execute;

/// Lets the first event of every order fall on the floor: committed by the service, seen by nobody.
const DROP_FIRST_EVENTS: &str = "
    CREATE FUNCTION drop_first() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE headers text := outbox_headers(NEW.headers, NEW.key);
    BEGIN
        IF headers LIKE '%agora.order.placed.v1%' AND headers ~ 'ce_sequence\"[,:] ?\"1\"' THEN
            RETURN NULL;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER drop_first BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION drop_first()";

const STOP_DROPPING: &str = "DROP TRIGGER drop_first ON outbox; DROP FUNCTION drop_first()";

/// The saga's deadline is short: see the list in lists.rs.
pub(crate) fn lost_event_is_asked_for_again(marketplace: &mut dyn Marketplace) {
    let shop = marketplace.shop();
    let tap = marketplace.tap(&["order-events"]);
    let orders = marketplace.database("orders");
    execute(&orders, DROP_FIRST_EVENTS);

    let customer = shop.customer();
    let product = &shop.catalogue()[0];
    let (id, before) = (
        product["id"].as_str().expect("an id"),
        product["available"].as_i64().expect("pieces"),
    );
    let order = shop.order(&customer, id, 1).expect(201).id();
    let other = shop.order(&customer, id, 1).expect(201).id();
    for order in [&order, &other] {
        assert_eq!(shop.settled(&customer, order)["status"], "confirmed");
    }
    execute(&orders, STOP_DROPPING);
    assert_eq!(shop.available(id), before - 2, "each counts once");

    let history = wait::until("the confirmation on the stream", || {
        let history: Vec<_> = tap
            .records()
            .into_iter()
            .filter(|r| r.key == order)
            .map(|r| (r.header("ce_type").to_owned(), r.sequence()))
            .collect();
        history
            .iter()
            .any(|(kind, _)| kind == "agora.order.confirmed.v1")
            .then_some(history)
    });
    assert!(
        !history.iter().any(|(_, sequence)| *sequence == 1),
        "the first was lost: {history:?}"
    );
    let confirmed = history
        .iter()
        .filter(|(kind, _)| kind == "agora.order.confirmed.v1")
        .count();
    assert_eq!(confirmed, 1, "{history:?}");

    // Also where services share a process, nothing that they begin by themselves shares a trace.
    let trace = |order: &str| {
        let asked = &tap.of_key(order, 1)[0];
        asked.header("ce_traceparent")[3..35].to_owned()
    };
    assert_ne!(trace(&order), trace(&other));
}
