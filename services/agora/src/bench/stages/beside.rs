//! pgbench with the statement that places an order, and orders beside it.

use std::future::pending;

use serde_json::json;

use super::super::Run;
use super::super::row::Row;
use crate::failure::Failure;
use crate::load;

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    let database = run.market.database("orders")?;
    let (time, clients) = (run.sizes.pgbench, run.sizes.callers.get());
    // A run that is stopped drops this, and the database with it.
    let per_second = load::pgbench(&database, time, clients, pending()).await?;
    let text = format!("{per_second:.0} /s");
    let values = json!({"per_second": per_second});
    run.figures.put(Row::Pgbench, text, values);
    for (row, of) in [
        (Row::OrdersBesidePgbench, Row::Orders),
        (Row::HeldBesidePgbench, Row::OrdersHeld),
    ] {
        if let Some(orders) = run.figures.number(of, "per_second") {
            let ratio = orders / per_second;
            let text = format!("{ratio:.2}");
            run.figures.put(row, text, json!({"ratio": ratio}));
        }
    }
    Ok(())
}
