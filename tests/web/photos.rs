//! Pictures of dials and seals beside entries of the ledger.

use crate::gateway::{DAY, Gateway, ts};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

fn jpeg(bytes: usize) -> Vec<u8> {
    let mut body = vec![0xff, 0xd8, 0xff, 0xe0];
    body.resize(bytes - 2, 7);
    body.extend([0xff, 0xd9]);
    body
}

async fn keep(g: &Gateway, entry: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let path = format!("/api/v1/ledger/{entry}/photo");
    let request = Request::builder().method(Method::POST).uri(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
    let answer = g.send(request.body(Body::from(body.to_vec())).unwrap()).await;
    (answer.status.as_u16(), serde_json::from_str(&answer.text).unwrap_or(Value::Null))
}

async fn shown(g: &Gateway) -> (String, Vec<u8>) {
    let request = Request::builder().uri("/api/v1/ledger/1/photo").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let answer = g.raw(request).await;
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    (kind, to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec())
}

#[tokio::test]
async fn an_entry_keeps_one_picture_and_shows_it() {
    let g = Gateway::new();
    g.core().bulk(&[(0, 100), (1, 101)]);
    g.core().commit();
    let stated = json!({ "by": "李网格员", "why": "换表", "deed": "replaced", "time": (ts(DAY).0).to_string() }).to_string();
    let entry = g.post("/api/v1/meters/b15/ledger", &stated).await.ok();
    assert_eq!((&entry["entry"], &entry["photo"]), (&json!(1), &json!(false)));
    assert_eq!(g.get("/api/v1/ledger/1/photo").await.problem(404)["code"], "no_photo");

    let picture = jpeg(120_000);
    assert_eq!(keep(&g, "1", "image/jpeg", &picture).await.0, 204);
    assert_eq!(keep(&g, "1", "image/jpeg", &picture).await.0, 204, "its answer may have been lost");
    assert_eq!(shown(&g).await, ("image/jpeg".to_owned(), picture.clone()));
    assert_eq!(g.get("/api/v1/meters/b15/ledger").await.ok()["entries"][0]["photo"], json!(true));

    for (entry, kind, body, status, code) in [
        ("1", "image/jpeg", jpeg(100), 409, "photo_there"),
        ("2", "image/jpeg", jpeg(100), 404, "unknown_entry"),
        ("x", "image/jpeg", jpeg(100), 404, "unknown_entry"),
        ("1", "image/png", jpeg(100), 415, "no_jpeg"),
        ("1", "text/plain", jpeg(100), 415, "no_jpeg"),
        ("1", "image/jpeg", b"<svg onload='x'>".to_vec(), 415, "no_jpeg"),
        ("1", "image/jpeg", vec![], 415, "no_jpeg"),
        ("1", "image/jpeg", jpeg(200_000), 413, "body_too_large"),
    ] {
        let (got, body) = keep(&g, entry, kind, &body).await;
        assert_eq!((got, &body["code"]), (status, &json!(code)), "{entry} {kind}");
    }
    assert_eq!(shown(&g).await.1, picture, "evidence is not replaced");
}
