//! The ledger of a meter: what people state about its past, and the way to state it or to take it back.

use super::error::Error;
use super::handles::{EngineDoor, Snapshots, Store};
use super::meters::find;
use super::params::{Body, Id, Params};
use super::time_param::instant;
use super::written::{END, OLD_PULSE_WEIGHT, OLD_ROLLOVER_AT, REGISTER, START, Written};
use crate::domain::amendment::{Amendments, Deed, Entries, Entry, Replaced};
use crate::domain::engine::{Amend, Statement};
use crate::domain::time::Ts;
use crate::domain::topology::{Point, Scale, Topology};
use crate::domain::units::Amount;
use crate::texts::{self, Stamp, Text, say};
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// What was stated about a meter, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ledger {
    /// Key of the metering point.
    point: String,
    entries: Vec<EntryReport>,
}

/// One entry. It is never changed: what does not hold is undone by another entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryReport {
    /// Its number, over all meters.
    entry: u64,
    /// Key of the metering point.
    point: String,
    written_at: Stamp,
    by: String,
    why: String,
    /// `replaced`, `calibrated`, `corrected`, `believed`, `refused` or `undone`.
    deed: &'static str,
    /// The moment that it speaks of; null for an undoing.
    time: Option<Stamp>,
    /// The sentence for people.
    text: Text,
    /// Number of the entry that undid this one.
    undone_by: Option<u64>,
    /// There is a picture: `/api/v1/ledger/{entry}/photo`.
    photo: bool,
}

/// What somebody states. Registers are what the dial shows: in litres of water and gas, in kilowatt-hours of heat and electricity. Times are RFC 3339 with an offset, a date (its first instant) or milliseconds since 1970.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateRequest {
    /// Who says so; 1 to 60 characters.
    by: String,
    /// Why; 1 to 2000 characters.
    why: String,
    /// `replaced`, `dial`, `corrected`, `believed` or `refused`.
    deed: String,
    /// Of all: the moment. For `dial`, `corrected` and `believed` that of a reading; for `refused` the first wrong reading's.
    time: String,
    /// `refused`: the last wrong reading's. Left out: until it is undone.
    #[serde(default)]
    to: Option<String>,
    /// `replaced`: what the old meter showed at its end, if somebody read it.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    end_litres: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    end_kilowatt_hours: Option<Written>,
    /// `replaced`: what the new meter shows at its beginning; 0 if left out.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    start_litres: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    start_kilowatt_hours: Option<Written>,
    /// `replaced`: on the new meter's plate, on its seal, and the date on its verification mark.
    #[serde(default)]
    serial: Option<String>,
    #[serde(default)]
    seal: Option<String>,
    #[serde(default)]
    verified: Option<String>,
    /// `replaced`: what one pulse or last digit of the old meter was, and where its register ran full. Left out: what the config says when this is
    /// written; from then on the config tells of the new meter.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    old_pulse_weight_litres: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    old_pulse_weight_kilowatt_hours: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    old_rollover_at_litres: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    old_rollover_at_kilowatt_hours: Option<Written>,
    /// `dial`: what the dial shows. `corrected`: what the reading was.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    register_litres: Option<Written>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    register_kilowatt_hours: Option<Written>,
    /// `dial`: the difference to the register is water that the device has missed.
    #[serde(default)]
    counts: bool,
}

/// Takes an entry back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// 1 to 60 characters.
    by: String,
    /// 1 to 2000 characters.
    why: String,
}

/// What was stated about a meter
#[utoipa::path(get, path = "/api/v1/meters/{id}/ledger", tag = "state", operation_id = "ledger",
    params(("id" = String, Path, description = "key of the config, or global id")),
    responses((status = 200, body = Ledger), (status = "default", body = super::error::Problem)))]
pub async fn ledger(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Ledger>, Error> {
    params.only(&[])?;
    let snapshot = snapshots.borrow().clone();
    let point = topology.point(find(&topology, &snapshot, &id)?).key.clone();
    let mut entries: Vec<EntryReport> = snapshot.ledger.of_point(&point).map(|e| report(e, &snapshot.ledger, &topology)).collect();
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        let among = first.entry..=last.entry;
        let with: BTreeSet<u64> = store.ask(move |reader| reader.photo_entries(among)).await?.into_iter().collect();
        entries.iter_mut().for_each(|e| e.photo = with.contains(&e.entry));
    }
    entries.reverse();
    Ok(Json(Ledger { point, entries }))
}

/// State something about a meter's past: a replacement 换表, a dial reading 校准, a correction, a decision about a jump
///
/// Readings stay as they are; days, months and what the rules remember follow anew. Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/meters/{id}/ledger", tag = "commands", operation_id = "state", request_body = StateRequest,
    params(("id" = String, Path, description = "key of the config, or global id")),
    responses((status = 200, body = EntryReport), (status = 409, description = "there is no such reading, or the dial is behind", body = super::error::Problem),
              (status = "default", body = super::error::Problem)))]
pub async fn state(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(engine): State<EngineDoor>,
    Id(id): Id,
    Body(b): Body<StateRequest>,
) -> Result<Json<EntryReport>, Error> {
    let snapshot = snapshots.borrow().clone();
    let ix = find(&topology, &snapshot, &id)?;
    let point = topology.point(ix);
    let amended = snapshot.points.get(ix.0 as usize).map(|p| p.amended.clone()).unwrap_or_default();
    let statement = statement(&b, point, &amended, &topology.tz)?;
    let point = point.key.clone();
    let entry = engine.amend(Amend { point, by: b.by, why: b.why, statement }).await?;
    Ok(Json(report(&entry, &snapshots.borrow().ledger, &topology)))
}

/// Take an entry back
///
/// Everything is again as if it had not been written; both stay on record. Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/ledger/{id}/undo", tag = "commands", operation_id = "undo", request_body = UndoRequest,
    params(("id" = String, Path, description = "number of the entry")),
    responses((status = 200, body = EntryReport), (status = 404, description = "no such entry in force", body = super::error::Problem),
              (status = "default", body = super::error::Problem)))]
pub async fn undo(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(engine): State<EngineDoor>,
    Id(id): Id,
    Body(b): Body<UndoRequest>,
) -> Result<Json<EntryReport>, Error> {
    let entry = id.parse().map_err(|_| Error::UnknownEntry { id })?;
    let amend = Amend { point: String::new(), by: b.by, why: b.why, statement: Statement::Undone { entry } };
    let entry = engine.amend(amend).await?;
    Ok(Json(report(&entry, &snapshots.borrow().ledger, &topology)))
}

/// How the old meter counted, where it is said.
fn old(b: &StateRequest, point: &Point, ts: Ts, amended: &Amendments) -> Result<Option<Scale>, Error> {
    let pulse = OLD_PULSE_WEIGHT.read(point.medium, b.old_pulse_weight_litres.as_ref(), b.old_pulse_weight_kilowatt_hours.as_ref())?;
    let full = OLD_ROLLOVER_AT.read(point.medium, b.old_rollover_at_litres.as_ref(), b.old_rollover_at_kilowatt_hours.as_ref())?;
    if pulse.is_none() && full.is_none() {
        return Ok(None);
    }
    let now = amended.scale(point.meter.scale(), ts);
    // Nothing smaller than one unit is seen.
    Ok(Some(Scale { pulse_weight: pulse.unwrap_or(now.pulse_weight).max(Amount(1)), rollover_at: full.or(now.rollover_at) }))
}

fn statement(b: &StateRequest, point: &Point, amended: &Amendments, tz: &TimeZone) -> Result<Statement, Error> {
    let medium = point.medium;
    let ts = instant("time", &b.time, tz)?;
    let old = old(b, point, ts, amended)?;
    // Also where the deed needs none: a number in a wrong unit is a slip that should be heard of.
    let register = REGISTER.read(medium, b.register_litres.as_ref(), b.register_kilowatt_hours.as_ref())?;
    let end = END.read(medium, b.end_litres.as_ref(), b.end_kilowatt_hours.as_ref())?;
    let start = START.read(medium, b.start_litres.as_ref(), b.start_kilowatt_hours.as_ref())?;
    let register = || register.ok_or_else(|| REGISTER.missing(medium));
    Ok(match b.deed.as_str() {
        "replaced" => Statement::Replaced(Replaced {
            ts,
            end,
            start: start.unwrap_or_default(),
            serial: b.serial.clone(),
            seal: b.seal.clone(),
            verified: b.verified.clone(),
            old,
        }),
        "dial" => Statement::Dial { ts, dial: register()?, counts: b.counts },
        "corrected" => Statement::Corrected { ts, register: register()? },
        "believed" => Statement::Believed { ts },
        "refused" => Statement::Refused { from: ts, to: b.to.as_ref().map(|t| instant("to", t, tz)).transpose()? },
        _ => {
            let expected = say("expected.some_of", &[("words", "replaced, dial, corrected, believed, refused".into())]);
            return Err(Error::BadParameter { name: "deed", value: b.deed.clone(), expected });
        }
    })
}

pub fn report(e: &Entry, all: &Entries, t: &Topology) -> EntryReport {
    let stamp = |ts: Ts| Stamp::new(ts, &t.tz);
    EntryReport {
        entry: e.seq,
        point: e.point.clone(),
        written_at: stamp(e.at),
        by: e.by.clone(),
        why: e.why.clone(),
        deed: e.deed.code(),
        time: e.deed.from().map(stamp),
        text: texts::deed(&e.deed, t.medium_of(&e.point), &t.tz),
        undone_by: all.list().iter().find(|u| u.deed == Deed::Undone { entry: e.seq }).map(|u| u.seq),
        photo: false,
    }
}
