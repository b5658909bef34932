use crate::gateway::Gateway;
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

#[tokio::test]
async fn only_requests_that_name_this_machine_are_answered() {
    let g = Gateway::new();
    for (host, status) in [(Some("localhost"), 200), (Some("[::1]:8080"), 200), (Some("evil.example"), 421), (None, 421)] {
        let request = Request::get("/api/v1/meters");
        let request = host.into_iter().fold(request, |r, h| r.header("host", h)).body(Body::empty()).unwrap();
        let answer = g.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{host:?}");
    }
    let two = Request::get("/").header("host", "localhost").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(g.send(two).await.problem(421)["code"], "foreign_host");
    let target = Request::get("http://evil.example/healthz").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(g.send(target).await.problem(421)["code"], "foreign_host");
}

#[tokio::test]
async fn a_foreign_page_can_post_nothing() {
    let g = Gateway::new();
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("multipart/form-data")] {
        let request = Request::post("/api/v1/incidents/x/accept").header("host", "localhost");
        let request = kind.into_iter().fold(request, |r, k| r.header("content-type", k)).body(Body::from(r#"{"by":"x"}"#)).unwrap();
        assert_eq!(g.send(request).await.problem(415)["code"], "not_json", "{kind:?}");
    }
    let preflight = Request::options("/api/v1/incidents/x/accept").header("host", "localhost").header("origin", "http://evil.example");
    let answer = g.send(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status.as_u16(), 405);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn what_is_not_there_is_told_as_json() {
    let g = Gateway::new();
    for path in ["/api/v1/nothing", "/api/v2/meters", "/favicon.ico", "/api/v1/meters/"] {
        let p = g.get(path).await.problem(404);
        assert!(p["code"] == "unknown_route" || p["code"] == "unknown_meter", "{path}: {p}");
    }
    let delete = Request::delete("/api/v1/meters").header("host", "localhost").body(Body::empty()).unwrap();
    let answer = g.send(delete).await;
    assert_eq!(answer.problem(405)["code"], "wrong_method");
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn every_answer_carries_its_guards_and_the_pages_ask_nobody_else() {
    let g = Gateway::new();
    for path in ["/", "/healthz", "/api/v1/meters", "/api/v1/nothing", "/api/docs/", "/api/openapi.json"] {
        let answer = g.get(path).await;
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options"] {
            assert!(answer.headers.contains_key(name), "{path}: {name}");
        }
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}");
    }
    let page = g.get("/").await.text;
    assert!(page.contains("heyun") && !page.contains("http://") && !page.contains("https://"));
    let docs = g.get("/api/docs/").await;
    assert!(docs.status.is_success() && docs.text.contains("swagger-ui"));
    assert!(!docs.text.contains("src=\"http") && !docs.text.contains("href=\"http"), "{}", docs.text);
    let start = g.get("/api/docs/swagger-initializer.js").await.text;
    assert!(start.contains("/api/openapi.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert_eq!(g.get("/api/openapi.json").await.ok()["info"]["title"], json!("heyun 和韵"));
}
