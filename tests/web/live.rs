use crate::gateway::{DAY, Gateway, ts};
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use heyun::domain::flag::Flag;
use heyun::domain::time::Ms;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_stream::StreamExt;

/// A client of the stream.
struct Client {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug)]
struct Message {
    event: String,
    id: Option<String>,
    data: Value,
}

impl Client {
    async fn connect(g: &Gateway, path: &str, last: Option<&str>) -> Client {
        let request = Request::get(path).header("host", "localhost");
        let request = last.into_iter().fold(request, |r, l| r.header("last-event-id", l));
        let response = g.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Client { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message that is no comment; None at the end of the stream.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
                let message = field("event:").map(|event| Message {
                    event,
                    id: field("id:"),
                    data: serde_json::from_str(&field("data:").unwrap()).unwrap(),
                });
                self.text = rest.to_owned();
                match message {
                    Some(message) => return Some(message),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await.expect("nothing came")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    async fn expect(&mut self, event: &str) -> Message {
        let message = self.next().await.unwrap();
        assert_eq!(message.event, event, "{message:?}");
        message
    }
}

fn leak(g: &Gateway) {
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
}

#[tokio::test]
async fn a_stream_greets_tells_all_meters_and_then_what_changes() {
    let g = Gateway::new();
    let mut c = Client::connect(&g, "/api/v1/live", None).await;
    let hello = c.expect("hello").await;
    assert_eq!((hello.data["gateway"].clone(), hello.data["after"].clone(), hello.id.as_deref()), (json!("g1"), json!(0), Some("0")));
    assert!(hello.data["time"].as_str().unwrap().ends_with("+08:00"));
    assert_eq!(c.expect("meters").await.data["meters"].as_array().unwrap().len(), 3);
    assert_eq!(c.expect("sensors").await.data["sensors"].as_array().unwrap().len(), 1);
    leak(&g);
    let opened = c.expect("incident").await;
    assert_eq!((opened.id.as_deref(), opened.data["code"].clone()), (Some("1"), json!("opened")));
    let found = c.expect("incident").await;
    assert_eq!((found.id.as_deref(), found.data["finding"]["code"].clone()), (Some("2"), json!("leak_hourly_limit")));
    let mut changed = c.next().await.unwrap();
    while changed.event == "incident" {
        changed = c.next().await.unwrap();
    }
    assert_eq!(changed.data["meters"].as_array().unwrap().len(), 1, "only the one that changed");
    assert_eq!(changed.data["meters"][0]["key"], "b15");
    assert_eq!(changed.data["meters"][0]["incidents"][0], found.data["incident"]);
}

#[tokio::test]
async fn a_sensor_is_told_when_it_says_something_else() {
    let g = Gateway::new();
    let mut c = Client::connect(&g, "/api/v1/live", None).await;
    c.expect("hello").await;
    c.expect("meters").await;
    let silent = c.expect("sensors").await.data;
    assert_eq!((&silent["sensors"][0]["key"], &silent["sensors"][0]["last_reading_at"]), (&json!("rope"), &Value::Null));
    g.core().rope(ts(DAY), 19_500, &[]);
    let dry = c.expect("sensors").await.data;
    assert_eq!(dry["sensors"][0]["values"], json!([{ "name": "room", "value": 19.5, "unit": "°C" }]));
    assert_eq!(dry["sensors"][0]["flags"], json!([]));
    g.core().rope(ts(DAY) + Ms::minutes(5), 19_500, &[Flag::Wet]);
    let found = [c.expect("incident").await, c.expect("incident").await].map(|m| m.data);
    assert_eq!((&found[0]["code"], &found[1]["finding"]["code"]), (&json!("opened"), &json!("leak_wet")));
    let wet = c.expect("sensors").await.data;
    assert_eq!((&wet["sensors"][0]["flags"], &wet["sensors"][0]["incidents"][0]), (&json!(["wet"]), &found[0]["incident"]));
    // Nothing of it has changed: the next that is told is the meter.
    leak(&g);
    while c.next().await.unwrap().event != "meters" {}
}

#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_and_nothing_twice() {
    let g = Gateway::new();
    leak(&g);
    g.core().hear("water/101", 1, ts(DAY), &[1_000]);
    g.core().pass(Ms::hours(7));
    let newest = g.get("/api/v1/incidents").await.ok()["last_event"].as_u64().unwrap();
    assert!(newest >= 4);
    for (path, last, first) in [
        ("/api/v1/live?after=0", None, 1),
        ("/api/v1/live", Some("1"), 2),
        ("/api/v1/live?after=0", Some("3"), 4),
        ("/api/v1/live?after=1", Some("no number"), 2),
    ] {
        let mut c = Client::connect(&g, path, last).await;
        assert_eq!(c.expect("hello").await.data["after"], json!(first - 1), "{path} {last:?}");
        for seq in first..=newest {
            assert_eq!(c.expect("incident").await.id, Some(seq.to_string()), "{path} {last:?}");
        }
        c.expect("meters").await;
    }
    let mut c = Client::connect(&g, "/api/v1/live", Some("999999")).await;
    assert_eq!(c.expect("hello").await.data["after"], json!(newest), "a number of another store");
}

#[tokio::test]
async fn streams_are_counted_and_their_places_come_free_again() {
    let g = Gateway::new();
    let mut clients = vec![];
    for _ in 0..64 {
        clients.push(Client::connect(&g, "/api/v1/live", None).await);
    }
    let refused = g.get("/api/v1/live").await;
    assert_eq!(refused.problem(503)["code"], "too_many_streams");
    assert_eq!(refused.headers["retry-after"], "10");
    // A client that reads nothing holds up neither the others nor the engine.
    leak(&g);
    let mut last = clients.pop().unwrap();
    last.expect("hello").await;
    drop(clients);
    for _ in 0..10_000 {
        let request = Request::get("/api/v1/live").header("host", "localhost").body(Body::empty()).unwrap();
        if g.raw(request).await.status() == 200 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("no place came free");
}
