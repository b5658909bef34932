//! `/api/v1/sources`: where messages come from, what became of them, and what the last bad one looked like.

use super::clock;
use super::error::{Error, Problem};
use super::handles::Snapshots;
use super::params::Params;
use super::topology::ColumnReport;
use crate::domain::engine::{BadPayload, SourceState};
use crate::domain::reading::{Counts, Reject};
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::texts::{self, Stamp, Text};
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

const PAGE: usize = 1_000;

/// Sources in order of their first message.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sources {
    /// When the gateway's state was taken.
    at: Stamp,
    /// All messages of this process, of all sources.
    totals: CountsReport,
    sources: Vec<SourceReport>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

/// A topic that was heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceReport {
    #[schema(value_type = String)]
    topic: Arc<str>,
    /// Name of the subscription; null for a topic that none matches.
    #[schema(value_type = Option<String>)]
    feed: Option<Arc<str>>,
    columns: Vec<ColumnReport>,
    /// Keys of the metering points that read it; empty: heard, but no meter is configured for it.
    points: Vec<String>,
    /// Newest stored time stamp.
    last_reading_at: Option<Stamp>,
    data_age_seconds: Option<i64>,
    presence: Option<PresenceReport>,
    counts: CountsReport,
    /// The newest message that was refused, since the process started.
    last_bad: Option<BadReport>,
}

/// Since the process started: received = stored + duplicate + rejected + in flight.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsReport {
    received: u64,
    stored: u64,
    duplicate: u64,
    /// By reason; reasons that never occurred are left out.
    rejected: BTreeMap<&'static str, u64>,
    rejected_total: u64,
    /// Received, but not yet known to be durable.
    in_flight: u64,
}

/// What a device or its broker says of whether it is there, since the process started.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceReport {
    pub online: bool,
    pub since: Stamp,
}

/// A message that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct BadReport {
    received_at: Stamp,
    /// The reason, as in `rejected`.
    code: &'static str,
    /// Place and value at fault; which, depends on the code.
    #[schema(value_type = Object)]
    args: Value,
    text: Text,
    /// The head of the payload; bytes that are no text and control characters are escaped.
    excerpt: String,
}

impl CountsReport {
    fn new(c: &Counts) -> CountsReport {
        let reasons = Reject::CODES.iter().copied().zip(c.rejected);
        CountsReport {
            received: c.received,
            stored: c.stored,
            duplicate: c.duplicate,
            rejected: reasons.filter(|(_, n)| *n > 0).collect(),
            rejected_total: c.rejected_total(),
            in_flight: c.in_flight(),
        }
    }
}

/// Where messages come from
#[utoipa::path(get, path = "/api/v1/sources", tag = "state",
    params(("after" = Option<u64>, Query, description = "skip this many"),
           ("limit" = Option<usize>, Query, description = "1 to 1000, default 1000")),
    responses((status = 200, body = Sources), (status = "default", body = Problem)))]
pub async fn sources(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    params: Params,
) -> Result<Json<Sources>, Error> {
    let params = params.only(&["after", "limit"])?;
    let limit = params.limit(PAGE, PAGE)?;
    let after = params.number("after")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let snapshot = snapshots.borrow().clone();
    let now = clock::now();
    let sources: Vec<_> = snapshot.sources.iter().skip(after).take(limit).map(|s| source(s, &topology, now)).collect();
    let seen = after.saturating_add(sources.len());
    Ok(Json(Sources {
        at: Stamp::new(snapshot.at, &topology.tz),
        totals: CountsReport::new(&snapshot.counts),
        next: (seen < snapshot.sources.len()).then(|| format!("/api/v1/sources?after={seen}&limit={limit}")),
        sources,
    }))
}

fn source(s: &SourceState, t: &Topology, now: Ts) -> SourceReport {
    SourceReport {
        topic: s.topic.clone(),
        feed: s.feed.clone(),
        columns: s.columns.iter().map(ColumnReport::new).collect(),
        points: s.points.iter().map(|p| t.point(*p).key.clone()).collect(),
        last_reading_at: Stamp::maybe(s.last_ts, &t.tz),
        data_age_seconds: s.last_ts.map(|ts| ((now - ts).0 / 1_000).max(0)),
        counts: CountsReport::new(&s.counts),
        presence: s.presence.map(|(online, since)| PresenceReport { online, since: Stamp::new(since, &t.tz) }),
        last_bad: s.last_bad.as_ref().map(|b| bad(b, &t.tz)),
    }
}

fn bad(b: &BadPayload, tz: &TimeZone) -> BadReport {
    BadReport {
        received_at: Stamp::new(b.received, tz),
        code: b.reason.code(),
        args: args(&b.reason, tz),
        text: texts::reject(&b.reason, tz),
        excerpt: b.excerpt.clone(),
    }
}

fn args(r: &Reject, tz: &TimeZone) -> Value {
    let at = |ts: &Ts| Stamp::new(*ts, tz);
    match r {
        Reject::TimeOld { ts, since } => json!({ "time": at(ts), "since": at(since) }),
        Reject::TimeAhead { ts, now } => json!({ "time": at(ts), "gateway_time": at(now) }),
        // In the smallest units, as they are stored: what differs is what matters.
        Reject::Conflict { ts, stored, got } => json!({ "time": at(ts), "stored": stored, "got": got }),
        other => {
            let mut value = serde_json::to_value(other).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("code");
            }
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_carry_no_bare_milliseconds() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let old = Reject::TimeOld { ts: Ts(0), since: Ts(1_262_304_000_000) };
        assert_eq!(args(&old, &tz), json!({ "time": "1970-01-01T08:00:00+08:00", "since": "2010-01-01T08:00:00+08:00" }));
        assert_eq!(args(&Reject::Size { bytes: 9, limit: 8 }, &tz), json!({ "bytes": 9, "limit": 8 }));
        assert_eq!(args(&Reject::Retained, &tz), json!({}));
    }
}
