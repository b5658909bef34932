//! `/api/v1/meters/{id}/readings`: the stored messages of a point's source, as they came.

use super::clock;
use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::meters;
use super::params::{Id, Params};
use super::time_param::{self, Span};
use super::topology::ColumnReport;
use crate::domain::reading::{Flags, Row};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Column, Topology};
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::fmt::Write as _;
use std::sync::Arc;
use utoipa::ToSchema;

/// Rows in one answer: what a page draws, and at most half a megabyte.
const DEFAULT: usize = 1_000;
const MOST: usize = 5_000;

/// Stored messages of one source, by time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readings {
    /// Key of the point.
    meter: String,
    from: Stamp,
    /// Not part of the span.
    to: Stamp,
    /// What the `values` are, in their order.
    columns: Vec<ColumnReport>,
    /// Which of the columns is the point's register (or mean flow); null while none is.
    register: Option<usize>,
    readings: Vec<Reading>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Reading {
    time: Stamp,
    /// In the order of `columns`; null where the message had none.
    #[schema(value_type = Vec<Option<f64>>)]
    values: Vec<Option<Decimal>>,
    /// `clock_unsure`: the gateway's clock was not synchronised; `arrival_time`: the message had no time of its own; `ahead`: its time lay
    /// far ahead of an unsure clock, no flow is made of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
}

/// The raw readings of a metering point's source
///
/// Half-open span, by the readings' own time, the last 24 hours where nothing is said.
#[utoipa::path(get, path = "/api/v1/meters/{id}/readings", tag = "history",
    params(("id" = String, Path, description = "key of the config, or global id"),
           ("from" = Option<String>, Query, description = "RFC 3339, a date in the compound's zone, or Unix milliseconds"),
           ("to" = Option<String>, Query, description = "like `from`; not part of the span"),
           ("limit" = Option<usize>, Query, description = "1 to 5000, default 1000")),
    responses((status = 200, body = Readings), (status = "default", body = Problem)))]
pub async fn readings(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Readings>, Error> {
    let params = params.only(&["from", "to", "limit"])?;
    let limit = params.limit(DEFAULT, MOST)?;
    let span = time_param::span(&params, &topology.tz, clock::now())?;
    let snapshot = snapshots.borrow().clone();
    let ix = meters::find(&topology, &snapshot, &id)?;
    let bound = meters::source(&topology, &snapshot, ix);
    let (columns, register) = bound.as_ref().map_or((Arc::from([]), None), |b| (b.columns.clone(), b.register));
    let rows = match bound.and_then(|b| b.source) {
        Some(source) => store.ask(move |r| r.readings(source, span.from, span.to, limit)).await?,
        None => vec![],
    };
    Ok(Json(Readings {
        meter: topology.point(ix).key.clone(),
        from: Stamp::new(span.from, &topology.tz),
        to: Stamp::new(span.to, &topology.tz),
        columns: columns.iter().map(ColumnReport::new).collect(),
        register,
        readings: rows.iter().map(|r| reading(r, &columns, &topology.tz)).collect(),
        next: next_page(&id, "readings", &rows, span, limit),
    }))
}

fn reading(row: &Row, columns: &[Column], tz: &TimeZone) -> Reading {
    let value = |(i, c): (usize, &Column)| row.values.get(i).map(|v| Decimal::of(c.quantity, v));
    let names = [(Flags::CLOCK_UNSURE, "clock_unsure"), (Flags::ARRIVAL_TIME, "arrival_time"), (Flags::AHEAD, "ahead")];
    Reading {
        time: Stamp::new(row.ts, tz),
        values: columns.iter().enumerate().map(value).collect(),
        flags: names.into_iter().filter(|(f, _)| row.flags.contains(*f)).map(|(_, n)| n).collect(),
    }
}

/// The address of what follows a full page: everything after its last row.
pub fn next_page(id: &str, what: &str, rows: &[Row], span: Span, limit: usize) -> Option<String> {
    let last = rows.last().filter(|_| rows.len() == limit)?;
    let from: Ts = last.ts + Ms(1);
    (from < span.to).then(|| format!("/api/v1/meters/{}/{what}?from={}&to={}&limit={limit}", escaped(id), from.0, span.to.0))
}

/// A path segment; keys may be written in any script.
fn escaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for b in segment.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}
