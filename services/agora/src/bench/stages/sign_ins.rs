//! The memory for hashing passwords, and whether it is returned.

use std::time::Duration;

use client::{CallContext, CallError, Peer, RestClient};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::super::Run;
use super::super::row::Row;
use crate::failure::Failure;

/// Hashes wait for each other.
const ASKED: &str = "deadline=60s,attempt=60s,retries=0,breaker=off,bulkhead=100+1/1s";
/// The time within which memory should be returned.
const SOON: Duration = Duration::from_secs(2);

pub(super) async fn measure(run: &mut Run) -> Result<(), Failure> {
    let asked = ASKED.parse().map_err(Failure::new)?;
    let shop = Peer::new("shop", run.market.gateway()?, asked).called_by("bench");
    let shop = RestClient::new(shop);
    let (all, at_a_time) = (run.sizes.sign_ins, run.sizes.sign_ins_at_a_time);
    let mut people = JoinSet::new();
    for _ in 0..at_a_time {
        people.spawn(come_and_go(shop.clone(), all / at_a_time));
    }
    let all_gone = async {
        while let Some(ended) = people.join_next().await {
            ended.map_err(|panic| Failure::new(panic.to_string()))??;
        }
        Ok::<_, Failure>(())
    };
    let (gone, most) = run.market.most_memory_during(all_gone).await;
    gone?;
    let most = most?;
    sleep(SOON).await;
    let soon = run.market.memory()?;
    let text = format!(
        "{most:.0} MB at most, {soon:.0} MB {} s later",
        SOON.as_secs()
    );
    let values = json!({"most_mebibytes": most, "soon_mebibytes": soon});
    run.figures.put(Row::MemorySignIns, text, values);
    Ok(())
}

/// Signs a new customer up, and signs in `times` times. A new account, since each has a limited share of the hashes.
async fn come_and_go(shop: RestClient, times: usize) -> Result<(), Failure> {
    let failed = |error: CallError| Failure::new(format!("nobody can sign in: {error}"));
    let secret = Alphanumeric.sample_string(&mut rand::rng(), 24);
    let email = format!("bench-{}@agora.example", Uuid::new_v4());
    let nobody = CallContext::default();
    let user = json!({"email": email, "name": "Bench", "password": secret});
    let _: Value = shop
        .post("/api/users", &user, &nobody)
        .await
        .map_err(failed)?;
    let credentials = json!({"email": email, "password": secret});
    for _ in 0..times {
        let signed_in = shop.post("/api/sessions", &credentials, &nobody);
        let _: Value = signed_in.await.map_err(failed)?;
    }
    Ok(())
}
