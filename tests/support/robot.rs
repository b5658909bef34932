//! A group robot, a webhook and other things on the other end of a channel: a real HTTP server that checks what it is sent as strictly as
//! the real one would, and answers what the test wants.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub const KEY: &str = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa";
const PATH: &str = "/cgi-bin/webhook/send";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the robot does with the next message, instead of taking it.
#[derive(Clone, Debug)]
pub enum Mood {
    /// The HTTP status, and a body.
    Status(u16, String),
    /// 200 with this errcode.
    Errcode(i64),
    /// A redirect to this very robot, which a client must not follow.
    Redirect,
    /// It takes the message and never answers.
    TakeAndHang,
    /// A body without end, as fast as it is read.
    Endless,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub text: String,
    pub body: Value,
    pub raw: Vec<u8>,
    pub headers: HeaderMap,
}

#[derive(Default)]
struct Inside {
    taken: Vec<Taken>,
    /// Every call, also those that were refused.
    calls: Vec<Instant>,
    moods: VecDeque<Mood>,
    /// What a real robot would have refused, or blocked us for.
    offences: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wecom,
    Webhook,
}

#[derive(Clone)]
struct Shared {
    inside: Arc<(Mutex<Inside>, Condvar)>,
    kind: Kind,
}

pub struct Robot {
    shared: Shared,
    pub port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Robot {
    pub fn wecom() -> Robot {
        Robot::start(Kind::Wecom, 0)
    }

    pub fn webhook() -> Robot {
        Robot::start(Kind::Webhook, 0)
    }

    /// One that comes back where it was.
    pub fn webhook_at(port: u16) -> Robot {
        Robot::start(Kind::Webhook, port)
    }

    fn start(kind: Kind, port: u16) -> Robot {
        let shared = Shared { inside: Arc::default(), kind };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", port))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = axum::Router::new().fallback(call).with_state(shared.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Robot { shared, port, _runtime: runtime }
    }

    /// Its address, with the key.
    pub fn url(&self) -> String {
        match self.shared.kind {
            Kind::Wecom => format!("http://127.0.0.1:{}{PATH}?key={KEY}", self.port),
            Kind::Webhook => format!("http://127.0.0.1:{}/hook", self.port),
        }
    }

    /// What it does with the next messages, one each.
    pub fn moods(&self, moods: impl IntoIterator<Item = Mood>) {
        self.shared.inside.0.lock().unwrap().moods.extend(moods);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.shared.inside.0.lock().unwrap().taken.clone()
    }

    pub fn calls(&self) -> usize {
        self.shared.inside.0.lock().unwrap().calls.len()
    }

    /// Waits until `done`; what it has taken then.
    pub fn until(&self, what: &str, done: impl Fn(&[Taken], usize) -> bool) -> Vec<Taken> {
        let (lock, changed) = &*self.shared.inside;
        let inside = lock.lock().unwrap();
        let (inside, over) = changed.wait_timeout_while(inside, PATIENCE, |i| !done(&i.taken, i.calls.len())).unwrap();
        assert!(!over.timed_out(), "never: {what}; taken: {:#?}", inside.taken.iter().map(|t| &t.text).collect::<Vec<_>>());
        inside.taken.clone()
    }

    /// Panics if it was ever sent what a real one would not have taken.
    pub fn had_no_reason_to_complain(&self) {
        let inside = self.shared.inside.0.lock().unwrap();
        assert!(inside.offences.is_empty(), "{:#?}", inside.offences);
    }
}

async fn call(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (mood, answer) = {
        let (lock, changed) = &*shared.inside;
        let mut inside = lock.lock().unwrap();
        inside.calls.push(Instant::now());
        let mood = inside.moods.pop_front();
        let offence = match shared.kind {
            Kind::Wecom => wecom_offence(&method, &uri, &headers, &body),
            Kind::Webhook => webhook_offence(&method, &uri, &headers, &body),
        };
        let minute = inside.calls.iter().filter(|c| c.elapsed() < Duration::from_secs(60)).count();
        let often = (shared.kind == Kind::Wecom && minute > 20).then(|| (45_009, format!("{minute} calls in a minute")));
        let answer = if let Some((code, why)) = offence.or(often) {
            inside.offences.push(why.clone());
            json!({ "errcode": code, "errmsg": why })
        } else {
            json!({ "errcode": 0, "errmsg": "ok" })
        };
        let takes = answer["errcode"] == 0 && matches!(mood, None | Some(Mood::TakeAndHang | Mood::Endless));
        if takes {
            let parsed: Value = serde_json::from_slice(&body).unwrap();
            let text = parsed["text"]["content"].as_str().or(parsed["text"]["zh"].as_str()).unwrap_or_default().to_owned();
            inside.taken.push(Taken { text, body: parsed, raw: body.to_vec(), headers });
        }
        changed.notify_all();
        (mood, answer)
    };
    match mood {
        None => axum::Json(answer).into_response(),
        Some(Mood::Status(status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Some(Mood::Errcode(code)) => axum::Json(json!({ "errcode": code, "errmsg": "no" })).into_response(),
        Some(Mood::Redirect) => (StatusCode::TEMPORARY_REDIRECT, [("location", uri.to_string())]).into_response(),
        Some(Mood::TakeAndHang) => std::future::pending().await,
        Some(Mood::Endless) => {
            let chunks = tokio_stream::iter(std::iter::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4_096]))));
            axum::body::Body::from_stream(chunks).into_response()
        }
    }
}

/// As 企业微信 answers: 93000 for the key, 40008 for the type, 40058 for form and length, 44004 for nothing.
fn wecom_offence(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<(i64, String)> {
    let bad = |code: i64, why: String| Some((code, why));
    if method != Method::POST || uri.path() != PATH {
        return bad(40_058, format!("{method} {}", uri.path()));
    }
    if uri.query() != Some(&format!("key={KEY}")) {
        return bad(93_000, "invalid webhook url".into());
    }
    if headers.get("content-type").is_none_or(|t| !t.as_bytes().starts_with(b"application/json")) {
        return bad(40_058, "not application/json".into());
    }
    let Ok(Value::Object(message)) = serde_json::from_slice::<Value>(body) else { return bad(40_058, "no JSON object".into()) };
    if message.get("msgtype") != Some(&json!("text")) {
        return bad(40_008, format!("msgtype {:?}", message.get("msgtype")));
    }
    if let Some(key) = message.keys().find(|k| !["msgtype", "text"].contains(&k.as_str())) {
        return bad(40_058, format!("unknown key {key}"));
    }
    let Some(Value::Object(text)) = message.get("text") else { return bad(40_058, "no text".into()) };
    if let Some(key) = text.keys().find(|k| !["content", "mentioned_list", "mentioned_mobile_list"].contains(&k.as_str())) {
        return bad(40_058, format!("unknown key text.{key}"));
    }
    for list in ["mentioned_list", "mentioned_mobile_list"] {
        let strings = |v: &Value| v.as_array().is_some_and(|a| a.iter().all(Value::is_string));
        if text.get(list).is_some_and(|v| !strings(v)) {
            return bad(40_058, format!("text.{list} is no list of texts"));
        }
    }
    match text.get("content").and_then(Value::as_str) {
        None | Some("") => bad(44_004, "empty content".into()),
        Some(content) if content.len() > 2_048 => bad(40_058, format!("content is {} bytes, at most 2048", content.len())),
        Some(_) => None,
    }
}

fn webhook_offence(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<(i64, String)> {
    let head = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let whole = ["id", "kind", "at", "gateway", "text"].iter().all(|k| !parsed[k].is_null());
    let good = method == Method::POST
        && uri.path() == "/hook"
        && head("content-type").starts_with("application/json")
        && head("x-heyun-id") == parsed["id"].as_str().unwrap_or("none")
        && head("x-heyun-timestamp").parse::<i64>().is_ok()
        && whole;
    (!good).then(|| (1, format!("{method} {uri} {headers:?} {parsed}")))
}
