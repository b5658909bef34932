use crate::gateway::Gateway;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// A page that is written by the code: compared, or written anew with `HEYUN_WRITE_DOCS=1`.
fn same(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("HEYUN_WRITE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "{path} is not what the code says: HEYUN_WRITE_DOCS=1 cargo test --test web docs");
}

fn openapi() -> Value {
    serde_json::to_value(heyun::web::openapi()).unwrap()
}

#[test]
fn the_openapi_file_is_what_the_code_says() {
    same("docs/api/openapi.json", &(heyun::web::openapi().to_pretty_json().unwrap() + "\n"));
}

#[test]
fn the_list_of_metrics_is_what_the_code_says() {
    same("docs/metrics.md", &heyun::web::metrics_reference());
}

#[tokio::test]
async fn every_path_of_the_document_is_served_and_documented_whole() {
    let g = Gateway::new();
    let document = openapi();
    let mut names = HashSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{path}: its name is taken");
            assert!(operation["summary"].is_string() && operation["responses"]["default"].is_object() || path == "/healthz", "{path}");
            for placeholder in path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')) {
                let named = operation["parameters"].as_array().unwrap().iter().any(|p| p["name"] == placeholder && p["in"] == "path");
                assert!(named, "{path}: {placeholder}");
            }
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(path.replace("{id}", "b15"));
            let response = g.raw(request.header("host", "localhost").body(Body::empty()).unwrap()).await;
            assert!(
                response.status() != 404 || path.contains("/incidents/") || path.ends_with("/photo"),
                "{method} {path}: {}",
                response.status()
            );
            assert_ne!(response.status(), 405, "{method} {path}");
        }
    }
    assert_eq!(names.len(), 37, "a route is missing here, or new");
    for schema in ["Problem", "Flow", "Totals", "IncidentFile", "Hello", "ChangedMeters", "EventReport"] {
        assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
    }
}
