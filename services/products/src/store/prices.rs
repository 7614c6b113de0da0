//! Prices, read together: every order asks for some, and most of what a statement costs is not its rows.

use std::collections::{HashMap, HashSet};

use chassis::db;
use messaging::Together;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, PgPool, Row as _};
use uuid::Uuid;

use crate::domain::Price;

/// The prices of the catalogue. Calls that come while a statement is under way share the next one; each still sees what was
/// committed before it was made.
#[derive(Debug)]
pub(crate) struct Prices {
    pool: PgPool,
    reads: Together<Vec<Uuid>, sqlx::Result<Vec<Price>>>,
}

impl Prices {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            reads: Together::default(),
        }
    }

    /// The prices of the products that exist among `ids`, in any order.
    ///
    /// # Errors
    /// Errors of the database.
    pub(crate) async fn of(&self, ids: &[Uuid]) -> Result<Vec<Price>, sqlx::Error> {
        let read = self.reads.call(ids.to_vec(), |group| self.read(group));
        match read.await {
            Some(prices) => prices,
            // The shared statement failed, or whoever led it is gone. By itself each call gets an error of its own, or
            // prices.
            None => prices(&mut *self.pool.acquire().await?, ids).await,
        }
    }

    /// Reads for all in one statement. Returns nothing if that fails for a reason that may be one call's own.
    async fn read(&self, group: Vec<Vec<Uuid>>) -> Vec<sqlx::Result<Vec<Price>>> {
        let all: HashSet<Uuid> = group.iter().flatten().copied().collect();
        let all: Vec<Uuid> = all.into_iter().collect();
        let found = match self.read_all(&all).await {
            Ok(found) => found,
            // Each call by itself would wait for the same database again, longer than its caller waits for it.
            Err(error) if db::is_unavailable(&error) => {
                let of_each = |_: &Vec<Uuid>| Err(db::outage_of_all(&error));
                return group.iter().map(of_each).collect();
            }
            Err(_) => return Vec::new(),
        };
        let found: HashMap<Uuid, Price> = found.into_iter().map(|p| (p.product_id, p)).collect();
        let of_one =
            |ids: &Vec<Uuid>| Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect());
        group.iter().map(of_one).collect()
    }

    async fn read_all(&self, ids: &[Uuid]) -> sqlx::Result<Vec<Price>> {
        let mut connection = db::acquire_for_all(&self.pool).await?;
        prices(&mut connection, ids).await
    }
}

/// The prices of the products that exist among `ids`, in any order, with a single statement.
async fn prices(database: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Price>, sqlx::Error> {
    // A plan for one or two ids seems cheaper than one for any number of them, so that PostgreSQL would make one for each call, which
    // takes longer than to run it. How many a subquery has it does not know: it makes a plan once.
    sqlx::query_as(
        "SELECT id, price, currency FROM products WHERE id = ANY (ARRAY(SELECT unnest($1::uuid[])))",
    )
    .bind(ids)
    .fetch_all(database)
    .await
}

impl FromRow<'_, PgRow> for Price {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            product_id: row.try_get("id")?,
            unit_price: row.try_get("price")?,
            currency: row.try_get("currency")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chassis::db::ACQUIRE_TIMEOUT;
    use sqlx::postgres::PgPoolOptions;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    const CALLS: u128 = 20;

    /// Asks for so many products at the same time, one each; returns what each call got, by the number of its product.
    async fn ask(prices: &Arc<Prices>) -> HashMap<u128, Result<Vec<Price>, sqlx::Error>> {
        let mut calls = JoinSet::new();
        for n in 0..CALLS {
            let prices = Arc::clone(prices);
            calls.spawn(async move { (n, prices.of(&[Uuid::from_u128(n)]).await) });
        }
        calls.join_all().await.into_iter().collect()
    }

    /// On one thread all calls are made before the first is answered. The second statement is for all of the others, so one
    /// connection is enough, or two if the first has not come back to the pool yet.
    #[tokio::test]
    async fn calls_at_the_same_time_share_a_statement_and_each_gets_its_own() {
        let database = embedded::testing::fresh_database();
        let pool = PgPoolOptions::new()
            .max_connections(CALLS as u32)
            .connect(&database.url)
            .await
            .expect("a database");
        let prices = Arc::new(Prices::new(pool.clone()));
        sqlx::raw_sql(
            "CREATE TABLE products AS
             SELECT lpad(to_hex(n), 32, '0')::uuid AS id, n::bigint AS price, 'EUR' AS currency
               FROM generate_series(0, 18, 2) AS n",
        )
        .execute(&pool)
        .await
        .expect("a table");
        // Every second one is for sale.
        for (n, found) in ask(&prices).await {
            let found = found.expect("an answer");
            let found: Vec<_> = found.iter().map(|price| price.product_id).collect();
            let expected: Vec<_> = (n & 1 == 0)
                .then(|| Uuid::from_u128(n))
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{n}");
        }
        assert!(pool.size() <= 2, "{} connections", pool.size());

        let away = sqlx::raw_sql("DROP TABLE products").execute(&pool);
        away.await.expect("no table");
        let failed = ask(&prices).await;
        assert!(failed.values().all(Result::is_err), "{failed:?}");
    }

    /// The first five of a connection have plans of their own whatever they are.
    #[tokio::test]
    async fn prices_of_one_product_are_not_planned_each_time() {
        const PLANNED: &str = "SELECT custom_plans FROM pg_prepared_statements
             WHERE statement LIKE 'SELECT id, price, currency FROM products%'";
        let database = embedded::testing::fresh_database();
        let pool = db::connect(&database.url, 4, "products").expect("a pool");
        crate::store::prepare(&pool, true).await.expect("products");
        let mut connection = pool.acquire().await.expect("a connection");
        for n in 0..12 {
            let read = prices(&mut connection, &[Uuid::from_u128(n)]).await;
            read.expect("an answer");
        }
        let planned: i64 = sqlx::query_scalar(PLANNED)
            .fetch_one(&mut *connection)
            .await
            .expect("a count");
        assert_eq!(planned, 5);
    }

    /// One call leads the first group, and the others wait for that one and then for theirs.
    #[tokio::test]
    async fn nobody_waits_for_a_connection_longer_than_a_call_alone() {
        let database = embedded::testing::fresh_database();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect(&database.url)
            .await
            .expect("a database");
        let _held = pool.acquire().await.expect("its only connection");
        let prices = Arc::new(Prices::new(pool));
        // From here on nothing happens but waiting.
        tokio::time::pause();
        let begun = Instant::now();
        let failed = ask(&prices).await;
        // Timers are good for a millisecond.
        assert!(begun.elapsed() < ACQUIRE_TIMEOUT + Duration::from_millis(10));
        let is_refused = |read: &sqlx::Result<_>| matches!(read, Err(sqlx::Error::PoolTimedOut));
        assert!(failed.values().all(is_refused), "{failed:?}");
    }
}
