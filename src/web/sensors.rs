//! `/api/v1/sensors`: devices that measure no water, and what they say now.

use super::clock;
use super::dto::unit;
use super::error::{Error, Problem};
use super::handles::Snapshots;
use super::params::Params;
use super::sources::PresenceReport;
use crate::domain::engine::{PointState, Snapshot, SourceState};
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::incident::IncidentState;
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::domain::units::Quantity;
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const PAGE: usize = 1_000;

/// Sensors in the order of the config.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sensors {
    /// When the gateway's state was taken.
    at: Stamp,
    sensors: Vec<SensorReport>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

/// A sensor and what it said last.
#[derive(Debug, Serialize, ToSchema)]
pub struct SensorReport {
    /// Global id.
    #[schema(value_type = String)]
    id: Arc<str>,
    key: String,
    name: String,
    /// Names of the places, from the top.
    place: Vec<String>,
    /// When its newest message was measured.
    last_reading_at: Option<Stamp>,
    data_age_seconds: Option<i64>,
    /// What stood in its newest message.
    values: Vec<ValueReport>,
    /// What it says of itself or its place now: `wet`, `emergency`, `open`, `battery_low` …
    #[schema(value_type = Vec<String>)]
    flags: Vec<&'static str>,
    /// No message for longer than its limit.
    silent: bool,
    presence: Option<PresenceReport>,
    /// Open incidents that speak of it.
    #[schema(value_type = Vec<String>)]
    incidents: Vec<Arc<str>>,
}

/// One number of a sensor.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValueReport {
    /// The column: `room`, `supply`, `return`, `battery` …
    name: String,
    value: Decimal,
    unit: &'static str,
}

/// Sensors: leak ropes, buttons, doors, rooms, radiators, valves
#[utoipa::path(get, path = "/api/v1/sensors", tag = "state",
    params(("after" = Option<u64>, Query, description = "skip this many"),
           ("limit" = Option<usize>, Query, description = "1 to 1000, default 1000")),
    responses((status = 200, body = Sensors), (status = "default", body = Problem)))]
pub async fn sensors(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    params: Params,
) -> Result<Json<Sensors>, Error> {
    let params = params.only(&["after", "limit"])?;
    let limit = params.limit(PAGE, PAGE)?;
    let after = params.number("after")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let snapshot = snapshots.borrow().clone();
    let now = clock::now();
    let all = || snapshot.points.iter().filter(|p| !topology.point(p.point).kind.is_metered());
    let sensors: Vec<SensorReport> = all().skip(after).take(limit).map(|p| report(&topology, &snapshot, p, now)).collect();
    let seen = after.saturating_add(sensors.len());
    let next = (seen < all().count()).then(|| format!("/api/v1/sensors?after={seen}&limit={limit}"));
    Ok(Json(Sensors { at: Stamp::new(snapshot.at, &topology.tz), sensors, next }))
}

/// Where a sensor's messages come from; None until the first.
pub fn source<'s>(snapshot: &'s Snapshot, p: &PointState) -> Option<&'s SourceState> {
    snapshot.sources.iter().find(|s| s.points.contains(&p.point))
}

/// How a sensor is.
pub fn report(t: &Topology, snapshot: &Snapshot, p: &PointState, now: Ts) -> SensorReport {
    let point = t.point(p.point);
    let source = source(snapshot, p);
    let last = source.and_then(|s| s.last);
    let columns = source.map_or(&[][..], |s| &s.columns);
    let values = last.iter().flat_map(|(_, values)| values.iter());
    let shown = |(i, v): (usize, i64)| {
        let column = columns.get(i).filter(|c| c.quantity != Quantity::Flags)?;
        Some(ValueReport { name: column.name.clone(), value: Decimal::of(column.quantity, v), unit: unit(column.quantity) })
    };
    let mut place: Vec<String> = t.path(point.place).map(|ix| t.place(ix).name.clone()).collect();
    place.reverse();
    let open = snapshot.incidents.iter().filter(|i| i.state != IncidentState::Closed && i.points.contains(&point.key));
    SensorReport {
        id: p.id.clone(),
        key: point.key.clone(),
        name: point.name.clone(),
        place,
        last_reading_at: Stamp::maybe(last.map(|(ts, _)| ts), &t.tz),
        data_age_seconds: last.map(|(ts, _)| ((now - ts).0 / 1_000).max(0)),
        values: values.filter_map(shown).collect(),
        flags: source.map_or(FlagSet::NONE, |s| s.flags).iter().map(Flag::code).collect(),
        silent: p.silent,
        presence: source.and_then(|s| s.presence).map(|(online, since)| PresenceReport { online, since: Stamp::new(since, &t.tz) }),
        incidents: open.map(|i| i.id.clone()).collect(),
    }
}
