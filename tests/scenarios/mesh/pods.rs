//! Pods that end and come back while customers read and buy: a service and then its sidecar, which starts first, as in Kubernetes.

use mesh::table;
use scenarios::Marketplace;
use scenarios::compose::Compose;

use super::asking::only_container;
use crate::compose::services::{assert_ended_well, until_more};
use crate::ledger::{Ledger, PACE, Refusals};

/// The services of which somebody else can stand in for a pod: another instance, or nobody, since no customer's request waits for it.
/// Of the gateway the overlay has one, and nobody stands in front of it.
const SERVICES: [&str; 5] = [
    "users",
    "orders",
    "products",
    "notifications",
    "observatory",
];

/// No read fails meanwhile, and no order that carries an `Idempotency-Key`.
pub(crate) fn one_by_one_fail_nothing(compose: &mut Compose) {
    let mut ledger = Ledger::open(compose).paced(PACE).reading().keyed();
    for pod in SERVICES.into_iter().flat_map(table::instances) {
        ledger.orders_while(compose, Refusals::NONE, |compose, ledger| {
            let service = only_container(compose, &pod);
            let sidecar = only_container(compose, &format!("{pod}-sidecar"));
            let stopped = compose.stop_container(&service);
            assert_ended_well(compose, &stopped);
            // It has nothing left to carry, so only its time is of interest.
            let stopped = compose.stop_container(&sidecar);
            assert!(stopped.took <= compose.stop_max(), "{stopped:?}");
            until_more(ledger, &format!("the pod of {pod} is gone"));
            for container in [&sidecar, &service] {
                compose.docker(&["start", container]);
            }
            compose.until_healthy();
            until_more(ledger, &format!("the pod of {pod} is back"));
        });
    }
    ledger.assert_balanced(compose, "pods, one by one");
}
