//! 抄表: the meters that people read, with what is to be expected of them, and the way to hand a reading in.

use super::clock;
use super::dto::{Register, amount};
use super::error::{Error, Problem};
use super::handles::{EngineDoor, Snapshots};
use super::ledger::{EntryReport, report};
use super::meters::find;
use super::params::{Body, Id, Params};
use super::time_param::instant;
use super::written::{REGISTER, Written};
use crate::domain::engine::{HandReading, PointState, Snapshot};
use crate::domain::time::Ts;
use crate::domain::topology::{Medium, Topology};
use crate::domain::units::Rate;
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The book of a reading round: every meter that is read by hand, in the order of the places.
#[derive(Debug, Serialize, ToSchema)]
pub struct Book {
    /// When the gateway's state was taken.
    at: Stamp,
    meters: Vec<BookLine>,
}

/// One meter of the book.
#[derive(Debug, Serialize, ToSchema)]
pub struct BookLine {
    key: String,
    name: String,
    /// What it counts: `water`, `hot_water`, `heat`, `electricity` or `gas`. Litres are null of heat and electricity, kilowatt-hours of the others.
    #[schema(value_type = String)]
    medium: Medium,
    /// Names of the places, from the top.
    place: Vec<String>,
    serial: Option<String>,
    /// The newest reading that counts.
    last: Option<Register>,
    /// Between the two newest readings; what is to be expected follows from it.
    litres_per_day: Option<Decimal>,
    kilowatt_hours_per_day: Option<Decimal>,
    /// Where the register stands now, if it goes on like that.
    expected_litres: Option<Decimal>,
    expected_kilowatt_hours: Option<Decimal>,
    /// It cannot stand higher by now: more than this no pipe or wire lets through.
    most_litres: Option<Decimal>,
    most_kilowatt_hours: Option<Decimal>,
}

/// A reading that somebody took.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadRequest {
    /// Who read it; 1 to 60 characters.
    by: String,
    /// What the dial shows, all digits: of water and gas.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    register_litres: Option<Written>,
    /// Of heat and electricity.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    register_kilowatt_hours: Option<Written>,
    /// When it was read: RFC 3339 with an offset. Left out: now.
    #[serde(default)]
    time: Option<String>,
    /// At most 2000 characters.
    #[serde(default)]
    note: String,
}

/// What became of a reading.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadReport {
    #[serde(flatten)]
    entry: EntryReport,
    /// It follows the reading before it. If not, it is kept and counts once later ones confirm it: look at the dial again.
    plausible: bool,
    /// What passed since the reading before it.
    used_litres: Option<Decimal>,
    used_kilowatt_hours: Option<Decimal>,
}

/// The meters that are read by hand 抄表本
#[utoipa::path(get, path = "/api/v1/rounds", tag = "state",
    responses((status = 200, body = Book), (status = "default", body = Problem)))]
pub async fn rounds(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    params: Params,
) -> Result<Json<Book>, Error> {
    params.only(&[])?;
    let snapshot = snapshots.borrow().clone();
    let now = clock::now();
    let by_hand = |p: &&PointState| topology.point(p.point).source.as_ref().is_some_and(crate::domain::topology::Binding::is_by_hand);
    let mut points: Vec<&PointState> = snapshot.points.iter().filter(by_hand).collect();
    points.sort_by_key(|p| topology.point(p.point).place);
    let meters = points.into_iter().map(|p| line(&topology, p, now)).collect();
    Ok(Json(Book { at: Stamp::new(snapshot.at, &topology.tz), meters }))
}

fn line(t: &Topology, p: &PointState, now: Ts) -> BookLine {
    let point = t.point(p.point);
    let mut place: Vec<String> = t.path(point.place).map(|ix| t.place(ix).name.clone()).collect();
    place.reverse();
    let medium = point.medium;
    let since = |flow: Rate| p.last.map(|last| last.register + flow.over((now - last.ts).0.max(0)));
    let (litres_per_day, kilowatt_hours_per_day) = amount(medium, p.flow.map(|f| f.over(86_400_000)));
    let (expected_litres, expected_kilowatt_hours) = amount(medium, p.flow.and_then(since));
    let (most_litres, most_kilowatt_hours) = amount(medium, since(point.meter.max_flow));
    BookLine {
        key: point.key.clone(),
        name: point.name.clone(),
        medium,
        place,
        serial: p.amended.serial().or(point.meter.serial.as_deref()).map(str::to_owned),
        last: p.last.map(|m| Register::new(m, medium, &t.tz)),
        litres_per_day,
        kilowatt_hours_per_day,
        expected_litres,
        expected_kilowatt_hours,
        most_litres,
        most_kilowatt_hours,
    }
}

/// Hand in what the dial shows 抄表
///
/// Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/meters/{id}/hand-readings", tag = "commands", operation_id = "read_by_hand", request_body = ReadRequest,
    params(("id" = String, Path, description = "key of the config, or global id")),
    responses((status = 200, body = ReadReport), (status = 409, description = "it has a device, or was read before at that moment", body = Problem),
              (status = "default", body = Problem)))]
pub async fn read(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(engine): State<EngineDoor>,
    Id(id): Id,
    Body(b): Body<ReadRequest>,
) -> Result<Json<ReadReport>, Error> {
    let before = snapshots.borrow().clone();
    let ix = find(&topology, &before, &id)?;
    let ts = b.time.as_ref().map_or(Ok(clock::now()), |t| instant("time", t, &topology.tz))?;
    let medium = topology.point(ix).medium;
    let register = REGISTER.need(medium, b.register_litres.as_ref(), b.register_kilowatt_hours.as_ref())?;
    let hand = HandReading { point: topology.point(ix).key.clone(), ts, register, by: b.by, note: b.note };
    let entry = engine.read_by_hand(hand).await?;
    let after = snapshots.borrow().clone();
    let last = |s: &Snapshot| s.points.get(ix.0 as usize).and_then(|p| p.last);
    let plausible = last(&after).is_some_and(|m| m.ts >= ts);
    let used = last(&before).zip(last(&after)).filter(|(_, now)| now.ts == ts).map(|(was, now)| now.register - was.register);
    let (used_litres, used_kilowatt_hours) = amount(medium, used);
    Ok(Json(ReadReport { entry: report(&entry, &after.ledger, &topology), plausible, used_litres, used_kilowatt_hours }))
}
