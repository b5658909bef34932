//! `/api/v1/meters`: how every metering point is now.

use super::error::Error;
use super::handles::Snapshots;
use super::params::{Id, Params};
use super::{clock, dto};
use crate::domain::engine::{PointState, Snapshot};
use crate::domain::incident::IncidentState;
use crate::domain::meter::StepCounts;
use crate::domain::reading::SourceId;
use crate::domain::time::Ts;
use crate::domain::topology::{Boundary, Column, Medium, PlaceKind, PointIx, PointKind, Responsible, Topology, ValveCard};
use crate::history::Register;
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Points in one answer, at most.
const PAGE: usize = 1_000;

/// How the metering points are, in the order of the config.
#[derive(Debug, Serialize, ToSchema)]
pub struct Meters {
    /// When the gateway's state was taken.
    at: Stamp,
    meters: Vec<Meter>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

/// A metering point and its state.
#[derive(Debug, Serialize, ToSchema)]
pub struct Meter {
    name: String,
    /// From the community down to where the point is.
    place: Vec<Step>,
    /// `bulk` 总表, `sub` 户表 or `make_up` 补水表.
    #[schema(value_type = String)]
    kind: PointKind,
    /// `settlement` 结算表 or `assessment` 考核表.
    #[schema(value_type = String)]
    boundary: Boundary,
    /// Who repairs what leaks behind it: `water_company`, `owners` or `household`. Null where it measures no water.
    #[schema(value_type = Option<String>)]
    responsible: Option<Responsible>,
    valve: Option<Valve>,
    #[serde(flatten)]
    state: MeterState,
}

/// A place on the way down.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    #[schema(value_type = String)]
    kind: PlaceKind,
    key: String,
    name: String,
}

/// The valve that stops the water behind a point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Valve {
    place: String,
    key_holder: Option<String>,
    /// Which units go dry.
    shuts_off: Option<String>,
    may_close: Option<String>,
    photo: Option<String>,
}

impl Valve {
    pub fn new(v: &ValveCard) -> Valve {
        let v = v.clone();
        Valve { place: v.place, key_holder: v.key_holder, shuts_off: v.shuts_off, may_close: v.may_close, photo: v.photo }
    }
}

/// The part of a point that changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeterState {
    /// Global id.
    #[schema(value_type = String)]
    id: Arc<str>,
    /// The id in the config.
    key: String,
    /// What it counts: `water`, `hot_water`, `heat`, `electricity` or `gas`.
    #[schema(value_type = String)]
    medium: Medium,
    /// Time of the newest accepted reading; for a mean flow the end of its span.
    last_reading_at: Option<Stamp>,
    /// The register then; null where the source tells a mean flow, and where it counts energy.
    register_litres: Option<Decimal>,
    /// The register then, of heat and electricity; null where it counts a volume.
    register_kilowatt_hours: Option<Decimal>,
    /// How old that reading is by the gateway's clock; 0 where it lies ahead.
    data_age_seconds: Option<i64>,
    /// Mean flow between the two newest accepted readings; null where it counts energy.
    flow_litres_per_hour: Option<Decimal>,
    /// Mean power between them, of heat and electricity; null where it counts a volume.
    power_kilowatts: Option<Decimal>,
    month: Option<MonthUse>,
    /// 失联: no reading for longer than its limit.
    silent: bool,
    steps: Steps,
    /// Ids of the open incidents that speak of it.
    #[schema(value_type = Vec<String>)]
    incidents: Vec<Arc<str>>,
}

/// The calendar month of the newest reading, as far as it was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthUse {
    /// `2026-11`
    month: String,
    /// Of water, cold or hot; else null.
    tonnes: Option<Decimal>,
    /// Of gas; else null.
    cubic_metres: Option<Decimal>,
    /// Of heat and electricity; else null.
    kilowatt_hours: Option<Decimal>,
    /// Only where a price is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    yuan: Option<Decimal>,
}

/// How often the register did what, since the store began.
#[derive(Debug, Serialize, ToSchema)]
pub struct Steps {
    forward: u64,
    equal: u64,
    /// Fell by no more than its resolution.
    jitter: u64,
    /// 清零: fell for good.
    reset: u64,
    /// 走满归零: ran full.
    rollover: u64,
    /// Rose further than water can; not counted.
    jump: u64,
    /// Misread once; ignored.
    spike: u64,
    /// Older than the newest accepted reading.
    late: u64,
    /// Pauses much longer than usual.
    gap: u64,
    /// 换表: taken out, by a person's word.
    replaced: u64,
}

impl Steps {
    fn new(s: StepCounts) -> Steps {
        let StepCounts { forward, equal, jitter, reset, rollover, jump, spike, late, gap, replaced } = s;
        Steps { forward, equal, jitter, reset, rollover, jump, spike, late, gap, replaced }
    }
}

/// All metering points and how they are
#[utoipa::path(get, path = "/api/v1/meters", tag = "state",
    params(("after" = Option<u64>, Query, description = "skip this many"),
           ("limit" = Option<usize>, Query, description = "1 to 1000, default 1000")),
    responses((status = 200, body = Meters), (status = "default", body = super::error::Problem)))]
pub async fn meters(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    params: Params,
) -> Result<Json<Meters>, Error> {
    let params = params.only(&["after", "limit"])?;
    let limit = params.limit(PAGE, PAGE)?;
    let after = params.number("after")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let snapshot = snapshots.borrow().clone();
    let now = clock::now();
    let metered = || snapshot.points.iter().filter(|p| topology.point(p.point).kind.is_metered());
    let meters: Vec<Meter> = metered().skip(after).take(limit).map(|p| meter(&topology, &snapshot, p, now)).collect();
    let seen = after.saturating_add(meters.len());
    let next = (seen < metered().count()).then(|| format!("/api/v1/meters?after={seen}&limit={limit}"));
    Ok(Json(Meters { at: Stamp::new(snapshot.at, &topology.tz), meters, next }))
}

/// One metering point and how it is
#[utoipa::path(get, path = "/api/v1/meters/{id}", tag = "state", operation_id = "meter",
    params(("id" = String, Path, description = "key of the config, or global id")),
    responses((status = 200, body = Meter), (status = "default", body = super::error::Problem)))]
pub async fn one(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Meter>, Error> {
    params.only(&[])?;
    let snapshot = snapshots.borrow().clone();
    let ix = find(&topology, &snapshot, &id)?;
    // A sensor has no register: as a meter it would be one that was never read.
    let metered = snapshot.points.get(ix.0 as usize).filter(|_| topology.point(ix).kind.is_metered());
    let state = metered.ok_or(Error::UnknownMeter { id })?;
    Ok(Json(meter(&topology, &snapshot, state, clock::now())))
}

/// The point of a key or a global id.
pub fn find(topology: &Topology, snapshot: &Snapshot, id: &str) -> Result<PointIx, Error> {
    let by_id = || snapshot.points.iter().find(|p| &*p.id == id).map(|p| p.point);
    topology.point_by_key(id).or_else(by_id).ok_or_else(|| Error::UnknownMeter { id: id.to_owned() })
}

fn meter(t: &Topology, snapshot: &Snapshot, p: &PointState, now: Ts) -> Meter {
    let point = t.point(p.point);
    let mut place: Vec<Step> =
        t.path(point.place).map(|ix| t.place(ix)).map(|p| Step { kind: p.kind, key: p.key.clone(), name: p.name.clone() }).collect();
    place.reverse();
    Meter {
        name: point.name.clone(),
        place,
        kind: point.kind,
        boundary: point.boundary,
        responsible: Some(point.responsible).filter(|_| point.medium.is_water()),
        valve: point.valve.as_ref().map(Valve::new),
        state: state(t, snapshot, p, now),
    }
}

/// How a point is.
pub fn state(t: &Topology, snapshot: &Snapshot, p: &PointState, now: Ts) -> MeterState {
    let point = t.point(p.point);
    let medium = point.medium;
    let register = p.last.filter(|_| point.meter.mean_flow_over.is_none()).map(|m| m.register);
    let (register_litres, register_kilowatt_hours) = dto::amount(medium, register);
    let (flow_litres_per_hour, power_kilowatts) = dto::rate(medium, p.flow);
    let month = p.month.map(|(month, used)| MonthUse {
        month: month.to_string(),
        tonnes: medium.is_water().then(|| Decimal::tonnes(used)),
        cubic_metres: (medium == Medium::Gas).then(|| Decimal::cubic_metres(used)),
        kilowatt_hours: medium.is_energy().then(|| Decimal::kilowatt_hours(used)),
        yuan: point.price_milliyuan_per_tonne.map(|price| Decimal::yuan(used, price)),
    });
    let open = snapshot.incidents.iter().filter(|i| i.state != IncidentState::Closed && i.points.contains(&point.key));
    MeterState {
        id: p.id.clone(),
        key: point.key.clone(),
        medium,
        last_reading_at: Stamp::maybe(p.last.map(|m| m.ts), &t.tz),
        register_litres,
        register_kilowatt_hours,
        data_age_seconds: p.last.map(|m| ((now - m.ts).0 / 1_000).max(0)),
        flow_litres_per_hour,
        power_kilowatts,
        month,
        silent: p.silent,
        steps: Steps::new(p.steps),
        incidents: open.map(|i| i.id.clone()).collect(),
    }
}

/// The source of a point, and where in its rows the register is.
pub struct Bound {
    /// None until the source's first message was stored.
    pub source: Option<SourceId>,
    /// As stored.
    pub columns: Arc<[Column]>,
    /// None while nothing of it is stored.
    pub register: Option<Register>,
}

/// The source of a point; None where the config names none or nothing was heard of it.
pub fn source(t: &Topology, snapshot: &Snapshot, ix: PointIx) -> Option<Bound> {
    let binding = t.point(ix).source.as_ref()?;
    let s = snapshot.sources.iter().find(|s| *s.topic == *binding.topic)?;
    Some(Bound { source: s.source, columns: s.columns.clone(), register: Register::now(t, snapshot, ix) })
}
