//! `/api/v1/totals`: what passed in each month or day, of all metering points in one answer.

use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::params::Params;
use super::tagged::Tagged;
use super::{clock, dto, meters, time_param};
use crate::domain::engine::Snapshot;
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::topology::{Medium, PointIx, Topology};
use crate::history::{self, Period, Register, Span};
use crate::texts::{Decimal, Stamp, say};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const PERIODS: [(&str, Period); 2] = [("month", Period::Month), ("day", Period::Day)];

/// What is shown when nobody says a span: this month and the eleven before it, or as many days.
const MONTHS: i32 = 11;
const DAYS: Ms = Ms::days(30);
/// The longest span of one answer. Of days of all points there may be hundreds of thousands in ten years: of one alone, or a quarter.
const LONGEST: Ms = Ms::days(3_700);
const LONGEST_OF_ALL_BY_DAY: Ms = Ms::days(100);

/// Totals of metering points. What is still going on is not in them: they sum the days that are over and told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Totals {
    by: By,
    from: Stamp,
    /// Not part of the span.
    to: Stamp,
    /// Whole months or days of the compound's calendar, without a hole; `from` and `to` are widened to them.
    periods: Vec<TotalPeriod>,
    /// In the order of the config.
    meters: Vec<MeterTotals>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Month,
    Day,
}

/// A month or a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalPeriod {
    /// `2026-11` or `2026-11-24`.
    name: String,
    from: Stamp,
    to: Stamp,
}

/// What passed through one point.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeterTotals {
    /// Global id; null before the point was first heard of.
    #[schema(value_type = Option<String>)]
    id: Option<Arc<str>>,
    /// Key of the point.
    key: String,
    name: String,
    /// What it counts: `water`, `hot_water`, `heat`, `electricity` or `gas`.
    #[schema(value_type = String)]
    medium: Medium,
    /// Of its numbers: `L`, or `kWh` of heat and electricity.
    unit: &'static str,
    /// Days from here on are not told yet: their readings are still coming, or none came since. Null where none is told.
    until: Option<Stamp>,
    /// One for each of `periods`; null where nothing of it is told.
    totals: Vec<Option<PeriodTotal>>,
}

/// What passed in a month or on a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodTotal {
    /// Null where nothing is known, and of heat and electricity.
    litres: Option<Decimal>,
    /// Of heat and electricity; null where nothing is known.
    kilowatt_hours: Option<Decimal>,
    /// How many of its days are told, and so counted.
    days: u32,
    /// All its days are told and complete: nothing is missing, and nothing can be on the wrong side of a midnight.
    complete: bool,
}

/// What passed in each month or day, of all metering points
///
/// The same numbers as the views `v_monthly` and `v_daily` of the database, and as the day buckets of a meter's flow. Days that are not over,
/// or whose readings are not all there, are left out; `until` says from where on.
#[utoipa::path(get, path = "/api/v1/totals", tag = "history",
    params(("by" = Option<String>, Query, description = "`month` (the default) or `day`"),
           ("from" = Option<String>, Query, description = "RFC 3339, a date in the compound's zone, or Unix milliseconds; eleven months or 30 days before `to` where it is not given"),
           ("to" = Option<String>, Query, description = "like `from`, now where it is not given; not part of the span"),
           ("point" = Option<String>, Query, description = "only this one: key of the config, or global id")),
    responses((status = 200, body = Totals), (status = 304, description = "what `If-None-Match` names is still right"), (status = "default", body = Problem)))]
pub async fn totals(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Error> {
    let params = params.only(&["by", "from", "to", "point"])?;
    let snapshot = snapshots.borrow().clone();
    let by = params.choice("by", &PERIODS)?.unwrap_or(Period::Month);
    let point = params.get("point").map(|id| meters::find(&topology, &snapshot, id)).transpose()?;
    let span = span(&params, &topology, by, point.is_none(), clock::now())?;
    let points: Vec<(PointIx, Option<Register>)> =
        topology.metered().filter(|ix| point.is_none_or(|p| p == *ix)).map(|ix| (ix, Register::now(&topology, &snapshot, ix))).collect();
    let t = topology.clone();
    let (points, found) = store.ask(move |r| history::totals(r, &t, &points, span, by).map(|found| (points, found))).await?;
    Ok(Tagged::new(&answer(&topology, &snapshot, by, span, &points, found))?.response(&headers))
}

fn span(params: &Params, topology: &Topology, by: Period, all: bool, now: Ts) -> Result<Span, Error> {
    let tz = &topology.tz;
    let instant = |name| params.get(name).map(|v| time_param::instant(name, v, tz)).transpose();
    let to = instant("to")?.unwrap_or(now);
    let before = || match by {
        Period::Day => to - DAYS,
        // A month of which a moment is in the span counts whole.
        Period::Month => Month::numbered(Month::of(to - Ms(1), tz).number() - MONTHS).map_or(to - DAYS, |m| m.start(tz)),
    };
    let from = instant("from")?.unwrap_or_else(before);
    let longest = if all && by == Period::Day { LONGEST_OF_ALL_BY_DAY } else { LONGEST };
    let expected = match to - from {
        long if long <= Ms::ZERO => say("expected.before_to", &[]),
        long if long > longest => say("expected.days", &[("days", (longest.0 / Ms::days(1).0).into())]),
        _ => return Ok(Span { from, to }),
    };
    let value = params.get("from").or(params.get("to")).unwrap_or_default().to_owned();
    Err(Error::BadParameter { name: "from", value, expected })
}

fn answer(
    topology: &Topology,
    snapshot: &Snapshot,
    by: Period,
    span: Span,
    points: &[(PointIx, Option<Register>)],
    found: history::Totals,
) -> Totals {
    let tz = &topology.tz;
    let edge = |period: Option<&(String, Span)>, of: fn(Span) -> Ts, or| Stamp::new(period.map_or(or, |p| of(p.1)), tz);
    let total = |medium: Medium, t: history::Total| {
        let (litres, kilowatt_hours) = dto::amount(medium, t.volume);
        PeriodTotal { litres, kilowatt_hours, days: t.days, complete: t.complete }
    };
    let meter = |((ix, _), found): (&(PointIx, Option<Register>), history::PointTotals)| {
        let point = topology.point(*ix);
        MeterTotals {
            id: snapshot.points.get(ix.0 as usize).map(|p| p.id.clone()),
            key: point.key.clone(),
            name: point.name.clone(),
            medium: point.medium,
            unit: if point.medium.is_energy() { "kWh" } else { "L" },
            until: Stamp::maybe(found.until, tz),
            totals: found.totals.into_iter().map(|t| t.map(|t| total(point.medium, t))).collect(),
        }
    };
    Totals {
        by: match by {
            Period::Day => By::Day,
            Period::Month => By::Month,
        },
        from: edge(found.periods.first(), |s| s.from, span.from),
        to: edge(found.periods.last(), |s| s.to, span.to),
        meters: points.iter().zip(found.points).map(meter).collect(),
        periods: found
            .periods
            .into_iter()
            .map(|(name, span)| TotalPeriod { name, from: Stamp::new(span.from, tz), to: Stamp::new(span.to, tz) })
            .collect(),
    }
}
