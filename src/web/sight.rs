//! `/api/v1/meters/{id}/sight`: what a meter can show, by what its rules have learned, and what somebody has granted it.

use super::clock;
use super::error::{Error, Problem};
use super::handles::{EngineDoor, Snapshots};
use super::meters;
use super::params::{Id, Params};
use crate::domain::detect::sight::{Learning, Sight, Sights};
use crate::domain::incident::Grant;
use crate::domain::topology::{Medium, Point, Topology};
use crate::texts::{self, Decimal, Stamp, Text, say};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What a meter can show. All three are empty where it measures no water: nothing is learned of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightReport {
    at: Stamp,
    /// The smallest and slowest first.
    sights: Vec<SightLine>,
    learning: Vec<LearningLine>,
    /// What counts as usual since somebody closed an incident as no leak.
    granted: Vec<GrantLine>,
}

/// A leak of this size that never rests is told in this time, if no use is odd on just that day. Smaller ones may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct SightLine {
    /// Code of the finding.
    rule: &'static str,
    litres_per_hour: Decimal,
    within_hours: i64,
    /// Where it begins with the full hour, as people's work does. Null where that makes no difference.
    by_the_clock_within_hours: Option<i64>,
    /// Finer pulses would show less.
    limited_by_pulse: bool,
    text: Text,
}

/// A rule that does not know yet what is usual.
#[derive(Debug, Serialize, ToSchema)]
pub struct LearningLine {
    rule: &'static str,
    days: u32,
    of_days: u32,
    text: Text,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GrantLine {
    /// Null where the rule cannot tell how much it sees.
    litres_per_hour: Option<Decimal>,
    since: Stamp,
    until: Stamp,
    text: Text,
}

/// What a meter can show
///
/// The smallest leaks that the rules are sure to tell, and how soon, by what they have learned up to now. Worked out when asked.
#[utoipa::path(get, path = "/api/v1/meters/{id}/sight", tag = "state", operation_id = "meter_sight",
    params(("id" = String, Path, description = "key of the config, or global id")),
    responses((status = 200, body = SightReport), (status = "default", body = Problem)))]
pub async fn sight(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(engine): State<EngineDoor>,
    Id(id): Id,
    params: Params,
) -> Result<Json<SightReport>, Error> {
    params.only(&[])?;
    let snapshot = snapshots.borrow().clone();
    let ix = meters::find(&topology, &snapshot, &id)?;
    let point = topology.point(ix);
    if !point.kind.is_metered() {
        return Err(Error::UnknownMeter { id });
    }
    let at = Stamp::new(clock::now(), &topology.tz);
    if !point.measures_water() {
        return Ok(Json(SightReport { at, sights: vec![], learning: vec![], granted: vec![] }));
    }
    let study = engine.study(ix).await?;
    let Sights { sights, learning } = study.sees();
    Ok(Json(SightReport {
        at,
        sights: sights.iter().map(|s| line(s, point)).collect(),
        learning: learning.iter().map(still).collect(),
        granted: study.granted.iter().map(|g| grant(g, &topology)).collect(),
    }))
}

fn line(s: &Sight, point: &Point) -> SightLine {
    let whole = Decimal::litres_per_hour(s.rate).rounded(if s.rate.0 < 10_000 { 1 } else { 0 });
    let (within_hours, clock) = (s.within.0 / 3_600_000, s.by_the_clock.map(|t| t.0 / 3_600_000));
    let args = [
        ("n", whole.into()),
        ("hours", within_hours.into()),
        ("rule", texts::rule(s.rule).into()),
        ("pulse", Decimal::litres(point.meter.pulse_weight).into()),
        ("clock", clock.unwrap_or(within_hours).into()),
    ];
    let key = match (clock, s.by_pulse) {
        (None, false) => "sight.within",
        (None, true) => "sight.within_pulse",
        (Some(_), false) => "sight.clock",
        (Some(_), true) => "sight.clock_pulse",
    };
    SightLine {
        rule: s.rule,
        litres_per_hour: Decimal::litres_per_hour(s.rate),
        within_hours,
        by_the_clock_within_hours: clock,
        limited_by_pulse: s.by_pulse,
        text: say(key, &args),
    }
}

fn still(l: &Learning) -> LearningLine {
    let key = if l.is_mute { "sight.learning" } else { "sight.learning_home" };
    let args = [("rule", texts::rule(l.rule).into()), ("day", (l.days + 1).min(l.of).into()), ("of", l.of.into())];
    LearningLine { rule: l.rule, days: l.days, of_days: l.of, text: say(key, &args) }
}

fn grant(g: &Grant, t: &Topology) -> GrantLine {
    let until = Stamp::new(g.until, &t.tz);
    let time = Text::same(until.full().to_string());
    let text = match g.excess {
        Some(rate) => say("sight.granted", &[("rate", texts::rate(Medium::Water, rate).into()), ("until", time.into())]),
        None => say("sight.granted_unknown", &[("until", time.into())]),
    };
    GrantLine { litres_per_hour: g.excess.map(Decimal::litres_per_hour), since: Stamp::new(g.since, &t.tz), until, text }
}
