//! Acceptance alone: what the gateway accepts while the relay of orders is stopped, so that no order has consequences.

use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::super::row::Row;
use super::super::{Run, orders};
use super::failed;
use crate::failure::Failure;

/// The first half of the advisory lock of each outbox lane, and the number of lanes. The rows in the outbox afterwards show that
/// these are the right ones.
const LOCK_CLASS: i32 = 0x6f75_7462;
const LANES: i32 = 16;
/// Waits for a relay that has one of them, and keeps all of them until the connection is closed.
const HOLD: &str = "SELECT pg_advisory_lock($1, lane) FROM generate_series(0, $2 - 1) AS lane";
/// Without what was sent and is kept, which would hide a relay that goes on.
const WAITING: &str = "SELECT count(*) FROM outbox WHERE lane < $1 AND sent_at IS NULL";

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    super::warm(run).await?;
    let database = run.market.database("orders")?;
    let mut lanes = PgConnection::connect(&database).await.map_err(failed)?;
    sqlx::query(HOLD)
        .bind(LOCK_CLASS)
        .bind(LANES)
        .execute(&mut lanes)
        .await
        .map_err(failed)?;
    let (pace, time) = (run.sizes.all_callers(), run.sizes.held);
    let placed = orders::place(&run.market, pace, time).await?;
    let waiting: i64 = sqlx::query_scalar(WAITING)
        .bind(LANES)
        .fetch_one(&mut lanes)
        .await
        .map_err(failed)?;
    lanes.close().await.map_err(failed)?;
    if u64::try_from(waiting).unwrap_or_default() < placed.accepted {
        return Err(Failure::new(format!(
            "the relay was not held still: {waiting} of {} orders wait for it",
            placed.accepted
        )));
    }
    let per_second = placed.number("per_second");
    let text = format!("{per_second:.0} /s");
    let values = json!({"per_second": per_second, "latency_ms": placed.seen["latency_ms"]});
    run.figures.put(Row::OrdersHeld, text, values);
    // The waiting events are processed before the next stage.
    placed.all_mailed().await
}
