//! Variables that a developer has for other programs.

use crate::support::{Market, Place, status};

/// Each of the first ones stops, or misleads, whatever takes a default from it.
const HOSTILE: [(&str, &str); 27] = [
    ("PGSSLMODE", "verify-full"),
    ("PGSSLROOTCERT", "/nowhere/root.crt"),
    ("PGSSLCERT", "/nowhere/client.crt"),
    ("PGSSLKEY", "/nowhere/client.key"),
    (
        "PGOPTIONS",
        "-c search_path=nowhere -c default_transaction_read_only=on",
    ),
    ("PGHOST", "192.0.2.1"),
    ("PGHOSTADDR", "192.0.2.1"),
    ("PGPORT", "1"),
    ("PGUSER", "nobody"),
    ("PGPASSWORD", "wrong"),
    ("PGPASSFILE", "/nowhere/pgpass"),
    ("PGDATABASE", "nowhere"),
    ("PGAPPNAME", "another"),
    ("PGSERVICE", "nowhere"),
    ("PGDATA", "/nowhere"),
    ("PGTZ", "Mars/Olympus"),
    ("PGCLIENTENCODING", "nothing"),
    ("PGCONNECT_TIMEOUT", "never"),
    ("OTEL_SDK_DISABLED", "true"),
    ("OTEL_TRACES_SAMPLER", "always_off"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nowhere"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "not a header"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
    // Of services, but here for the examples of RabbitMQ and for services of a cluster. Whoever reads them stops.
    ("AMQP_URL", "nowhere"),
    ("DEAD_LETTERS_DATABASE_URL", "nowhere"),
    // Whoever reads this is never ready.
    ("SIDECAR", "127.0.0.1:1"),
];

#[test]
fn a_developers_shell_changes_nothing() {
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    command
        .envs(HOSTILE)
        // So that the exporter is made, too; nobody is there, which is nothing that stops it.
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let mut market = Market::start_with(&place, command);
    let products = format!("{}/api/products", market.endpoint("gateway"));
    assert_eq!(status(&products), 200);
    // It is the process that was started, not a child of it: signals and waiting work as ever.
    market.stop();
}
