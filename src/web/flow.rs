//! `/api/v1/meters/{id}/flow`: what flowed through a point, from its history.

use super::dto::{amount, rate};
use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::params::{Id, Params};
use super::past::Past;
use super::tagged::{Answers, Tagged};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Medium, Topology};
use crate::history::{self, Intervals, Scale, Span};
use crate::texts::{Decimal, Stamp, say};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What `resolution` may say; `Auto` is decided by the length of the span.
#[derive(Clone, Copy)]
enum Wanted {
    Auto,
    This(Resolution),
}

const RESOLUTIONS: [(&str, Wanted); 4] = [
    ("auto", Wanted::Auto),
    ("raw", Wanted::This(Resolution::Raw)),
    ("hour", Wanted::This(Resolution::Hour)),
    ("day", Wanted::This(Resolution::Day)),
];

/// Up to here `auto` shows every reading.
const RAW: Ms = Ms::days(8);
/// Up to here `auto` shows hours, and nobody gets more of them at once: they are made from the rows.
const HOURS: Ms = Ms::days(100);

const DEFAULT: usize = 2_000;
const MOST: usize = 5_000;

/// What flowed through a point, reading by reading.
#[derive(Debug, Serialize, ToSchema)]
pub struct Flow {
    /// Key of the point.
    meter: String,
    from: Stamp,
    /// Not part of the span.
    to: Stamp,
    resolution: Resolution,
    /// What it counts: `water`, `hot_water`, `heat`, `electricity` or `gas`. Litres are null of heat and electricity, kilowatt-hours of the others.
    #[schema(value_type = String)]
    medium: Medium,
    /// The sum of the known volumes.
    litres: Option<Decimal>,
    kilowatt_hours: Option<Decimal>,
    /// How many intervals have an unknown volume, or how many buckets are not complete.
    unknown: usize,
    /// Whole hours or days of the compound's clocks, without a hole; `from` and `to` are widened to them. Empty where `resolution` is `raw`.
    buckets: Vec<Bucket>,
    /// By time, without overlap. An interval belongs to the span that its last reading lies in, so pages fit together; the first may begin
    /// before `from`. Empty where `resolution` is `hour` or `day`.
    intervals: Vec<Interval>,
    /// Readings that make no interval.
    ignored: Vec<Ignored>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

/// How fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Reading by reading.
    Raw,
    Hour,
    Day,
}

/// An hour or a day. An interval that reaches over its edge counts for the part that lies in it, by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bucket {
    from: Stamp,
    to: Stamp,
    /// What is known to have passed; null where nothing is known of it.
    litres: Option<Decimal>,
    /// Mean over the time that is known.
    litres_per_hour: Option<Decimal>,
    kilowatt_hours: Option<Decimal>,
    kilowatts: Option<Decimal>,
    /// All of its time is known, and the readings around its edges are close together. Never so before the bucket is over.
    complete: bool,
}

/// From one accepted reading to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Interval {
    from: Stamp,
    to: Stamp,
    /// Null where it cannot be known: across a reset or a jump.
    litres: Option<Decimal>,
    litres_per_hour: Option<Decimal>,
    kilowatt_hours: Option<Decimal>,
    kilowatts: Option<Decimal>,
    kind: Kind,
    /// Much longer than this meter's usual pause: the volume is certain, its moment is not.
    gap: bool,
}

/// How the register moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Forward,
    Equal,
    /// Fell by no more than its resolution: no water.
    Jitter,
    /// 走满归零: ran full and went on at zero.
    Rollover,
    /// 清零: fell for good, reset or replaced.
    Reset,
    /// Rose further than water can, and stayed.
    Jump,
    /// 换表: to the end of a meter that was taken out; without litres where nobody read it.
    Replaced,
}

/// A reading that makes no interval, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ignored {
    time: Stamp,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The source's first reading: nothing is known of before.
    First,
    /// Does not fit; no later reading of the span has confirmed or refuted it.
    Held,
    /// Did not fit, and the register came back: a misreading.
    Spike,
    /// Its span had been accounted for before.
    Late,
    /// Its time lay far ahead of an unsure clock.
    Ahead,
    /// Its time lies before anything here existed (stored while the clock was unsure).
    Old,
    /// Somebody has said that it is a misreading: see the meter's ledger.
    Refused,
}

/// What flowed through a metering point
///
/// The stored readings of the span as intervals between accepted readings, or summed into hours or days. Resets, jumps and misreadings are
/// shown as such, never guessed.
#[utoipa::path(get, path = "/api/v1/meters/{id}/flow", tag = "history",
    params(("id" = String, Path, description = "key of the config, or global id"),
           ("from" = Option<String>, Query, description = "RFC 3339, a date in the compound's zone, or Unix milliseconds"),
           ("to" = Option<String>, Query, description = "like `from`; not part of the span"),
           ("limit" = Option<usize>, Query, description = "readings to fold, 1 to 5000, default 2000; only where the resolution is `raw`"),
           ("resolution" = Option<String>, Query, description = "`raw` (the default), `hour` (at most 100 days), `day`, or `auto`: up to 8 days raw, up to 100 days hours, beyond them days")),
    responses((status = 200, body = Flow), (status = 304, description = "what `If-None-Match` names is still right"), (status = "default", body = Problem)))]
pub async fn flow(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    State(answers): State<Answers>,
    Id(id): Id,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Error> {
    let params = params.only(&["from", "to", "limit", "resolution"])?;
    let snapshot = snapshots.borrow().clone();
    let past = Past::of(&id, &params, (DEFAULT, MOST), &topology, &snapshot)?;
    let resolution = resolution(&params, past.span)?;
    let question = format!("{resolution:?} {} {} {} {id}", past.span.from.0, past.span.to.0, past.limit);
    if let Some(known) = answers.known(&snapshot, &question) {
        return Ok(known.response(&headers));
    }
    let flow = match resolution {
        Resolution::Raw => raw(&topology, &store, &id, &past).await?,
        Resolution::Hour => bucketed(&topology, &store, &past, resolution, Scale::Hour).await?,
        Resolution::Day => bucketed(&topology, &store, &past, resolution, Scale::Day).await?,
    };
    let answer = Tagged::new(&flow)?;
    answers.keep(&snapshot, question, &answer);
    Ok(answer.response(&headers))
}

async fn bucketed(topology: &Arc<Topology>, store: &Store, past: &Past, resolution: Resolution, scale: Scale) -> Result<Flow, Error> {
    let (point, span, register) = (past.point, past.span, past.bound.as_ref().and_then(|b| b.register.clone()));
    let t = topology.clone();
    let buckets = store.ask(move |r| history::buckets(r, &t, point, register.as_ref(), span, scale)).await?;
    let medium = topology.point(point).medium;
    let (litres, kilowatt_hours) = amount(medium, Some(buckets.iter().filter_map(|b| b.volume).sum()));
    let edge = |bucket: Option<&history::Bucket>, of: fn(Span) -> Ts, or| Stamp::new(bucket.map_or(or, |b| of(b.span)), &topology.tz);
    Ok(Flow {
        meter: topology.point(point).key.clone(),
        from: edge(buckets.first(), |s| s.from, span.from),
        to: edge(buckets.last(), |s| s.to, span.to),
        resolution,
        medium,
        litres,
        kilowatt_hours,
        unknown: buckets.iter().filter(|b| !b.complete).count(),
        buckets: buckets.iter().map(|b| bucket(b, medium, &topology.tz)).collect(),
        intervals: vec![],
        ignored: vec![],
        next: None,
    })
}

fn resolution(params: &Params, span: Span) -> Result<Resolution, Error> {
    let long = span.to - span.from;
    Ok(match params.choice("resolution", &RESOLUTIONS)?.unwrap_or(Wanted::This(Resolution::Raw)) {
        Wanted::Auto if long <= RAW => Resolution::Raw,
        Wanted::Auto if long <= HOURS => Resolution::Hour,
        Wanted::Auto => Resolution::Day,
        Wanted::This(Resolution::Hour) if long > HOURS => {
            let expected = say("expected.days", &[("days", (HOURS.0 / Ms::days(1).0).into())]);
            return Err(Error::BadParameter { name: "from", value: params.get("from").unwrap_or_default().to_owned(), expected });
        }
        Wanted::This(resolution) => resolution,
    })
}

async fn raw(topology: &Arc<Topology>, store: &Store, id: &str, past: &Past) -> Result<Flow, Error> {
    let (point, span, limit) = (past.point, past.span, past.limit);
    let found = match past.bound.as_ref().and_then(|b| b.register.clone()) {
        Some(register) => {
            let topology = topology.clone();
            store.ask(move |r| history::intervals(r, &topology, point, &register, span, limit)).await?
        }
        None => Intervals::default(),
    };
    let (tz, medium) = (&topology.tz, topology.point(point).medium);
    let (litres, kilowatt_hours) = amount(medium, Some(found.intervals.iter().filter_map(|i| i.volume).sum()));
    Ok(Flow {
        meter: topology.point(point).key.clone(),
        from: Stamp::new(span.from, tz),
        to: Stamp::new(span.to, tz),
        resolution: Resolution::Raw,
        medium,
        litres,
        kilowatt_hours,
        unknown: found.intervals.iter().filter(|i| i.volume.is_none()).count(),
        buckets: vec![],
        intervals: found.intervals.iter().map(|i| interval(i, medium, tz)).collect(),
        ignored: found.ignored.iter().map(|i| Ignored { time: Stamp::new(i.ts, tz), why: why(i.why) }).collect(),
        next: past.next(id, "flow", found.last),
    })
}

fn bucket(b: &history::Bucket, medium: Medium, tz: &TimeZone) -> Bucket {
    let (litres, kilowatt_hours) = amount(medium, b.volume);
    let (litres_per_hour, kilowatts) = rate(medium, b.volume.map(|v| v.per(b.known.0)));
    Bucket {
        from: Stamp::new(b.span.from, tz),
        to: Stamp::new(b.span.to, tz),
        litres,
        kilowatt_hours,
        litres_per_hour,
        kilowatts,
        complete: b.complete,
    }
}

fn interval(i: &history::Interval, medium: Medium, tz: &TimeZone) -> Interval {
    let (litres, kilowatt_hours) = amount(medium, i.volume);
    let (litres_per_hour, kilowatts) = rate(medium, i.volume.map(|v| v.per((i.to - i.from).0)));
    Interval {
        from: Stamp::new(i.from, tz),
        to: Stamp::new(i.to, tz),
        litres,
        kilowatt_hours,
        litres_per_hour,
        kilowatts,
        kind: match i.kind {
            history::Kind::Forward => Kind::Forward,
            history::Kind::Equal => Kind::Equal,
            history::Kind::Jitter => Kind::Jitter,
            history::Kind::Rollover => Kind::Rollover,
            history::Kind::Reset => Kind::Reset,
            history::Kind::Jump => Kind::Jump,
            history::Kind::Replaced => Kind::Replaced,
        },
        gap: i.gap,
    }
}

fn why(w: history::Why) -> Why {
    match w {
        history::Why::First => Why::First,
        history::Why::Held => Why::Held,
        history::Why::Spike => Why::Spike,
        history::Why::Late => Why::Late,
        history::Why::Ahead => Why::Ahead,
        history::Why::Old => Why::Old,
        history::Why::Refused => Why::Refused,
    }
}
