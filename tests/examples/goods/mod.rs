//! Goods for everybody who orders in an example.

use scenarios::Marketplace;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::runtime::Builder;

const STOCK: &str = "UPDATE products SET available = 1000000";

/// Makes a marketplace have more of everything than can be ordered.
pub(crate) fn stock_up(marketplace: &dyn Marketplace) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let url = marketplace.database("products");
        let mut products = PgConnection::connect(&url).await.expect("a database");
        products.execute(STOCK).await.expect("goods for everybody");
    });
}
