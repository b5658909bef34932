//! A signed POST of JSON, for a program: `docs/guide/alerts.md` describes it to whoever writes that program.

use super::client::Answer;
use super::facts::{Facts, Flow};
use super::secret::Secret;
use super::trouble::{self, Retry, Trouble};
use super::words;
use crate::domain::finding::Cause;
use crate::domain::incident::{Closer, IncidentState, NoticeKind, Urgency};
use crate::domain::time::Ts;
use crate::domain::topology::{Responsible, Topology, ValveCard};
use crate::texts::{Decimal, Stamp, Text};
use ring::hmac;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
struct Payload<'a> {
    id: String,
    kind: NoticeKind,
    kinds: &'a [NoticeKind],
    at: Stamp,
    urgency: Urgency,
    gateway: &'a str,
    incident: Incident<'a>,
    text: Text,
}

#[derive(Serialize)]
struct Incident<'a> {
    id: &'a str,
    state: IncidentState,
    cause: Cause,
    place: &'a [String],
    point: &'a str,
    rule: &'static str,
    headline: Text,
    start_earliest: Stamp,
    start_latest: Stamp,
    litres_per_minute: Option<Decimal>,
    /// `now` or `mean`.
    litres_per_minute_is: Option<&'static str>,
    tonnes: Option<Decimal>,
    yuan: Option<Decimal>,
    responsible: Option<Responsible>,
    valve: Option<&'a ValveCard>,
    accepted_at: Option<Stamp>,
    accepted_by: Option<&'a str>,
    closed_at: Option<Stamp>,
    closed_by: Option<&'a str>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Test<'a> {
    id: String,
    kind: &'static str,
    at: Stamp,
    gateway: &'a str,
    text: Text,
}

/// The same for every attempt to tell the same thing: who has seen it need not see it again.
pub fn message_id(gateway: &str, event: u64) -> String {
    format!("{gateway}-{event}")
}

/// The body about one incident.
pub fn body(f: &Facts, t: &Topology) -> Vec<u8> {
    let stamp = |ts: Ts| Stamp::new(ts, &t.tz);
    let i = &f.incident;
    let point = f.point(t);
    let closed = i.closed.as_ref();
    let payload = Payload {
        id: message_id(&t.gateway, f.event),
        kind: f.kind(),
        kinds: &f.kinds,
        at: stamp(f.at),
        urgency: f.urgency(),
        gateway: &t.gateway,
        incident: Incident {
            id: &i.id,
            state: i.state,
            cause: i.cause,
            place: &f.place,
            point: &f.finding.point,
            rule: f.finding.kind.code(),
            headline: words::what(f, t),
            start_earliest: stamp(i.start.earliest),
            start_latest: stamp(i.start.latest),
            litres_per_minute: f.flow.map(words::litres_per_minute),
            litres_per_minute_is: f.flow.map(|flow| match flow {
                Flow::Now(_) => "now",
                Flow::Mean(_) => "mean",
            }),
            tonnes: f.passed.map(Decimal::tonnes),
            yuan: f.passed.and_then(|v| words::yuan(v, point)),
            responsible: point.filter(|p| p.medium.is_water()).map(|p| p.responsible),
            valve: point.and_then(|p| p.valve.as_ref()),
            accepted_at: i.accepted.as_ref().map(|(at, _)| stamp(*at)),
            accepted_by: i.accepted.as_ref().map(|(_, by)| by.as_str()),
            closed_at: closed.map(|(at, ..)| stamp(*at)),
            closed_by: closed.and_then(|(_, by, _)| match by {
                Closer::Person { name } => Some(name.as_str()),
                Closer::Meter => None,
            }),
            reason: closed.map(|(.., reason)| reason.as_str()),
        },
        text: words::message(f, t),
    };
    // Numbers and texts always have a form in JSON.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// The body of a test message.
pub fn test_body(t: &Topology, now: Ts) -> Vec<u8> {
    let id = message_id(&t.gateway, 0);
    let test = Test { id, kind: "test", at: Stamp::new(now, &t.tz), gateway: &t.gateway, text: words::test(&t.gateway) };
    serde_json::to_vec(&test).unwrap_or_default()
}

/// The headers beside the body: id, time in seconds, and with a secret the signature over `TIME.BODY`.
pub fn headers(id: String, secret: Option<&Secret>, now: Ts, body: &[u8]) -> Vec<(&'static str, String)> {
    let time = now.0.div_euclid(1_000).to_string();
    let mut out = vec![("x-heyun-id", id)];
    if let Some(secret) = secret {
        out.push(("x-heyun-signature", signature(secret, &time, body)));
    }
    out.push(("x-heyun-timestamp", time));
    out
}

fn signature(secret: &Secret, time: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()));
    context.update(time.as_bytes());
    context.update(b".");
    context.update(body);
    let mut out = String::from("sha256=");
    for byte in context.sign().as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Any 2xx is yes.
pub fn verdict(answer: &Answer) -> Result<(), (Trouble, Retry)> {
    trouble::of_status(answer).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '%s' '1764000000.{"id":"demo-1-7"}' | openssl dgst -sha256 -hmac geheim`
    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        let headers = headers("demo-1-7".into(), Some(&Secret::new("geheim")), Ts(1_764_000_000_999), br#"{"id":"demo-1-7"}"#);
        let find = |name| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(find("x-heyun-timestamp"), Some("1764000000"));
        assert_eq!(find("x-heyun-id"), Some("demo-1-7"));
        assert_eq!(find("x-heyun-signature"), Some("sha256=3c38b3fc2ced4cdc4103aa842ee530826d3f8f101ed439230fc54bd60d5b8650"));
    }
}
