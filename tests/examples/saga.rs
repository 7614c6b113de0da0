//! Orders whose first event got lost on the way: with the saga's deadline, and without.
//!
//! ```sh
//! cargo run -p scenarios --example saga
//! cargo run -p scenarios --example saga -- without
//! ```
//!
//! The shop is the real one, `agora up` in a process of its own. The events get lost by a trigger on the outbox of orders:
//! what a broker that lost its disk or a consumer that parked the message would do.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::process::ExitCode;
use std::time::Duration;

use scenarios::embedded::{CHILD, Embedded};
use scenarios::{Marketplace, wait};
use sqlx::{Connection, PgConnection};

const ORDERS: usize = 40;
/// Every fourth question for stock is lost.
const LOSE: &str = "
    CREATE SEQUENCE asked;
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE headers text := outbox_headers(NEW.headers, NEW.key);
    BEGIN
        IF headers LIKE '%agora.order.placed.v1%' AND headers ~ 'ce_sequence\"[,:] ?\"1\"'
           AND nextval('asked') % 4 = 0 THEN
            RETURN NULL;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER lose BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION lose()";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    // An hour is as good as never.
    let (title, deadline) = match std::env::args().nth(1).as_deref() {
        Some("without") => ("without a deadline", "1h"),
        _ => ("a deadline of 1 s", "1s"),
    };
    let shop = Embedded::start(&[("SAGA_DEADLINE", deadline)]);
    execute(&shop.database("orders"));
    let (pending, taken) = play(&shop, deadline == "1s");
    println!("{title}: {ORDERS} orders, every fourth event was lost");
    println!("  confirmed       {:>3}", ORDERS - pending);
    println!("  pending         {pending:>3}");
    println!("  pieces reserved {taken:>3}");
    ExitCode::SUCCESS
}

/// How many orders are pending at the end, and how many pieces were reserved.
fn play(marketplace: &Embedded, all: bool) -> (usize, i64) {
    let (shop, customer) = (marketplace.shop(), marketplace.shop().customer());
    let catalogue = shop.catalogue();
    let plenty = catalogue.iter().max_by_key(|p| p["available"].as_i64());
    let product = plenty.and_then(|p| p["id"].as_str()).expect("a product");
    let before = shop.available(product);
    for _ in 0..ORDERS {
        let _placed = shop.order(&customer, product, 1).expect(201);
    }
    let pending = || {
        let path = format!("/api/users/{}/orders?page_size=100", customer.id);
        let answer = shop.get(&path, Some(&customer.token)).expect(200).json;
        let orders = answer["orders"].as_array().expect("orders");
        orders.iter().filter(|o| o["status"] == "pending").count()
    };
    let left = if all { 0 } else { ORDERS / 4 };
    wait::until("the others to be confirmed", || {
        (pending() <= left).then_some(())
    });
    if !all {
        // Three times as long as the deadline that would have asked again: nobody does.
        std::thread::sleep(Duration::from_secs(3));
    }
    (pending(), before - shop.available(product))
}

fn execute(database: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let connection = PgConnection::connect(database).await;
        let mut connection = connection.expect("the database of orders");
        let done = sqlx::raw_sql(LOSE).execute(&mut connection).await;
        done.expect("a trigger");
    });
}
