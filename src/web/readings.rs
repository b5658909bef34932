//! `/api/v1/meters/{id}/readings`: the stored messages of a point's source, as they came.

use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::params::{Id, Params};
use super::past::Past;
use super::topology::ColumnReport;
use crate::domain::reading::{Flags, Row};
use crate::domain::topology::{Column, Topology};
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Serialize;
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
    let snapshot = snapshots.borrow().clone();
    let past = Past::of(&id, &params, (DEFAULT, MOST), &topology, &snapshot)?;
    let (span, limit) = (past.span, past.limit);
    let (columns, register) = past.bound.as_ref().map_or((Arc::from([]), None), |b| (b.columns.clone(), b.register.clone()));
    let rows = match past.bound.as_ref().and_then(|b| b.source) {
        Some(source) => {
            let width = columns.len();
            store.ask(move |r| r.readings_columns(source, width, (span.from, span.to), limit)).await?
        }
        None => vec![],
    };
    Ok(Json(Readings {
        meter: topology.point(past.point).key.clone(),
        from: Stamp::new(span.from, &topology.tz),
        to: Stamp::new(span.to, &topology.tz),
        columns: columns.iter().map(ColumnReport::new).collect(),
        register: register.map(|r| r.column),
        readings: rows.iter().map(|r| reading(r, &columns, &topology.tz)).collect(),
        next: past.next(&id, "readings", rows.last().filter(|_| rows.len() == limit).map(|r| r.ts)),
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
