//! Faults: the rules that a service applies to its calls. All of its replicas get the same ones.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::extract::{self, Path};
use chassis::problem::Problem;
use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Shared, answer, away};
use crate::replicas::{Replica, Service};

/// The retry delay if a replica does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A change of the rules of a service.
enum Change<'a> {
    /// These and no others, as the service's own `PUT /faults` takes them.
    All(&'a Value),
    /// The rule for one target, or none for it. The others stay.
    One(&'a str, Option<Value>),
    /// None any more.
    Clear,
}

/// Sets all rules of a service.
pub(super) async fn set(
    State(shared): State<Shared>,
    Path(service): Path<String>,
    extract::Json(rules): extract::Json<Value>,
) -> Result<Response, Problem> {
    change(&shared, &service, Change::All(&rules)).await
}

/// Sets the rule for one target of a service.
pub(super) async fn set_one(
    State(shared): State<Shared>,
    Path((service, target)): Path<(String, String)>,
    extract::Json(rule): extract::Json<Value>,
) -> Result<Response, Problem> {
    let Value::Object(mut rule) = rule else {
        return Err(Problem::bad_request("a rule is an object"));
    };
    rule.insert("target".to_owned(), target.as_str().into());
    change(&shared, &service, Change::One(&target, Some(rule.into()))).await
}

/// Takes the rule for one target of a service away.
pub(super) async fn mend_one(
    State(shared): State<Shared>,
    Path((service, target)): Path<(String, String)>,
) -> Result<Response, Problem> {
    change(&shared, &service, Change::One(&target, None)).await
}

/// Undoes everything that was broken on purpose: first the switches, so that the services are reachable, then the services'
/// rules of faults. A failure does not keep the rest from being mended.
pub(super) async fn mend(State(shared): State<Shared>) -> Result<Response, Problem> {
    let switched = match shared.parts.switches.mend().await {
        Some(mended) => mended.map_err(away).map(answer),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let cleared = clear(&shared).await?;
    match switched {
        Ok(switched) if switched.status().is_success() => Ok(cleared),
        switched => switched,
    }
}

async fn clear(shared: &Shared) -> Result<Response, Problem> {
    let _turn = shared.editing.lock().await;
    let services = shared.parts.replicas.services().iter();
    let clear = Change::Clear;
    let cleared = join_all(services.map(|service| apply(service, &clear)));
    for answer in cleared.await {
        // A service without `ALLOW_FAULTS` has nothing to mend.
        match answer {
            Ok(answer)
                if answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND => {}
            answer => return answer,
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// One change at a time: each is made to what a service has by then, so that of two pages neither undoes what the other did.
async fn change(shared: &Shared, service: &str, change: Change<'_>) -> Result<Response, Problem> {
    let service = shared.service(service)?;
    let _turn = shared.editing.lock().await;
    apply(service, &change).await
}

/// Changes the rules of all replicas; one that does not answer keeps none of the others from it. Returns the first answer that
/// is not a success, or else the last one.
async fn apply(service: &Service, change: &Change<'_>) -> Result<Response, Problem> {
    let replicas = service.replicas();
    let answers = join_all(replicas.iter().map(|replica| change.apply(replica))).await;
    let mut outcome = match change {
        // Rules go with the replica that had them.
        Change::Clear => Ok((StatusCode::NO_CONTENT, String::new())),
        Change::All(_) | Change::One(..) => Err(format!("{} has no replicas", service.name)),
    };
    for (replica, answered) in replicas.iter().zip(answers) {
        outcome = answered.map_err(|why| format!("{} at {}: {why}", service.name, replica.at));
        if !matches!(&outcome, Ok((status, _)) if status.is_success()) {
            break;
        }
    }
    let answered = outcome.map_err(|why| Problem::unavailable(RETRY_AFTER, why))?;
    let status = answered.0.as_u16();
    tracing::warn!(service = service.name, status, "a switch was pressed");
    Ok(answer(answered))
}

impl Change<'_> {
    async fn apply(&self, replica: &Replica) -> Result<(StatusCode, String), String> {
        match self {
            Self::All(rules) => replica.ask(Method::PUT, "/faults", Some(rules)).await,
            Self::Clear => replica.ask(Method::DELETE, "/faults", None).await,
            Self::One(target, rule) => {
                let (status, said) = replica.get("/faults").await?;
                if !status.is_success() {
                    return Ok((status, said));
                }
                let said: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
                let others = said["rules"].as_array().into_iter().flatten();
                let others = others.filter(|other| other["target"] != *target);
                let rules: Value = others.chain(rule).cloned().collect();
                let body = json!({ "rules": rules });
                replica.ask(Method::PUT, "/faults", Some(&body)).await
            }
        }
    }
}
