//! Engines that freeze, die, restart and come late while orders come in.

use std::time::Duration;

use scenarios::compose::{Compose, SERVICES};
use scenarios::{Marketplace, wait};

use crate::database::mails_sent;
use crate::ledger::{Ledger, PACE, Refusals};

/// How long Kafka is away.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long the engines let the services wait.
const LATE: Duration = Duration::from_secs(30);
/// How long after RabbitMQ is back mails may take to flow again.
const MAIL_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn kafka_frozen_refuses_no_order(compose: &mut Compose) {
    without_kafka(compose, "pause", "unpause");
}

pub(crate) fn kafka_killed_refuses_no_order(compose: &mut Compose) {
    without_kafka(compose, "kill", "start");
}

fn without_kafka(compose: &mut Compose, away: &str, back: &str) {
    let mut ledger = Ledger::open(compose).paced(PACE);
    ledger.orders_while(compose, Refusals::NONE, |compose, ledger| {
        compose.run(&[away, "kafka"]);
        let before = ledger.accepted();
        // The length of the outage is the point: there is no condition to wait for.
        std::thread::sleep(OUTAGE);
        assert!(ledger.accepted() > before, "orders are accepted meanwhile");
        compose.run(&[back, "kafka"]);
        compose.until_healthy();
    });
    ledger.assert_balanced(compose, &format!("Kafka: {away}"));
}

pub(crate) fn rabbitmq_restarted_loses_no_mail(compose: &mut Compose) {
    let mut ledger = Ledger::open(compose).paced(PACE);
    ledger.orders_while(compose, Refusals::NONE, |compose, _| {
        compose.run(&["restart", "rabbitmq"]);
        until_rabbitmq_is_up(compose);
        let log = compose.database("notifications");
        let before = wait::until("a count of mails", || mails_sent(&log, None));
        wait::until_within(MAIL_PATIENCE, "mails to flow again", || {
            (mails_sent(&log, None)? > before).then_some(())
        });
    });
    compose.until_healthy();
    ledger.assert_balanced(compose, "RabbitMQ restarted");
}

/// Not until the services have noticed: how fast they do is what is measured.
fn until_rabbitmq_is_up(compose: &Compose) {
    let [container] = &compose.containers("rabbitmq")[..] else {
        panic!("one container of RabbitMQ");
    };
    wait::until("RabbitMQ to be up", || {
        let health =
            compose.docker(&["inspect", "--format", "{{.State.Health.Status}}", container]);
        (health.trim() == "healthy").then_some(())
    });
}

pub(crate) fn postgresql_restarted_is_waited_for(compose: &mut Compose) {
    let mut ledger = Ledger::open(compose).paced(PACE);
    ledger.orders_while(compose, Refusals::UNAVAILABLE, |compose, ledger| {
        let shop = compose.shop();
        compose.run(&["stop", "postgres"]);
        let refused = wait::until("a read without a database to be refused", || {
            let answer = shop.get("/api/products", None);
            (answer.status != 200).then_some(answer)
        });
        let refused = refused.expect_problem(503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        compose.run(&["start", "postgres"]);
        wait::until("reads again", || {
            (shop.get("/api/products", None).status == 200).then_some(())
        });
        let before = ledger.accepted();
        wait::until("orders again", || {
            (ledger.accepted() > before).then_some(())
        });
    });
    compose.until_healthy();
    ledger.assert_balanced(compose, "PostgreSQL restarted");
}

/// On new volumes: there is no database, no topic and no queue when the services start.
pub(crate) fn services_wait_for_engines_that_come_late(compose: &mut Compose) {
    compose.run(&["down", "--volumes"]);
    let mut services = vec!["up", "--detach", "--no-build", "--no-deps"];
    services.extend(SERVICES);
    compose.run(&services);
    // The time that they wait is the point.
    std::thread::sleep(LATE);
    for service in SERVICES {
        for container in compose.containers(service) {
            let state = compose.docker(&[
                "inspect",
                "--format",
                "{{.State.Running}} {{.RestartCount}}",
                &container,
            ]);
            assert_eq!(state.trim(), "true 0", "{service} waits and does not die");
        }
    }
    compose.run(&["up", "--detach", "--no-build"]);
    compose.until_healthy();
    let mut ledger = Ledger::open(compose);
    ledger.orders_while(compose, Refusals::NONE, |_, _| {});
    ledger.assert_balanced(compose, "late engines");
}
