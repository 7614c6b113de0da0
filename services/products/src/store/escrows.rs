//! SQL of escrows: one function for each statement. See [`reservations`](super::reservations) for the order of locks.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Escrow, LANES, Pieces};

/// The first half of the advisory lock's key, "escr" in ASCII; the second half is the lane.
const LOCK_CLASS: i32 = 0x6573_6372;

/// A lane that a transaction has for itself until it ends, or gives back.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its number.
    pub(crate) number: i16,
    /// Its escrows of the wanted products, locked. None if it does not hold enough of all of them; some only if others
    /// were taken away or locked at this moment.
    pub(crate) escrows: Vec<Escrow>,
}

/// Marks the point to which [`give_back`] returns.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn mark(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SAVEPOINT lane").execute(tx).await?;
    Ok(())
}

/// Gives back the lane and the locks that were taken since [`mark`].
///
/// # Errors
/// Errors of the database.
pub(crate) async fn give_back(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("ROLLBACK TO SAVEPOINT lane")
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes a lane that nobody else has and locks its escrows of the wanted products, if they suffice. Returns `None` if all
/// lanes are taken. It waits for nobody.
///
/// The lowest free lane, so that no more lanes hold pieces than transactions run at a time. `LIMIT` stops trying at the first
/// one. The lane's escrows are read before they are locked: a lane that holds too little locks nothing, which would have
/// to be given back. `SKIP LOCKED`: an escrow that is locked although we have its lane is being gathered.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn take_lane(
    tx: &mut PgConnection,
    wanted: &Pieces,
) -> Result<Option<Lane>, sqlx::Error> {
    let (product_ids, quantities): (Vec<Uuid>, Vec<i64>) =
        wanted.iter().map(|(id, quantity)| (*id, *quantity)).unzip();
    let rows: Vec<(i16, Option<Uuid>, Option<i64>)> = sqlx::query_as(
        "WITH own AS MATERIALIZED (
             SELECT lane::smallint AS lane FROM generate_series(0, $3::int) AS lane
             WHERE pg_try_advisory_xact_lock($4::int, lane) LIMIT 1
         )
         SELECT own.lane, held.product_id, held.available
         FROM own LEFT JOIN LATERAL (
             SELECT product_id, available FROM escrow
             WHERE lane = own.lane AND product_id = ANY($1)
               AND NOT EXISTS (
                   SELECT FROM unnest($1::uuid[], $2::bigint[]) AS wanted (product_id, quantity)
                   LEFT JOIN escrow AS kept
                          ON kept.lane = own.lane AND kept.product_id = wanted.product_id
                   WHERE coalesce(kept.available, 0) < wanted.quantity
               )
             ORDER BY product_id FOR NO KEY UPDATE SKIP LOCKED
         ) AS held ON true",
    )
    .bind(product_ids)
    .bind(quantities)
    .bind(i32::from(LANES) - 1)
    .bind(LOCK_CLASS)
    .fetch_all(tx)
    .await?;
    let Some((number, ..)) = rows.first() else {
        return Ok(None);
    };
    let escrow = |(lane, product_id, available): &(i16, Option<Uuid>, Option<i64>)| {
        Some(Escrow {
            product_id: (*product_id)?,
            lane: *lane,
            available: (*available)?,
        })
    };
    Ok(Some(Lane {
        number: *number,
        escrows: rows.iter().filter_map(escrow).collect(),
    }))
}

/// Locks what all lanes hold of the products `of_all`, and what the lane `own` holds of the products `of_own`. Their shelves
/// must be locked. It waits for transactions that sell from these escrows.
///
/// Escrows that hold nothing are left out: nothing is added to them without the lock of the shelf.
///
/// # Errors
/// Errors of the database.
pub(crate) async fn lock_escrows(
    tx: &mut PgConnection,
    of_all: &[Uuid],
    own: Option<i16>,
    of_own: &[Uuid],
) -> Result<Vec<Escrow>, sqlx::Error> {
    if of_all.is_empty() && (own.is_none() || of_own.is_empty()) {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, i16, i64)> = sqlx::query_as(
        // All products in one subquery: one range of the index for each. And how many a subquery has PostgreSQL does not know: it
        // makes a plan once, and not one for each call.
        "SELECT product_id, lane, available FROM escrow
         WHERE available > 0 AND product_id = ANY (ARRAY(SELECT unnest($1::uuid[]) UNION ALL SELECT unnest($3::uuid[])))
           AND (product_id = ANY($1) OR lane = $2)
         ORDER BY product_id, lane FOR NO KEY UPDATE",
    )
    .bind(of_all)
    .bind(own)
    .bind(of_own)
    .fetch_all(tx)
    .await?;
    let escrow = |(product_id, lane, available)| Escrow {
        product_id,
        lane,
        available,
    };
    Ok(rows.into_iter().map(escrow).collect())
}

#[cfg(test)]
mod tests {
    use chassis::db;

    use super::*;

    /// The first five statements of a connection have plans of their own whatever they are.
    #[tokio::test]
    async fn escrows_are_locked_by_a_plan_that_is_made_once() {
        const ESCROWS: &str =
            "INSERT INTO escrow SELECT id, lane, 1 FROM products, generate_series(0, 1) AS lane";
        const PLANNED: &str = "SELECT custom_plans FROM pg_prepared_statements
             WHERE statement LIKE 'SELECT product_id, lane, available FROM escrow%'";
        let database = embedded::testing::fresh_database();
        let pool = db::connect(&database.url, 4, "products").expect("a pool");
        crate::store::prepare(&pool, true).await.expect("products");
        let mut connection = pool.acquire().await.expect("a connection");
        let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM products ORDER BY id LIMIT 2")
            .fetch_all(&mut *connection)
            .await
            .expect("products");
        for _ in 0..12 {
            let none = lock_escrows(&mut connection, &ids[..1], None, &[]).await;
            assert_eq!(none.expect("an answer").len(), 0);
        }
        let planned: i64 = sqlx::query_scalar(PLANNED)
            .fetch_one(&mut *connection)
            .await
            .expect("a count");
        assert_eq!(planned, 5);

        let escrows = sqlx::query(ESCROWS).execute(&mut *connection);
        escrows.await.expect("escrows");
        let locked = lock_escrows(&mut connection, &ids[..1], Some(1), &ids[1..]).await;
        let locked: Vec<_> = locked
            .expect("an answer")
            .iter()
            .map(|escrow| (escrow.product_id, escrow.lane))
            .collect();
        assert_eq!(locked, [(ids[0], 0), (ids[0], 1), (ids[1], 1)]);
    }
}
