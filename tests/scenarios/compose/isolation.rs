//! Nobody reaches what is not theirs.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, FutureProducer, FutureRecord, Producer as _};
use scenarios::compose::Compose;
use scenarios::tap::Brokers;
use scenarios::{Marketplace, Shop};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

/// The services that have a database.
const OWNERS: [&str; 4] = ["users", "orders", "products", "notifications"];
/// What an account may write: one topic of facts, and the dead letters of its own group, there and on their way back.
const WRITES: [(&str, &[&str]); 4] = [
    ("users", &["user-events"]),
    (
        "orders",
        &[
            "order-events",
            "stock-events.orders.dlq",
            "stock-events.orders.retry",
        ],
    ),
    (
        "products",
        &[
            "stock-events",
            "order-events.products.dlq",
            "order-events.products.retry",
        ],
    ),
    (
        "notifications",
        &[
            "order-events.notifications.dlq",
            "user-events.notifications.dlq",
            "order-events.notifications.retry",
            "user-events.notifications.retry",
        ],
    ),
];
/// The longest wait for an answer of the broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Every port that docker-compose.yml may publish, as its README lists them: service, address, port inside.
const DOCUMENTED: [(&str, &str, u64); 10] = [
    ("gateway", "127.0.0.1", 8080),
    ("observatory", "127.0.0.1", 8095),
    ("mailpit", "127.0.0.1", 8025),
    ("postgres", "127.0.0.1", 5432),
    ("kafka", "127.0.0.1", 9094),
    ("rabbitmq", "127.0.0.1", 5672),
    ("rabbitmq", "127.0.0.1", 15672),
    ("prometheus", "127.0.0.1", 9090),
    ("grafana", "127.0.0.1", 3000),
    ("jaeger", "127.0.0.1", 16686),
];

pub(crate) fn only_documented_ports_are_open(compose: &mut Compose) {
    let documented: BTreeSet<_> = DOCUMENTED
        .iter()
        .map(|&(service, address, port)| (service.to_owned(), address.to_owned(), port))
        .collect();
    let file = compose.as_committed();
    assert_eq!(published(&file), documented);
    // Whoever holds the engine's socket holds the machine.
    let mounted = mounted(&file);
    assert!(
        !mounted.iter().any(|path| path.contains(".sock")),
        "{mounted:?}"
    );

    // And the containers do what the file says: none but these has a port, but for the scenarios' own doors.
    let own = ["users", "orders"];
    let open: BTreeSet<_> = DOCUMENTED.iter().map(|(service, ..)| *service).collect();
    for service in OWNERS.into_iter().filter(|name| !own.contains(name)) {
        assert!(!open.contains(service));
        for container in compose.containers(service) {
            let ports = compose.docker(&["port", &container]);
            assert_eq!(ports.trim(), "", "{service} has no port on this machine");
        }
    }
}

/// What services have of this machine's files.
fn mounted(file: &Value) -> Vec<String> {
    let services = file["services"].as_object().expect("services");
    let mounts = services
        .values()
        .flat_map(|service| service["volumes"].as_array().into_iter().flatten());
    let paths = mounts.filter_map(|mount| mount["source"].as_str());
    paths.map(str::to_owned).collect()
}

fn published(file: &Value) -> BTreeSet<(String, String, u64)> {
    let mut published = BTreeSet::new();
    for (name, service) in file["services"].as_object().expect("services") {
        assert!(
            service["network_mode"].is_null(),
            "{name} is in a network of its own"
        );
        for port in service["ports"].as_array().into_iter().flatten() {
            let address = port["host_ip"].as_str().unwrap_or_default().to_owned();
            let inside = port["target"].as_u64().expect("a port");
            published.insert((name.clone(), address, inside));
        }
    }
    published
}

pub(crate) fn no_service_reads_anothers_database(compose: &mut Compose) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for role in OWNERS {
            let own = compose.database(role);
            PgConnection::connect(&own).await.expect("its own database");
            let (server, _) = own.rsplit_once('/').expect("a database's name");
            for other in OWNERS.into_iter().filter(|other| *other != role) {
                let url = format!("{server}/{other}");
                let refused = PgConnection::connect(&url).await.expect_err(&url);
                let code = refused.as_database_error().and_then(|error| error.code());
                // insufficient_privilege
                assert_eq!(
                    code.as_deref(),
                    Some("42501"),
                    "{role} in {other}: {refused}"
                );
            }
        }
    });
    let management = Shop::new(&compose.rabbitmq_management());
    let guest = [("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")];
    let answer = management.call("GET", "/api/whoami", &guest, None);
    assert_eq!(answer.expect("an answer").status, 401, "there is no guest");
}

/// A forged `user.created` would send a customer's mail elsewhere, so only users may write `user-events`; and the kin.
pub(crate) fn no_service_writes_anothers_topic(compose: &mut Compose) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for (account, _) in WRITES {
        let producer: FutureProducer = compose
            .kafka(account)
            .client()
            .set("message.timeout.ms", "10000")
            .create()
            .expect("a producer");
        let others = WRITES.iter().filter(|(owner, _)| *owner != account);
        for topic in others.flat_map(|(_, topics)| topics.iter()) {
            let record = FutureRecord::<str, str>::to(topic).payload("forged");
            let answer = runtime.block_on(producer.send(record, BROKER_TIMEOUT));
            let (refused, _) = answer.expect_err(topic);
            assert_eq!(
                refused.rdkafka_error_code(),
                Some(RDKafkaErrorCode::TopicAuthorizationFailed),
                "{account} in {topic}: {refused}"
            );
        }
    }
    // And users reads nobody's events.
    let unread = topic_error(&compose.kafka("users"), "order-events");
    assert_eq!(
        unread,
        Ok(Some(RDKafkaErrorCode::TopicAuthorizationFailed)),
        "users in order-events"
    );
}

/// Whoever is in the network and has no account, or not its password, is told nothing.
pub(crate) fn kafka_knows_no_strangers(compose: &mut Compose) {
    let known = compose.kafka("orders");
    assert_eq!(topic_error(&known, "order-events"), Ok(None));
    let strangers = [
        None,
        Some(("orders".to_owned(), "guessed".to_owned())),
        Some(("nobody".to_owned(), "nobody-dev".to_owned())),
    ];
    // All at once: the broker answers none of them, and for that each waits.
    let answers = std::thread::scope(|scope| {
        let asked = strangers.map(|account| {
            let stranger = Brokers {
                account,
                ..known.clone()
            };
            scope.spawn(move || (topic_error(&stranger, "order-events"), stranger))
        });
        asked.map(|thread| thread.join().expect("an answer"))
    });
    for (answer, stranger) in answers {
        assert!(answer.is_err(), "{stranger:?}: {answer:?}");
    }
}

/// Asks for a topic: the topic's error, if the broker has one for us; or that it did not answer.
fn topic_error(brokers: &Brokers, topic: &str) -> Result<Option<RDKafkaErrorCode>, String> {
    let client: BaseProducer = brokers.client().create().expect("a client");
    let metadata = client
        .client()
        .fetch_metadata(Some(topic), BROKER_TIMEOUT)
        .map_err(|error| error.to_string())?;
    let topic = metadata.topics().first().ok_or("no topic")?;
    Ok(topic.error().map(RDKafkaErrorCode::from))
}
