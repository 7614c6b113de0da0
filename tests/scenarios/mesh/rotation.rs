//! Certificates, and the authority itself, are replaced while customers look at products and buy.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mesh::table::{DOORS, Protocol};
use scenarios::compose::Compose;
use scenarios::{Marketplace, Shop, wait};

use super::asking::{ask, at, papers, runtime};
use crate::ledger::{Ledger, Refusals};

/// Requests of the promise: none of them fails.
const REQUESTS: usize = 10_000;
const CLIENTS: usize = 8;
/// Of each caller that orders, between two orders: over a thousand of them while all is replaced.
const ORDER_PAUSE: Duration = Duration::from_millis(500);
/// How often to look at certificates: each time is some processes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// An old authority is trusted for two lives of a certificate after its last signature.
const REPLACED_MAX: Duration = Duration::from_secs(300);

/// Ends the clients, also when what is waited for does not come.
pub(super) struct Over<'a>(pub(super) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No read fails, and no order that carries an `Idempotency-Key`; nor is one there twice.
pub(crate) fn fails_no_request(compose: &mut Compose) {
    let mut ledger = Ledger::open(compose).paced(ORDER_PAUSE).keyed();
    ledger.orders_while(compose, Refusals::NONE, |compose, _| read_while(compose));
    ledger.assert_balanced(compose, "certificates and their authority");
}

/// 10,000 reads, and as many more as it takes until the sidecar of users has shown other certificates, the last of another
/// authority.
fn read_while(compose: &Compose) {
    let trusted = papers(compose, "gateway").authorities;
    let mut serials = BTreeSet::from([certificate(compose)]);
    compose.run(&["exec", "-T", "mesh-ca", "mesh", "ca", "--rotate-authority"]);
    let shop = compose.shop();
    let product = shop.product();
    let (asked, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let over = AtomicBool::new(false);
    let goes_on = || !over.load(Ordering::Relaxed) || asked.load(Ordering::Relaxed) < REQUESTS;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while goes_on() {
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !is_answered(&shop, &product) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _over = Over(&over);
        wait::until_every(LOOK_EVERY, REPLACED_MAX, "a new authority alone", || {
            serials.insert(certificate(compose));
            let now = papers(compose, "gateway").authorities;
            let is_alone = now.matches("BEGIN").count() == 1;
            (is_alone && !now.contains(trusted.trim())).then_some(())
        });
    });
    assert_eq!(failed.into_inner(), 0, "of {asked:?} requests");
    assert!(
        serials.len() > 2,
        "{} certificates were shown",
        serials.len()
    );
}

/// Through the gateway's sidecar to that of products.
fn is_answered(shop: &Shop, product: &str) -> bool {
    let answer = shop.call("GET", &format!("/api/products/{product}"), &[], None);
    answer.is_ok_and(|answer| answer.status == 200)
}

/// The certificate that users' sidecar shows to a new connection.
fn certificate(compose: &Compose) -> Vec<u8> {
    let mut doors = DOORS.into_iter();
    let door = doors.find(|door| door.service == "users" && door.protocol == Protocol::Grpc);
    let door = door.expect("a door");
    let (at, papers) = (at(compose, door), papers(compose, "gateway"));
    let heard = runtime().block_on(ask(at, door, &papers));
    heard.expect("an answer").certificate
}
