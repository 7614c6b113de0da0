//! On a PostgreSQL server of the user's.

use crate::support::{Market, Place, status};

#[test]
fn databases_are_made_on_a_given_server() {
    let given = embedded::testing::fresh_database();
    let place = Place::new();
    let mut command = place.agora(&["up"]);
    // Hosted ones ask for a parameter, and some are given out with the database as one.
    let parameters = "sslmode=disable&dbname=postgres";
    command.env("DATABASE_URL", format!("{}?{parameters}", given.url));
    let mut market = Market::start_with(&place, command);
    assert!(
        !place.data().join("postgres").exists(),
        "no server of its own"
    );
    let orders = market.endpoints["databases"]["orders"]
        .as_str()
        .expect("a URL");
    assert!(
        orders.ends_with("/agora_orders?sslmode=disable"),
        "{orders}"
    );
    assert_eq!(
        status(&format!("{}/api/products", market.endpoint("gateway"))),
        200
    );
    market.stop();

    // The server is not ours to stop, and the next start finds everything there.
    let mut command = place.agora(&["up"]);
    command.env("DATABASE_URL", &given.url);
    Market::start_with(&place, command).stop();
}
