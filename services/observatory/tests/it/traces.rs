//! What comes is shown, from every replica.

use futures::StreamExt;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::support::{Observatory, port, record, records, until};

#[tokio::test]
async fn hops_of_all_replicas_become_traces() {
    let mut call = record(7, 2, "front");
    call["side"] = "client".into();
    call["parent_span_id"] = format!("{:016x}", 1).into();
    let mut answered = record(7, 3, "back");
    answered["parent_span_id"] = call["span_id"].clone();
    let front = [record(7, 1, "front"), call];
    let (one, _) = port(move || records(&front), "{}").await;
    let (two, _) = port(move || records(&[answered.clone()]), "{}").await;
    let (other, _) = port(|| records(&[record(8, 1, "back")]), "{}").await;
    let observatory = Observatory::start(&format!(
        "front=http://{one};back=http://{two},http://{other}"
    ))
    .await;
    until("both traces", async || {
        (observatory.traces().await.len() == 2).then_some(())
    })
    .await;
    let path = format!("/v1/traces/{:032x}", 7);
    let trace = until("all three hops", async || {
        let (status, trace) = observatory.get(&path).await;
        (status == 200 && trace["hops"].as_array().unwrap().len() == 3).then_some(trace)
    })
    .await;
    let ids: Vec<_> = trace["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["id"].clone())
        .collect();
    assert_eq!(ids, [1, 2, 3].map(|id| json!(format!("{id:016x}"))));
    assert_eq!(trace["hops"][1]["to"], "back");
    assert_eq!(trace["hops"][2]["from"], "front");

    let (status, problem) = observatory.get("/v1/traces/nonsense").await;
    assert_eq!((status, &problem["status"]), (400, &json!(400)));
    assert_eq!(
        observatory.get(&format!("/v1/traces/{:032x}", 9)).await.0,
        404
    );
}

#[tokio::test]
async fn new_hops_and_the_state_are_streams() {
    // One record again and again.
    let (at, _) = port(
        || futures::stream::unfold(1, |id| async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Some((crate::support::event(id, &record(7, 1, "front")).into(), id + 1))
        }).boxed(),
        r#"{"clients": {"back": {"endpoints": [{"calls": 3, "failures": 1}], "breaker": {"state": "open", "window": {"calls": 3}},
            "bulkhead": {"rejected": {"full": 2, "waited_too_long": 5}}, "retry": {"budget_available": 9}}}}"#,
    )
    .await;
    let observatory = Observatory::start(&format!("front=http://{at}")).await;
    for (path, wanted) in [
        ("/v1/hops", "event:hop\ndata:{"),
        ("/v1/state/events", "event:state\ndata:{"),
    ] {
        let mut connection = observatory.open("GET", path, &[], "").await;
        let mut text = String::new();
        while !text.contains(wanted) {
            let mut piece = [0; 4096];
            let read = connection.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }
    // A look gives a service two seconds, which a busy machine may need.
    let state = until("all that it says", async || {
        let (_, state) = observatory.get("/v1/state").await;
        let service = &state["services"][0];
        let is_seen = service["ready"] == true && service["followed"] == true;
        (is_seen && !state["edges"][0].is_null()).then_some(state)
    })
    .await;
    assert_eq!(state["edges"][0]["breaker"], "open", "{state}");
    assert_eq!(state["edges"][0]["shed"], 7, "{state}");
    assert_eq!(state["edges"][0]["retries_left"], 9, "{state}");
}
