use crate::gateway::{Gateway, handles, ts};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use heyun::domain::reading::Reject;
use heyun::web::{BrokerState, Health, StoreState, router};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

fn change(g: &Gateway, f: impl FnOnce(&mut Health)) {
    g.health.send_modify(|h| f(Arc::make_mut(h)));
}

#[tokio::test]
async fn health_is_503_for_the_store_and_for_the_start_but_not_for_the_broker() {
    let g = Gateway::new();
    let h = g.get("/healthz").await.ok();
    assert_eq!((h["status"].clone(), h["reasons"].clone(), h["gateway"].clone()), (json!("ok"), json!([]), json!("g1")));
    assert!(h["resident_bytes"].as_u64().unwrap() > 0);
    change(&g, |h| {
        h.broker.state = BrokerState::Away;
        h.broker.since = ts("2026-11-10T00:00:00Z");
        h.broker.last_error = Some("connection refused".into());
    });
    let h = g.get("/healthz").await.ok();
    assert_eq!(h["broker"], json!({ "state": "away", "since": "2026-11-10T08:00:00+08:00", "last_error": "connection refused" }));
    change(&g, |h| h.store.state = StoreState::Failing);
    change(&g, |h| h.ready = false);
    let answer = g.get("/healthz").await;
    assert_eq!(answer.status, 503);
    let reasons = answer.json()["reasons"].clone();
    assert_eq!((reasons[0]["code"].clone(), reasons[1]["code"].clone()), (json!("not_ready"), json!("store_failing")));
    assert!(reasons[1]["text"]["zh"].as_str().unwrap().contains("磁盘"));
}

#[tokio::test]
async fn metrics_account_for_every_message() {
    let g = Gateway::new();
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
    g.core().refuse("odd\"topic\n", Reject::Topic, "");
    g.core().bulk(&[]);
    let answer = g.get("/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "# HELP heyun_messages_received Messages received since the process started",
        "# TYPE heyun_messages_received counter",
        "heyun_messages_received_total{source=\"water/b15\"} 3",
        "heyun_messages_stored_total{source=\"water/b15\"} 3",
        "heyun_messages_in_flight{source=\"water/b15\"} 0",
        "heyun_messages_rejected_total{source=\"odd\\\"topic\\n\",reason=\"topic\"} 1",
        "# UNIT heyun_source_last_reading_age_seconds seconds",
        "heyun_meter_flow_litres_per_hour{meter=\"b15\"} 1390",
        "heyun_meter_silent{meter=\"101\"} 0",
        "heyun_incidents_open{cause=\"leak\"} 1",
        "heyun_incidents_open{cause=\"data\"} 0",
        "heyun_broker_up 1",
        "heyun_batches_committed_total 1",
        "# EOF",
    ] {
        assert!(answer.text.lines().any(|l| l == line), "{line} is not in\n{}", answer.text);
    }
    assert!(!answer.text.contains("source=\"\""), "all that was refused belongs to a source");
}

#[tokio::test]
async fn a_store_that_cannot_be_read_fails_history_alone_and_shows_no_paths() {
    let (handles, _core, _health, dir) = handles();
    let router = router(handles);
    drop(dir);
    let get = |path: &str| router.clone().oneshot(Request::get(path).header("host", "localhost").body(Body::empty()).unwrap());
    let failed = get("/api/v1/incidents/x").await.unwrap();
    assert_eq!((failed.status().as_u16(), failed.headers()["retry-after"].to_str().unwrap()), (503, "10"));
    let text = to_bytes(failed.into_body(), 1 << 16).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("store_unreadable") && !text.contains("heyun.db") && !text.contains("unable to open"), "{text}");
    assert_eq!(get("/api/v1/meters").await.unwrap().status(), 200);
}

#[tokio::test]
async fn without_a_broker_there_is_nothing_to_hear() {
    let g = Gateway::new();
    for answer in [
        g.get("/api/v1/discovery").await,
        g.post("/api/v1/discovery", "{\"seconds\":5}").await,
        g.post("/api/v1/discovery/stop", "{}").await,
    ] {
        assert_eq!(answer.problem(409)["code"], "no_broker");
    }
}
