//! A client whose answers get lost sends its orders again: with an `Idempotency-Key`, and without.
//!
//! ```sh
//! cargo run -p scenarios --example idempotency_key
//! cargo run -p scenarios --example idempotency_key -- without
//! ```
//!
//! The shop is the real one, `agora up` in a process of its own.
#![allow(clippy::print_stdout, reason = "the figures")]

use std::collections::HashSet;
use std::process::ExitCode;

use scenarios::Marketplace;
use scenarios::embedded::{CHILD, Embedded};
use scenarios::shop::one_line;
use uuid::Uuid;

const WISHES: usize = 10;
/// A client on a bad network: the answers to its first two tries never come through.
const TRIES: usize = 3;

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() {
        return agora::main();
    }
    let without = std::env::args().nth(1).as_deref() == Some("without");
    let marketplace = Embedded::start(&[]);
    let (shop, customer) = (marketplace.shop(), marketplace.shop().customer());
    let body = one_line(&shop.product(), 1);
    let (mut orders, mut replayed) = (HashSet::new(), 0);
    for _ in 0..WISHES {
        // region: client
        // One key for each wish, made before the first try and kept over all of them.
        let key = Uuid::new_v4().to_string();
        let headers = [("idempotency-key", key.as_str())];
        let headers = if without { &[][..] } else { &headers[..] };
        for _ in 0..TRIES {
            let answer = shop.try_post("/api/orders", Some(&customer.token), headers, &body);
            let Ok(answer) = answer else { continue };
            replayed += usize::from(answer.header("idempotency-replayed") == Some("true"));
            orders.insert(answer.expect(201).id());
        }
        // endregion: client
    }
    let title = if without {
        "without a key"
    } else {
        "with a key"
    };
    println!("{title}: {WISHES} wishes, each sent {TRIES} times");
    println!("  orders   {:>3}", orders.len());
    println!("  replayed {replayed:>3}");
    ExitCode::SUCCESS
}
