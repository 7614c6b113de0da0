//! Nobody reaches what is not theirs.

use std::collections::BTreeSet;

use scenarios::compose::Compose;
use scenarios::{Marketplace, Shop};
use serde_json::Value;
use sqlx::{Connection, PgConnection};

/// The services that have a database.
const OWNERS: [&str; 4] = ["users", "orders", "products", "notifications"];
/// Every port that docker-compose.yml may publish, as its README lists them: service, address, port inside.
const DOCUMENTED: [(&str, &str, u64); 6] = [
    ("gateway", "", 8080),
    ("mailpit", "", 8025),
    ("postgres", "127.0.0.1", 5432),
    ("kafka", "127.0.0.1", 9094),
    ("rabbitmq", "127.0.0.1", 5672),
    ("rabbitmq", "127.0.0.1", 15672),
];

pub(crate) fn only_documented_ports_are_open(compose: &mut Compose) {
    let documented: BTreeSet<_> = DOCUMENTED
        .iter()
        .map(|&(service, address, port)| (service.to_owned(), address.to_owned(), port))
        .collect();
    assert_eq!(published(&compose.as_committed()), documented);

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
